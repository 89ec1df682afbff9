//! `/healthz` and `/readyz`, for the supervisor or load balancer of the server.

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    State,
    error::Failure,
    extract::{NoParameters, Parameters},
};

/// That all is well.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    status: &'static str,
}

/// Tells whether the server is alive
#[utoipa::path(get, path = "/healthz", tag = "operation",
    responses((status = 200, description = "the server is alive", body = Health)), security(()))]
pub(super) async fn alive(_: Parameters<NoParameters>) -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Tells whether the server can do its work
///
/// The database answers, and has the schema of this server.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200, description = "the server can do its work", body = Health)), security(()))]
pub(super) async fn ready(
    Shared(state): Shared<Arc<State>>,
    _: Parameters<NoParameters>,
) -> Result<Json<Health>, Failure> {
    state.pool.ready().await?;
    Ok(Json(Health { status: "ok" }))
}

//! `/metrics`, in Prometheus' text form: what the server did, and where the tenant of the token
//! stands.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{FromRequestParts, State as Shared},
    http::{HeaderValue, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use sha2::{Digest, Sha256};
use std::sync::atomic::AtomicU64;
use subtle::ConstantTimeEq;

use super::{
    State,
    auth::{Caller, Read, token, unauthorized},
    error::Failure,
};
use crate::{
    directory::{Bearer, Directory, DirectoryError, Standing},
    plan,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

/// What the server did since it was started.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
    /// Who read the metrics before: while the database is away, they may go on reading that it is.
    readers: Mutex<Vec<([u8; 32], Bearer)>>,
}

/// How many readers are remembered.
const READERS: usize = 16;

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("reconcile");
        let requests = Family::<Answered, Counter>::default();
        // From 1 ms to some 30 s.
        let new: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let durations = Family::new_with_constructor(new);
        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register("http_request_duration_seconds", "How long they took", durations.clone());
        Self { registry, requests, durations, readers: Mutex::default() }
    }

    /// Counts an answer.
    pub(super) fn request(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        self.durations.get_or_create(&Route { method, route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Answered { method, route, status }).inc();
    }

    fn remember(&self, text: &str, bearer: &Bearer) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|(_, known)| known.token != bearer.token);
        readers.truncate(READERS - 1);
        readers.insert(0, (Sha256::digest(text).into(), bearer.clone()));
    }

    fn recall(&self, text: &str) -> Option<Bearer> {
        let hash: [u8; 32] = Sha256::digest(text).into();
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.iter().find(|(known, _)| known.ct_eq(&hash).into()).map(|(_, bearer)| bearer.clone())
    }
}

/// Writes the metrics
///
/// Those of the server, and those of the token's tenant. While the database is away, a token that
/// read them before reads on.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "the metrics, as Prometheus reads them", body = String,
               content_type = "application/openmetrics-text")),
    security(("token" = ["read"])))]
pub(super) async fn metrics(
    Shared(state): Shared<Arc<State>>,
    Reader { caller, database_up }: Reader,
) -> Result<Response, Failure> {
    let tenant = caller.0.tenant;
    let standing = if database_up {
        let tenant = tenant.clone();
        let work = move |directory: &mut Directory| -> Result<_, DirectoryError> {
            let (applies, changed_at) = directory.last_applies(&tenant)?;
            Ok((directory.standing(&tenant)?, applies, changed_at))
        };
        state.pool.run(work).await.ok()
    } else {
        None
    };
    let mut registry = Registry::with_prefix("reconcile");
    gauge(&mut registry, "database_up", "Whether the database answers", u32::from(standing.is_some()).into());
    if let Some((standing, applies, changed_at)) = standing {
        let labels = [("tenant".into(), tenant.as_str().to_owned().into())];
        let tenants = registry.sub_registry_with_labels(labels.into_iter());
        if let Some(standing) = &standing {
            users(tenants, standing);
        }
        for apply in applies {
            let host = tenants.sub_registry_with_label(("host".into(), apply.host.clone().into()));
            let ended = apply.finished_at.unwrap_or(apply.started_at);
            let live = apply.outcome == "live";
            let age = |since: Timestamp| Timestamp::now().duration_since(since).as_secs_f64().max(0.0);
            gauge(host, "last_apply_age_seconds", "How long ago the last apply ended", age(ended));
            gauge(host, "last_apply_success", "Whether Asterisk took it", u32::from(live).into());
            // What was recorded after the apply began waits for the next one.
            let waiting = changed_at.filter(|changed| !live || *changed > apply.started_at).map_or(0.0, age);
            gauge(host, "stage_lag_seconds", "How long recorded rows have waited to be live", waiting);
            let outcome = host.sub_registry_with_label(("outcome".into(), apply.outcome.into()));
            gauge(outcome, "last_apply_outcome", "How it ended", 1.0);
        }
    }
    let mut text = String::new();
    let written = encode(&mut text, &registry).and_then(|()| {
        // Both are one document: the end of the first is not its end.
        text.truncate(text.len() - "# EOF\n".len());
        encode(&mut text, &state.metrics.registry)
    });
    written.map_err(|error| Failure::internal(format!("the metrics cannot be written: {error}")))?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

fn users(registry: &mut Registry, standing: &Standing) {
    let numbers = plan::count(standing, Timestamp::now());
    let help = "Users by who changes them";
    for (manager, users) in [("file", standing.file_users), ("api", standing.api_users)] {
        let of = registry.sub_registry_with_label(("managed_by".into(), manager.into()));
        gauge(of, "users", help, users.into());
    }
    gauge(registry, "extensions_free", "Extensions that the next users can get", numbers.free.into());
    gauge(registry, "extensions", "Extensions in the range", numbers.size.into());
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Gauge::<f64, AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

/// Whoever reads the metrics.
pub(super) struct Reader {
    caller: Caller<Read>,
    database_up: bool,
}

impl FromRequestParts<Arc<State>> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Failure> {
        let text = token(parts).ok_or_else(unauthorized)?.to_owned();
        let asked = text.clone();
        match state.pool.run(move |directory| directory.verify_token(&asked)).await {
            Ok(bearer) => {
                let bearer = bearer.ok_or_else(unauthorized)?;
                state.metrics.remember(&text, &bearer);
                Ok(Self { caller: Caller::admit(bearer, parts)?, database_up: true })
            }
            Err(failure) => {
                let bearer = state.metrics.recall(&text).ok_or(failure)?;
                Ok(Self { caller: Caller::admit(bearer, parts)?, database_up: false })
            }
        }
    }
}

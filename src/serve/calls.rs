//! `/calls`: what was decided about inbound calls, and what became of them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Path, State as Shared},
    http::request::Parts,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    State,
    auth::{Caller, Calls as SeeCalls},
    error::{Detail, ErrorType, Failure},
    extract::{NoParameters, Parameters},
};
use crate::directory::{CallEntry, CallScope, CallStep, Directory, DirectoryError};

/// How many calls a page has where nothing is said.
const PAGE: u32 = 100;

/// How many calls a page has at most.
const LARGEST_PAGE: u32 = 1000;

/// Calls, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Calls {
    /// The calls.
    calls: Vec<CallEntry>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// A call with its decision chain.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallChain {
    #[serde(flatten)]
    call: CallEntry,
    /// Who was dialled, one after another, and how it ended.
    steps: Vec<CallStep>,
}

/// Which calls.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// How many calls at most; 100 where it is absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only calls older than this one: the `next` of the page before.
    #[param(min_length = 1, max_length = 128, pattern = "^[!-~]+$")]
    after: Option<String>,
}

/// Tells whether a text can be a call's id.
fn is_sid(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn no_sid(field: &'static str) -> Detail {
    Detail::of(field, "not a CallSid: 1 to 128 visible ASCII characters")
}

fn unknown(sid: &str) -> Failure {
    Failure::new(ErrorType::NotFound, format!("there is no call {sid}"))
}

/// Lists the calls
///
/// All calls of the tenant, the newest first, with callers' numbers in full.
#[utoipa::path(
    get, path = "/calls", tag = "calls", params(Page),
    responses((status = 200, description = "the calls", body = Calls)),
    security(("token" = ["calls"]))
)]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    caller: Caller<SeeCalls>,
    Parameters(page): Parameters<Page>,
) -> Result<Json<Calls>, Failure> {
    let limit = page.limit.unwrap_or(PAGE);
    let mut details = Vec::new();
    if !(1..=LARGEST_PAGE).contains(&limit) {
        details.push(Detail::of("limit", format!("not a whole number from 1 to {LARGEST_PAGE}")));
    }
    if page.after.as_deref().is_some_and(|sid| !is_sid(sid)) {
        details.push(no_sid("after"));
    }
    if !details.is_empty() {
        return Err(Failure::invalid(details));
    }
    let (scope, after) = (CallScope::Tenant(caller.0.tenant), page.after.clone());
    let work = move |directory: &mut Directory| -> Result<_, DirectoryError> {
        if let Some(after) = &after
            && directory.call(&scope, after)?.is_none()
        {
            return Ok(None);
        }
        // One more tells whether there is a next page.
        directory.calls(&scope, after.as_deref(), limit + 1).map(Some)
    };
    let Some(mut calls) = state.pool.run(work).await? else {
        return Err(unknown(page.after.as_deref().unwrap_or_default()));
    };
    let more = calls.len() > limit as usize;
    calls.truncate(limit as usize);
    let next = calls.last().filter(|_| more).map(|call| call.call_sid.clone());
    Ok(Json(Calls { calls, next }))
}

/// Shows a call
///
/// With its decision chain: the rule and why, who was dialled when and how that ended, and how long
/// the answer took.
#[utoipa::path(
    get, path = "/calls/{sid}", tag = "calls",
    params(("sid" = String, Path, description = "the call's id, as the provider gave it",
            min_length = 1, max_length = 128, pattern = "^[!-~]+$", example = "CA1a2b3c4d5e6f708192a3b4c5d6e7f809")),
    responses((status = 200, description = "the call", body = CallChain)),
    security(("token" = ["calls"]))
)]
pub(super) async fn show(
    Shared(state): Shared<Arc<State>>,
    caller: Caller<SeeCalls>,
    Sid(sid): Sid,
    _: Parameters<NoParameters>,
) -> Result<Json<CallChain>, Failure> {
    let (scope, asked) = (CallScope::Tenant(caller.0.tenant), sid.clone());
    let found = state.pool.run(move |directory| directory.call(&scope, &asked)).await?;
    let (call, steps) = found.ok_or_else(|| unknown(&sid))?;
    Ok(Json(CallChain { call, steps }))
}

/// The id of a call in the path.
pub(super) struct Sid(String);

impl FromRequestParts<Arc<State>> for Sid {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Failure> {
        let text = Path::<String>::from_request_parts(parts, state).await.map(|Path(text)| text).unwrap_or_default();
        if is_sid(&text) { Ok(Self(text)) } else { Err(Failure::invalid(vec![no_sid("sid")])) }
    }
}

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
    encoding::{
        EncodeLabelSet,
        text::{encode_eof, encode_registry},
    },
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    State,
    auth::{Caller, Read, token, unauthorized},
    counters::Counters,
    error::Failure,
    extract::{NoParameters, Parameters},
    gauge::{Label, gauge},
    look,
};
use crate::{
    directory::{Bearer, Directory, DirectoryError, TenantCounts, audit::Entry},
    log, plan,
    recorder::RecorderMetrics,
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
    pub(super) webhook: Arc<Counters>,
    /// About the record of calls.
    pub(super) recorder: RecorderMetrics,
    /// Who read the metrics before: while the database is away, they may go on reading that it is.
    readers: Mutex<Vec<([u8; 32], Bearer)>>,
}

/// Makes a registry for metrics of this program.
pub(super) fn registry() -> Registry {
    Registry::with_prefix("reconcile")
}

/// How many readers are remembered.
const READERS: usize = 16;

impl Metrics {
    /// Adds what is counted here to what `registry` has already.
    pub(super) fn new(mut registry: Registry) -> Self {
        let requests = Family::<Answered, Counter>::default();
        // From 1 ms to some 30 s.
        let new: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let durations = Family::new_with_constructor(new);
        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register("http_request_duration_seconds", "How long requests took", durations.clone());
        let webhook = Arc::new(Counters::new(&mut registry));
        let recorder = RecorderMetrics::register(&mut registry);
        Self { registry, requests, durations, webhook, recorder, readers: Mutex::default() }
    }

    /// Counts an answer.
    pub(super) fn request(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        self.durations.get_or_create(&Route { method, route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Answered { method, route, status }).inc();
    }

    /// Forgets a token that was revoked.
    fn forget(&self, text: &str) {
        let hash: [u8; 32] = Sha256::digest(text).into();
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| *known != hash);
    }

    fn remember(&self, text: &str, bearer: &Bearer) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|(_, known)| known.token != bearer.token);
        readers.truncate(READERS - 1);
        readers.insert(0, (Sha256::digest(text).into(), bearer.clone()));
    }

    fn find_reader(&self, text: &str) -> Option<Bearer> {
        let hash: [u8; 32] = Sha256::digest(text).into();
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.iter().find(|(known, _)| known.ct_eq(&hash).into()).map(|(_, bearer)| bearer.clone())
    }
}

/// Writes the metrics
///
/// Those of the server as a whole, and those of the token's own tenant: no token sees what calls of
/// another tenant did. While the database is away, a token that read them before reads on.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "the metrics, as Prometheus reads them", body = String,
               content_type = "application/openmetrics-text")),
    security(("token" = ["read"])))]
pub(super) async fn metrics(
    Shared(state): Shared<Arc<State>>,
    Reader { caller, database_up }: Reader,
    _: Parameters<NoParameters>,
) -> Result<Response, Failure> {
    let tenant = caller.0.tenant;
    let tenant_counts = if database_up {
        let tenant = tenant.clone();
        let work = move |directory: &mut Directory| -> Result<_, DirectoryError> {
            let (applies, changed_at) = directory.last_applies(&tenant)?;
            let tenant_counts = match directory.tenant_counts(&tenant) {
                Err(error @ DirectoryError::Document { .. }) => {
                    tracing::warn!("users and numbers are not counted: {error}");
                    None
                }
                tenant_counts => tenant_counts?,
            };
            Ok((tenant_counts, applies, changed_at))
        };
        state.pool.run(work).await.ok()
    } else {
        None
    };
    let mut registry = registry();
    // What another tenant's calls did is not this reader's business.
    state.metrics.webhook.register(&tenant, &mut registry);
    let up = ConstGauge::new(i64::from(tenant_counts.is_some()));
    registry.register("database_up", "Whether the database answers", up);
    let help = "Log lines that were dropped because the reader of stderr is too slow";
    registry.register("log_lines_dropped", help, ConstCounter::new(log::dropped()));
    if let Some((tenant_counts, applies, changed_at)) = tenant_counts {
        let label = ("tenant", tenant.as_str().to_owned());
        if let Some(tenant_counts) = &tenant_counts {
            users(&mut registry, &label, tenant_counts);
        }
        stages(&mut registry, &label, &state.host.name, &applies, changed_at);
        look::gauges(&mut registry, &state, &tenant);
    }
    let mut text = String::new();
    encode_registry(&mut text, &registry)
        .and_then(|()| encode_registry(&mut text, &state.metrics.registry))
        .and_then(|()| encode_eof(&mut text))
        .map_err(|error| Failure::internal(format!("the metrics cannot be written: {error}")))?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

fn users(registry: &mut Registry, tenant: &Label, tenant_counts: &TenantCounts) {
    let numbers = plan::count(tenant_counts, Timestamp::now());
    let managed = |manager: &str, users: u32| (vec![tenant.clone(), ("managed_by", manager.to_owned())], users.into());
    let managers = [managed("file", tenant_counts.file_users), managed("api", tenant_counts.api_users)];
    gauge(registry, "users", "Users, by what manages them (file or API)", managers);
    let count = |number: u32| [(vec![tenant.clone()], number.into())];
    gauge(registry, "extensions_free", "Free extensions in the range", count(numbers.free));
    gauge(registry, "extensions", "Extensions in the range", count(numbers.size));
}

/// How each host differs from what is recorded. This host is listed even before its first apply.
fn stages(registry: &mut Registry, tenant: &Label, host: &str, applies: &[Entry], changed_at: Option<Timestamp>) {
    let now = Timestamp::now();
    let age = |since: Timestamp| now.duration_since(since).as_secs_f64().max(0.0);
    let at = |host: &str| vec![tenant.clone(), ("host", host.to_owned())];
    let each = |value: &dyn Fn(&Entry) -> f64| applies.iter().map(|apply| (at(&apply.host), value(apply))).collect();
    let live = |apply: &Entry| apply.outcome == "live";

    let ages: Vec<_> = each(&|apply| age(apply.finished_at.unwrap_or(apply.started_at)));
    gauge(registry, "last_apply_age_seconds", "How long ago the last apply ended", ages);
    let successes: Vec<_> = each(&|apply| u32::from(live(apply)).into());
    gauge(registry, "last_apply_success", "Whether the last apply ended as `live`", successes);
    let outcome = |apply: &Entry| {
        let mut labels = at(&apply.host);
        labels.push(("outcome", apply.outcome.clone()));
        (labels, 1.0)
    };
    gauge(registry, "last_apply_outcome", "How the last apply ended", applies.iter().map(outcome));

    // What was recorded after the apply began waits for the next one.
    let waiting = |changed: &Timestamp, apply: &Entry| !live(apply) || *changed > apply.started_at;
    let lag = |apply: &Entry| changed_at.filter(|changed| waiting(changed, apply)).map_or(0.0, age);
    let mut lags: Vec<_> = each(&lag);
    if applies.iter().all(|apply| apply.host != host) {
        lags.push((at(host), changed_at.map_or(0.0, age)));
    }
    gauge(registry, "stage_lag_seconds", "How long the last recorded change has waited to become live", lags);
}

/// The client that reads the metrics.
pub(super) struct Reader {
    caller: Caller<Read>,
    database_up: bool,
}

impl FromRequestParts<Arc<State>> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Failure> {
        let text = token(parts).ok_or_else(unauthorized)?.to_owned();
        match state.lookups.verify(&text).await {
            Ok(bearer) => {
                let Some(bearer) = bearer else {
                    state.metrics.forget(&text);
                    return Err(unauthorized());
                };
                state.metrics.remember(&text, &bearer);
                Ok(Self { caller: Caller::admit(bearer, parts)?, database_up: true })
            }
            Err(failure) => {
                let bearer = state.metrics.find_reader(&text).ok_or(failure)?;
                Ok(Self { caller: Caller::admit(bearer, parts)?, database_up: false })
            }
        }
    }
}

//! What every request goes through: its id, its deadline, its line in the log, its metrics, and the
//! one form of errors, whichever layer they come from.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    body::HttpBody,
    extract::{MatchedPath, Request, State as Shared},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::{sleep, timeout};
use tracing::Instrument;
use uuid::Uuid;

use super::{
    State,
    connections::Connection,
    error::{ErrorType, Failure},
    extract::{BodyRead, reject_ambiguous_host, reject_unexpected_body},
};

/// How long a request may take, its body included; an apply takes what it takes. Longer than a
/// writer waits for its turn (30 s), which then says better what happened, and what did not.
const DEADLINE: Duration = Duration::from_secs(40);

/// The header that names a request, on its way in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Holds the name of the client of a request for the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Actor(Arc<OnceLock<String>>);

impl Actor {
    pub(super) fn set(&self, name: String) {
        let _ = self.0.set(name);
    }

    fn is_known(&self) -> bool {
        self.0.get().is_some()
    }
}

/// Lets a request through, and its answer back.
pub(super) async fn observe(Shared(state): Shared<Arc<State>>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers()).unwrap_or_else(|| Uuid::new_v4().to_string());
    // Only what is known is taken over: labels are few, and lines of the log cannot be forged.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let actor = Actor::default();
    request.extensions_mut().insert(actor.clone());
    let mut asked =
        RequestLog { state, began: Instant::now(), id, method: known(request.method()), route, actor, ended: false };
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let body_read = BodyRead::default();
    if request.body().is_end_stream() {
        body_read.set();
    }
    request.extensions_mut().insert(body_read.clone());

    let expected = reject_ambiguous_host(&request);
    let expected = expected.and_then(|()| reject_unexpected_body(&request, &asked.state.operations));
    let span = tracing::info_span!("request", request_id = %asked.id);
    let answer = async {
        match expected {
            Ok(()) => next.run(request).await,
            Err(failure) => failure.into_response(),
        }
    };
    let answer = answer.instrument(span);
    let response = if asked.route() == "/apply" {
        answer.await
    } else {
        let words = "the request took too long; what it asks for may have been done all the same";
        let late = |_| Failure::new(ErrorType::RequestTimeout, words).into_response();
        timeout(DEADLINE, answer).await.unwrap_or_else(late)
    };
    let mut response = finish(response, &asked.id);
    // The connection, on which the rest of the body may come, is not used again, and the client told
    // so: it would send its next request into the void.
    if !body_read.is_set() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }

    asked.ended(response.status().as_u16(), "answered");
    // A request that failed without a valid token or signature may wait for its answer.
    if response.status().is_client_error() && !asked.actor.is_known() {
        let delay = asked.state.strangers.delay(connection.and_then(|connection| connection.account()));
        if delay > Duration::ZERO {
            sleep(delay).await;
        }
    }
    response
}

/// A request that was begun; whose client may go away before the answer, which drops it.
struct RequestLog {
    state: Arc<State>,
    began: Instant,
    id: String,
    method: &'static str,
    route: Option<MatchedPath>,
    actor: Actor,
    ended: bool,
}

/// The status of a request whose client went away before the answer, as in nginx's logs.
const GONE: u16 = 499;

impl RequestLog {
    fn route(&self) -> &str {
        self.route.as_ref().map_or("none", |path| path.as_str().trim_end_matches('/'))
    }

    /// Counts it, and writes its line in the log.
    fn ended(&mut self, status: u16, how: &'static str) {
        self.ended = true;
        let (Self { id, method, .. }, route) = (&*self, self.route());
        let took = self.began.elapsed();
        self.state.metrics.request(method, route, status, took);
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let actor = self.actor.0.get().map_or("", String::as_str);
        let is_lost_in_flood = || !self.actor.is_known() && self.state.strangers.is_flood();
        if speaks_for_itself(route, status) || is_lost_in_flood() {
            tracing::debug!(request_id = %id, method, route, status, duration_ms, actor, "{how}");
        } else {
            tracing::info!(request_id = %id, method, route, status, duration_ms, actor, "{how}");
        }
    }
}

/// Tells whether a request is not worth a line: a probe, or a call, whose own line says more.
fn speaks_for_itself(route: &str, status: u16) -> bool {
    match route {
        "/healthz" | "/readyz" => true,
        "/webhooks/twilio" | "/webhooks/twilio/dial-result" | "/webhooks/twilio/fallback" => status == 200,
        _ => false,
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        if !self.ended {
            self.ended(GONE, "the client went away; what it asked for may have been done all the same");
        }
    }
}

/// Gives every answer its headers, and every error its form.
fn finish(response: Response, id: &str) -> Response {
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    let mut response = match response.extensions().get::<Failure>() {
        Some(failure) => with_headers(failure.answer(id), &response),
        None if failed => with_headers(Failure::of_status(status).answer(id), &response),
        None => response,
    };
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Answers hold secrets and states.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Keeps the headers that a layer gave to its bare answer, such as `Allow`.
fn with_headers(mut response: Response, from: &Response) -> Response {
    if let Some(allow) = from.headers().get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

/// Takes the client's id where it is well formed: 1 to 128 letters, digits and `. _ - :`.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(REQUEST_ID).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-:".contains(&b);
    ((1..=128).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}

fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Makes an answer of a panic, which the panic hook has logged.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    Failure::internal("a request ended in a panic").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_request_id_is_taken() {
        let id = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            }
            request_id(&headers)
        };
        assert_eq!(id(&[b"7f.A_b-c:1"]).as_deref(), Some("7f.A_b-c:1"));
        for bad in [&[b"".as_slice()][..], &[b"a b"], &[b"a\"b"], &[&[b'a'; 129]], &[b"\xff"], &[b"a", b"b"], &[]] {
            assert_eq!(id(bad), None);
        }
    }
}

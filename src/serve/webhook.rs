//! The webhook for inbound calls: the provider asks, and hears what to do with a call.
//!
//! Its signature is its token. Once that holds, a call is always answered with `TwiML`, whatever is
//! broken behind it: what is applied is at hand, a panic leads to the default route, and what cannot
//! be written down is counted.

mod address;
mod recent;
mod verified;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use axum::{
    extract::State as Shared,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use ipnet::IpNet;
use jiff::Timestamp;
use tokio::time::interval;
use utoipa::ToSchema;

pub(crate) use self::address::Address;
use self::recent::{First, Recent};
pub(super) use self::verified::Verified;
use super::{State, counters::Counters, routing::Routing};
use crate::{
    calls::{self, Incoming, Reply, Tenants, Tokens, Verb, What},
    fail_point,
    model::Caller,
    recorder::Recorder,
};

/// The method by which the provider asks: exactly one. A signature has no border between URL and
/// parameters: what was signed as a POST fits a GET with other parameters, and the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Method {
    /// Parameters in a form.
    #[default]
    #[value(name = "POST")]
    Post,
    /// Parameters in the query.
    #[value(name = "GET")]
    Get,
}

/// How the webhook is run.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What requests are signed with.
    pub(crate) tokens: Tokens,
    /// How requests about calls come. What became of a dialled step always comes by POST, as our own
    /// answers say.
    pub(crate) method: Method,
    /// Answers all requests, without checking signatures.
    pub(crate) skip_signature: bool,
    /// Under which URL the provider reaches this server.
    pub(crate) public_url: Option<Address>,
    /// Whose forwarding headers are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
}

/// The server is started without what it needs to check the provider's signature.
#[derive(Debug, thiserror::Error)]
#[error(
    "inbound routes are applied, but no auth token is given, so forged requests could not be rejected\n\
     hint: set TWILIO_AUTH_TOKEN or TWILIO_AUTH_TOKEN_FILE; or give `--no-webhook` if no calls come through Twilio"
)]
pub(crate) struct NoToken;

pub(super) struct Webhook {
    settings: Settings,
    /// What the listener speaks.
    scheme: &'static str,
    routing: Arc<Routing>,
    counters: Arc<Counters>,
    recent: Recent,
}

impl Webhook {
    /// Prepares the webhook.
    ///
    /// # Errors
    /// When calls would be answered without a token that proves which requests are the provider's.
    pub(super) fn new(
        settings: Settings,
        scheme: &'static str,
        routing: Arc<Routing>,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let unconfigured = settings.tokens.is_empty() && !settings.skip_signature;
        if unconfigured && routing.take_calls() {
            return Err(NoToken.into());
        }
        if unconfigured {
            routing.unconfigured();
        }
        if !unconfigured {
            routing.answered();
        }
        if settings.skip_signature {
            counters.skipped();
        }
        Ok(Self { settings, scheme, routing, counters, recent: Recent::default() })
    }

    /// Returns by which method the provider asks.
    pub(super) fn method(&self) -> Method {
        self.settings.method
    }

    fn is_configured(&self) -> bool {
        self.settings.skip_signature || !self.settings.tokens.is_empty()
    }

    /// Says again and again that signatures are not looked at, if so.
    pub(super) async fn warn(&self) {
        if !self.settings.skip_signature {
            return;
        }
        let mut minutes = interval(Duration::from_mins(1));
        loop {
            minutes.tick().await;
            tracing::warn!("signatures are not verified: every client that reaches this server can pose as Twilio");
        }
    }

    /// Answers a request; one that came before gets the same bytes. It is written down first.
    async fn answer(
        &self,
        recorder: &Recorder,
        route: &'static str,
        request: &Verified,
        decide: impl Fn(&Tenants, &Incoming<'_>) -> Reply,
    ) -> Response {
        let incoming = request.incoming();
        // The same route, query and call, and for the fallback the same lost answer: the same request.
        let asked = (route, &request.raw_query, &request.call_sid, incoming.form.get("ErrorUrl"));
        let first = First { at: incoming.at, tenants: self.routing.current() };
        let (First { at, tenants }, retry) = self.recent.find_or_note(&asked, first, request.began);
        let mut reply = decide(&tenants, &Incoming { at, ..incoming });
        if let What::Answered(answer) = &mut reply.event.what {
            answer.retry = retry;
            answer.received_at = incoming.at;
            answer.routed_at = Timestamp::now();
            answer.response_ms = millis(request.began.elapsed());
        }
        let response = twiml(&reply.twiml);
        self.append(recorder, &reply.event).await;
        let took = request.began.elapsed();
        self.counters.answered(route, &reply, incoming.query.get("target"), retry, took);
        log(route, &reply, request, retry, took);
        response
    }

    /// Writes down what became known; a call is answered also where that fails.
    async fn append(&self, recorder: &Recorder, event: &calls::Event) {
        if let Err(error) = recorder.append(event).await {
            tracing::error!(call_sid = event.call_sid, "a call is not recorded: {error}");
            self.counters.unrecorded();
        }
    }
}

/// Writes an answer.
fn twiml(answer: &calls::Response) -> Response {
    let kind = HeaderValue::from_static("text/xml; charset=utf-8");
    ([(CONTENT_TYPE, kind)], answer.to_xml()).into_response()
}

/// Answers a call by its rules; by the default route where they end in a panic, which was logged.
fn by_rules(tenants: &Tenants, incoming: &Incoming<'_>) -> Reply {
    let by_rules = catch_unwind(AssertUnwindSafe(|| {
        let _ = fail_point::pass("webhook-rules");
        calls::answer(tenants, incoming)
    }));
    by_rules.unwrap_or_else(|_| by_default(tenants, incoming, "the decision ended in a panic"))
}

/// Answers a call by the default route; refuses it where that ends in a panic.
fn by_default(tenants: &Tenants, incoming: &Incoming<'_>, why: &str) -> Reply {
    let by_default = catch_unwind(AssertUnwindSafe(|| {
        let _ = fail_point::pass("webhook-default");
        calls::answer_by_default(tenants, incoming, why)
    }));
    by_default.unwrap_or_else(|_| calls::refuse(incoming, why))
}

/// Goes on with a call; ends it where that ends in a panic.
fn by_url(incoming: &Incoming<'_>) -> Reply {
    let by_url = catch_unwind(AssertUnwindSafe(|| {
        let _ = fail_point::pass("webhook-step");
        calls::dial_result(incoming)
    }));
    by_url.unwrap_or_else(|_| {
        let reply = calls::refuse(incoming, "the next step ended in a panic");
        Reply { twiml: calls::Response(vec![Verb::Hangup]), ..reply }
    })
}

/// Writes the line of a call, whose numbers show their last digits. It is the only one of its request.
fn log(route: &str, reply: &Reply, request: &Verified, retry: bool, took: Duration) {
    let (call_sid, response_time_ms) = (&request.call_sid, millis(took));
    let dialer = reply.target.as_deref().unwrap_or_default();
    match &reply.event.what {
        What::Answered(answer) => {
            let [from, to] = [&answer.from, &answer.to].map(|number| Caller::new(number).to_string());
            let rule = answer.rule.as_deref().unwrap_or_default();
            let degraded = answer.degraded.as_deref().unwrap_or_default();
            macro_rules! line {
                ($level:ident) => {
                    tracing::$level!(
                        route,
                        call_sid,
                        from,
                        to,
                        dialer,
                        rule,
                        response_time_ms,
                        retry,
                        degraded,
                        "a call is routed"
                    )
                };
            }
            // Whoever gets the call, it is not as it was declared.
            if degraded.is_empty() { line!(info) } else { line!(warn) }
        }
        What::Step { step, outcome, .. } => {
            let outcome = format!("{outcome:?}");
            tracing::info!(route, call_sid, step, outcome, dialer, response_time_ms, retry, "a step ended");
        }
        What::Status { .. } => {}
    }
}

/// Milliseconds, to the microsecond.
fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

/// What the provider tells about a call; more than is described here.
#[derive(ToSchema)]
#[expect(dead_code, reason = "this describes the form, which is read parameter by parameter")]
#[schema(rename_all = "PascalCase")]
pub(super) struct CallForm {
    /// The call.
    #[schema(min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")]
    call_sid: String,
    /// The caller: a number, a client, a SIP address, or nothing that could be called back.
    from: Option<String>,
    /// The number that was called.
    to: Option<String>,
    /// How the call stands.
    call_status: Option<String>,
    /// How a dialled step ended.
    dial_call_status: Option<String>,
}

/// Answers a call
///
/// For the provider, which signs its requests in `X-Twilio-Signature`. `?tenant=NAME` says whose call
/// it is where the called number does not.
#[utoipa::path(post, path = "/webhooks/twilio", tag = "webhook",
    request_body(content = CallForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "what to do with the call", body = String, content_type = "text/xml")),
    security(()))]
pub(super) async fn call(Shared(state): Shared<Arc<State>>, request: Verified) -> Response {
    answer(&state, "call", &request, by_rules).await
}

/// Answers a call, asked by GET
#[utoipa::path(get, path = "/webhooks/twilio", tag = "webhook",
    params(("CallSid" = String, Query, description = "the call; more parameters as in the form",
            min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")),
    responses((status = 200, description = "what to do with the call", body = String, content_type = "text/xml")),
    security(()))]
pub(super) async fn call_by_get(state: Shared<Arc<State>>, request: Verified) -> Response {
    call(state, request).await
}

/// Goes on with a call whose step ended
///
/// The URL, which is signed, carries the steps that remain: routes that were applied since change
/// nothing for the call.
#[utoipa::path(post, path = "/webhooks/twilio/dial-result", tag = "webhook",
    request_body(content = CallForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "what to do with the call", body = String, content_type = "text/xml")),
    security(()))]
pub(super) async fn dial_result(Shared(state): Shared<Arc<State>>, request: Verified) -> Response {
    answer(&state, "dial-result", &request, |_, incoming| by_url(incoming)).await
}

/// Asks the person who answered to confirm the call
///
/// For a number that rings as a member of a group. The call is connected once the person pressed 1: an answering machine
/// does not. Nothing is recorded.
#[utoipa::path(post, path = "/webhooks/twilio/confirm", tag = "webhook",
    request_body(content = CallForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "what the person hears", body = String, content_type = "text/xml")),
    security(()))]
pub(super) async fn confirm(request: Verified) -> Response {
    twiml(&calls::confirm(&request.incoming()))
}

/// Takes note of how a call stands
#[utoipa::path(post, path = "/webhooks/twilio/status", tag = "webhook",
    request_body(content = CallForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 204, description = "it is written down")), security(()))]
pub(super) async fn status(Shared(state): Shared<Arc<State>>, request: Verified) -> StatusCode {
    let event = calls::status(&request.incoming());
    if let Some((webhook, event)) = state.webhook.as_ref().zip(event) {
        webhook.append(&state.recorder, &event).await;
    }
    StatusCode::NO_CONTENT
}

/// Takes note of how a call stands, told by GET
#[utoipa::path(get, path = "/webhooks/twilio/status", tag = "webhook",
    params(("CallSid" = String, Query, description = "the call; more parameters as in the form",
            min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")),
    responses((status = 204, description = "it is written down")), security(()))]
pub(super) async fn status_by_get(state: Shared<Arc<State>>, request: Verified) -> StatusCode {
    status(state, request).await
}

/// Answers a call by the default route
///
/// For the provider, where the first answer did not reach it or could not be used.
#[utoipa::path(post, path = "/webhooks/twilio/fallback", tag = "webhook",
    request_body(content = CallForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "what to do with the call", body = String, content_type = "text/xml")),
    security(()))]
pub(super) async fn fallback(Shared(state): Shared<Arc<State>>, request: Verified) -> Response {
    let decide = |tenants: &Tenants, incoming: &Incoming<'_>| {
        let code: String = incoming.form.get("ErrorCode").unwrap_or_default().chars().take(8).collect();
        let code = Some(code).filter(|code| !code.is_empty() && code.bytes().all(|b| b.is_ascii_digit()));
        let code = code.map(|code| format!(" after error {code}")).unwrap_or_default();
        let incoming = Incoming { asks_fallback: true, ..*incoming };
        by_default(tenants, &incoming, &format!("the provider asked the fallback{code}"))
    };
    answer(&state, "fallback", &request, decide).await
}

/// Answers a call by the default route, asked by GET
#[utoipa::path(get, path = "/webhooks/twilio/fallback", tag = "webhook",
    params(("CallSid" = String, Query, description = "the call; more parameters as in the form",
            min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$")),
    responses((status = 200, description = "what to do with the call", body = String, content_type = "text/xml")),
    security(()))]
pub(super) async fn fallback_by_get(state: Shared<Arc<State>>, request: Verified) -> Response {
    fallback(state, request).await
}

/// Answers a request; the webhook is there where one was verified.
async fn answer(
    state: &State,
    route: &'static str,
    request: &Verified,
    decide: impl Fn(&Tenants, &Incoming<'_>) -> Reply,
) -> Response {
    match &state.webhook {
        Some(webhook) => webhook.answer(&state.recorder, route, request, decide).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

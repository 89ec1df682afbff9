//! What the webhook did, for `/metrics`. No number and no e-mail stands in a label, and nothing that a
//! request made up.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::calls::{Outcome, Reply, Tenants, Verb, What};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    dialer: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    dialer: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Class {
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    reason: &'static str,
}

/// Counters since the server was started.
pub(in crate::serve) struct Counters {
    requests: Family<Answered, Counter>,
    dial_results: Family<Ended, Counter>,
    caller_class: Family<Class, Counter>,
    signatures: Family<Failed, Counter>,
    retries: Counter,
    degraded: Counter,
    unrecorded: Counter,
    seconds: Histogram,
    skipped: Gauge,
    unconfigured: Gauge,
    /// The dialers that the applied routes name.
    dialers: RwLock<BTreeSet<String>>,
}

impl Counters {
    pub(in crate::serve) fn new(registry: &mut Registry) -> Self {
        let buckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0];
        let counters = Self {
            requests: Family::default(),
            dial_results: Family::default(),
            caller_class: Family::default(),
            signatures: Family::default(),
            retries: Counter::default(),
            degraded: Counter::default(),
            unrecorded: Counter::default(),
            seconds: Histogram::new(buckets),
            skipped: Gauge::default(),
            unconfigured: Gauge::default(),
            dialers: RwLock::default(),
        };
        registry.register("webhook_requests", "Requests about calls that were answered", counters.requests.clone());
        registry.register("webhook_seconds", "How long the answers took", counters.seconds.clone());
        registry.register("webhook_dial_result", "How dialled steps ended", counters.dial_results.clone());
        registry.register("webhook_caller_class", "Calls by the kind of caller", counters.caller_class.clone());
        let help = "Requests that were refused for their signature";
        registry.register("webhook_signature_failures", help, counters.signatures.clone());
        let help = "Whether requests are answered whoever sends them";
        registry.register("webhook_signature_skipped", help, counters.skipped.clone());
        let help = "Whether calls are routed that nobody answers: the auth token is missing";
        registry.register("webhook_unconfigured", help, counters.unconfigured.clone());
        registry.register("webhook_retry_requests", "Requests that came again", counters.retries.clone());
        let help = "Calls that were answered though something was not as it should be";
        registry.register("webhook_degraded", help, counters.degraded.clone());
        let help = "Calls that were answered without being written down";
        registry.register("webhook_unrecorded", help, counters.unrecorded.clone());
        counters
    }

    /// Takes over which dialers there are.
    pub(in crate::serve) fn know(&self, tenants: &Tenants) {
        let dialers =
            tenants.values().flat_map(|applied| applied.routes.dialers.keys().map(ToString::to_string)).collect();
        *self.dialers.write().unwrap_or_else(PoisonError::into_inner) = dialers;
    }

    /// Says that signatures are not looked at.
    pub(super) fn skipped(&self) {
        self.skipped.set(1);
    }

    /// Says whether calls are routed that nobody answers, for want of a token; tells whether that is new.
    pub(in crate::serve) fn unconfigured(&self, routed: bool) -> bool {
        self.unconfigured.set(routed.into()) == 0 && routed
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.signatures.get_or_create(&Failed { reason }).inc();
    }

    pub(super) fn unrecorded(&self) {
        self.unrecorded.inc();
    }

    /// Counts an answer; `ended` is whose step had ended.
    pub(super) fn answered(
        &self,
        route: &'static str,
        reply: &Reply,
        ended: Option<&str>,
        retry: bool,
        took: Duration,
    ) {
        let outcome = match reply.twiml.0.first() {
            Some(Verb::Dial(_)) => "dialled",
            Some(Verb::Reject(_)) => "refused",
            Some(Verb::Hangup) | None => "ended",
        };
        let dialer = self.dialer(reply.target.as_deref());
        self.requests.get_or_create(&Answered { route, dialer, outcome }).inc();
        self.seconds.observe(took.as_secs_f64());
        if retry {
            self.retries.inc();
            return;
        }
        match &reply.event.what {
            What::Answered(answer) => {
                self.caller_class.get_or_create(&Class { class: answer.caller_class.word() }).inc();
                if answer.degraded.is_some() {
                    self.degraded.inc();
                }
            }
            What::Step { outcome, .. } => {
                let status = match outcome {
                    Outcome::Answered => "answered",
                    Outcome::Busy => "busy",
                    Outcome::NoAnswer => "no-answer",
                    Outcome::Failed => "failed",
                    Outcome::Canceled => "canceled",
                };
                self.dial_results.get_or_create(&Ended { dialer: self.dialer(ended), status }).inc();
            }
            What::Status { .. } => {}
        }
    }

    /// Names a dialer; people are all called `user`, and what no route names `other`: where signatures
    /// are not looked at, a URL holds what anybody likes.
    fn dialer(&self, target: Option<&str>) -> String {
        let dialers = self.dialers.read().unwrap_or_else(PoisonError::into_inner);
        let word = match target {
            None => "none",
            Some(email) if email.contains('@') => "user",
            Some(name) if dialers.contains(name) => name,
            Some(_) => "other",
        };
        word.to_owned()
    }
}

//! What the webhook did, for `/metrics`. No number and no e-mail stands in a label, and nothing that a
//! request made up. What names a dialer, or tells how many calls a tenant has, is counted for each tenant
//! apart: a token reads its own tenant's only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{
    calls::{Outcome, Reply, Tenants, Verb, What},
    model::Tenant,
};

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

/// What a tenant's calls did; clones count together.
#[derive(Default, Clone)]
struct TenantCounters {
    requests: Family<Answered, Counter>,
    dial_results: Family<Ended, Counter>,
    caller_class: Family<Class, Counter>,
    /// What rings for calls that are sent to objects of the applied routes, by name.
    called: Arc<BTreeSet<String>>,
}

impl TenantCounters {
    fn register(&self, registry: &mut Registry) {
        registry.register("webhook_requests", "Webhook requests that were answered", self.requests.clone());
        registry.register("webhook_dial_result", "How dialled steps ended", self.dial_results.clone());
        registry.register("webhook_caller_class", "Calls by the kind of caller", self.caller_class.clone());
    }

    /// Names a dialer; people are all called `user`, and what no route names `other`: where signatures
    /// are not looked at, a URL may hold anything.
    fn dialer(&self, target: Option<&str>) -> String {
        let word = match target {
            None => "none",
            Some(email) if email.contains('@') => "user",
            Some(name) if self.called.contains(name) => name,
            Some(_) => "other",
        };
        word.to_owned()
    }
}

/// Counters since the server was started.
pub(in crate::serve) struct Counters {
    signatures: Family<Failed, Counter>,
    retries: Counter,
    degraded: Counter,
    unrecorded: Counter,
    seconds: Histogram,
    skipped: Gauge,
    unconfigured: Gauge,
    /// By tenant: those whose routes are applied.
    tenants: RwLock<BTreeMap<Tenant, TenantCounters>>,
}

impl Counters {
    pub(in crate::serve) fn new(registry: &mut Registry) -> Self {
        let buckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0];
        let counters = Self {
            signatures: Family::default(),
            retries: Counter::default(),
            degraded: Counter::default(),
            unrecorded: Counter::default(),
            seconds: Histogram::new(buckets),
            skipped: Gauge::default(),
            unconfigured: Gauge::default(),
            tenants: RwLock::default(),
        };
        registry.register("webhook_seconds", "Time to answer a webhook request", counters.seconds.clone());
        let help = "Requests that were rejected because of their signature";
        registry.register("webhook_signature_failures", help, counters.signatures.clone());
        let help = "1 if signatures are not verified (`--insecure-skip-signature`)";
        registry.register("webhook_signature_skipped", help, counters.skipped.clone());
        let help = "1 if routes are applied, but the auth token is missing, so that no call is answered";
        registry.register("webhook_unconfigured", help, counters.unconfigured.clone());
        registry.register(
            "webhook_retry_requests",
            "Requests about calls that Twilio sent again",
            counters.retries.clone(),
        );
        let help = "Calls that were answered in spite of a problem, named in the record of the call";
        registry.register("webhook_degraded", help, counters.degraded.clone());
        let help = "Calls that were answered but not recorded";
        registry.register("webhook_unrecorded", help, counters.unrecorded.clone());
        counters
    }

    /// Takes over which tenants and dialers there are.
    pub(in crate::serve) fn know(&self, tenants: &Tenants) {
        let mut counters = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        for (tenant, applied) in tenants {
            counters.entry(tenant.clone()).or_default().called = Arc::new(applied.routes.rings().into_keys().collect());
        }
    }

    /// Adds what a tenant's calls did to a registry, labelled with the tenant.
    pub(in crate::serve) fn register(&self, tenant: &Tenant, registry: &mut Registry) {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = tenants.get(tenant) {
            counters.register(registry.sub_registry_with_label(("tenant".into(), tenant.to_string().into())));
        }
    }

    /// Says that signatures are not looked at.
    pub(super) fn skipped(&self) {
        self.skipped.set(1);
    }

    /// Notes whether calls are routed that this server cannot answer for want of a token. Returns whether that is new.
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
        self.seconds.observe(took.as_secs_f64());
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let tenant = reply.event.tenant.as_ref().and_then(|tenant| tenants.get(tenant));
        let outcome = match reply.twiml.0.first() {
            Some(Verb::Dial(_)) => "dialled",
            Some(Verb::Reject(_)) => "refused",
            Some(Verb::Gather(_) | Verb::Hangup) | None => "ended",
        };
        if let Some(tenant) = tenant {
            let dialer = tenant.dialer(reply.target.as_deref());
            tenant.requests.get_or_create(&Answered { route, dialer, outcome }).inc();
        }
        if retry {
            self.retries.inc();
            return;
        }
        match &reply.event.what {
            What::Answered(answer) => {
                if let Some(tenant) = tenant {
                    tenant.caller_class.get_or_create(&Class { class: answer.caller_class.word() }).inc();
                }
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
                if let Some(tenant) = tenant {
                    tenant.dial_results.get_or_create(&Ended { dialer: tenant.dialer(ended), status }).inc();
                }
            }
            What::Status { .. } => {}
        }
    }
}

//! What a provider's request about a call is answered with, and what is written down about it.
//!
//! Pure: what was applied, the request's parameters and the instant come in. Where something is
//! missing, the answer is the best there is, and `degraded` says why.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;

use super::{
    Answer, Call, Decision, Dial, Event, Form, Gather, LiveRoutes, Outcome, Reason, Response, Started, Status, Verb,
    What, decide,
    steps::{Numbers, Step},
};
use crate::{
    model::{Caller, E164, Tenant, quoted},
    objects::{Called, Target},
};

/// The path to which the provider reports the end of a step.
pub(crate) const DIAL_RESULT: &str = "/webhooks/twilio/dial-result";

/// The path that says what a person hears who must confirm a call, and to which the digit is sent.
pub(crate) const CONFIRM: &str = "/webhooks/twilio/confirm";

/// The digit by which a person confirms a call.
const CONFIRMS: &str = "1";

/// How long that digit is waited for, in seconds.
const CONFIRM_WITHIN: u32 = 8;

/// How many of the rules that were looked at stand in a reason.
const RULES: usize = 8;

/// The last step that a URL may name: no chain is as long, and what counts on from there stays a number.
const LAST_STEP: u32 = 1000;

/// A request about a call, whose signature was verified.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The call, by the provider's id.
    pub call_sid: &'a str,
    /// The parameters.
    pub form: &'a Form,
    /// The parameters of the URL.
    pub query: &'a Form,
    /// The URL under which this server is reached.
    pub base: &'a str,
    /// When it was there.
    pub at: Timestamp,
    /// Whether the fallback is asked, as an earlier answer did not arrive or could not be used.
    pub(crate) asks_fallback: bool,
}

/// An answer, and what is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The answer.
    pub(crate) twiml: Response,
    /// What became known.
    pub event: Event,
    /// Who is dialled now: an object, a user's e-mail, or a phone's id.
    pub target: Option<String>,
}

/// What was applied, by tenant.
pub type Tenants = BTreeMap<Tenant, LiveRoutes>;

impl Incoming<'_> {
    fn from(&self) -> &str {
        self.form.get("From").or_else(|| self.form.get("Caller")).unwrap_or_default()
    }

    fn to(&self) -> &str {
        self.form.get("To").or_else(|| self.form.get("Called")).unwrap_or_default()
    }

    /// Returns what was called, in a SIP address its user, without the parameters behind it, such as
    /// `;npdi=yes`.
    fn called_text(&self) -> &str {
        let to = self.to();
        let user = to.split_once(':').filter(|(scheme, _)| is_sip(scheme)).map(|(_, rest)| rest);
        let user = user.map(|rest| rest.split('@').next().unwrap_or_default());
        user.unwrap_or(to).split(';').next().unwrap_or_default()
    }

    /// Reads the called number as the generated dialplan does: one of the tenants' numbers may lack its
    /// `+`, in a SIP address also.
    fn called(&self, tenants: &Tenants) -> Option<E164> {
        let text = self.called_text();
        let with_plus = || {
            let number: E164 = format!("+{text}").parse().ok()?;
            tenants.values().any(|applied| owns(applied, &number)).then_some(number)
        };
        text.parse().ok().or_else(with_plus)
    }

    /// Returns the called number if it may be shown as a caller ID: it is the tenant's, or the provider
    /// called it as a number. The user of a SIP address may be anything else.
    fn ours(&self, called: Option<&E164>, applied: &LiveRoutes) -> Option<E164> {
        let is_address = self.to().split_once(':').is_some_and(|(scheme, _)| is_sip(scheme));
        called.filter(|number| !is_address || owns(applied, number)).cloned()
    }

    /// Where the fallback is asked: the step at which its chain begins. It leaves out the one that the
    /// lost answer would have begun, which may have been written down.
    fn fallback_step(&self) -> Option<u32> {
        let lost = self.form.get("ErrorUrl").map_or(0, lost_step);
        self.asks_fallback.then(|| lost.saturating_add(1))
    }

    fn event(&self, tenant: Option<Tenant>, what: What) -> Event {
        Event { call_sid: self.call_sid.to_owned(), tenant, at: self.at, what }
    }
}

/// Answers a call: by the rules of the tenant whose call it is.
pub fn answer(tenants: &Tenants, incoming: &Incoming<'_>) -> Reply {
    let called = incoming.called(tenants);
    let (applied, mut degraded) = tenant_of(tenants, called.as_ref(), incoming.query.get("tenant"));
    let Some(applied) = applied else { return refuse(incoming, "no routes are applied") };
    let from = Caller::new(incoming.from());
    let ours = incoming.ours(called.as_ref(), applied);
    let numbers = Numbers { called: ours.as_ref(), caller: &from };
    let call = Call { to: called.clone(), from: Some(from.clone()), at: incoming.at };
    let decision = decide(&applied.routes, &call);
    let (mut steps, left_out) = Step::of(applied, &applied.routes.chain(decision.targets), &numbers);
    degraded.extend(left_out);
    if steps.is_empty() && !decision.targets.is_empty() {
        degraded.push("nobody is left: the default route is taken".to_owned());
        steps = Step::of(applied, &applied.routes.chain(&applied.routes.default_route.0), &numbers).0;
    }
    let (rule, reason) = (decision.rule().map(ToString::to_string), reason(&decision));
    reply(incoming, Some(&applied.tenant), &steps, Chosen { rule, reason, targets: decision.targets, degraded })
}

/// Answers a call by the default route alone, where its rules cannot be used.
pub(crate) fn answer_by_default(tenants: &Tenants, incoming: &Incoming<'_>, why: &str) -> Reply {
    let called = incoming.called(tenants);
    let (applied, mut degraded) = tenant_of(tenants, called.as_ref(), incoming.query.get("tenant"));
    let Some(applied) = applied else { return refuse(incoming, why) };
    let from = Caller::new(incoming.from());
    let targets = &applied.routes.default_route.0;
    let ours = incoming.ours(called.as_ref(), applied);
    let (steps, left_out) =
        Step::of(applied, &applied.routes.chain(targets), &Numbers { called: ours.as_ref(), caller: &from });
    degraded.extend(left_out);
    degraded.insert(0, why.to_owned());
    let reason = "the default route is taken".to_owned();
    reply(incoming, Some(&applied.tenant), &steps, Chosen { rule: None, reason, targets, degraded })
}

/// Refuses a call, where nothing is known at all.
pub fn refuse(incoming: &Incoming<'_>, why: &str) -> Reply {
    let reason = "nobody can get it".to_owned();
    reply(incoming, None, &[], Chosen { rule: None, reason, targets: &[], degraded: vec![why.to_owned()] })
}

/// Goes on with a call one of whose steps ended, by the URL alone.
pub(crate) fn dial_result(incoming: &Incoming<'_>) -> Reply {
    let Incoming { form, query, .. } = incoming;
    let outcome = outcome(form);
    let tenant = query.get("tenant").and_then(|slug| slug.parse().ok());
    let step = step_of(query);
    let remaining: Vec<Step> = query.all("next").filter_map(Step::from_text).collect();
    let (verbs, next) = match outcome {
        Outcome::Answered => (vec![Verb::Hangup], None),
        Outcome::Canceled => (Vec::new(), None),
        Outcome::Busy | Outcome::NoAnswer | Outcome::Failed => {
            let (verb, next) = begin(incoming, tenant.as_ref(), step.saturating_add(1), &remaining);
            (vec![verb.unwrap_or(Verb::Hangup)], next)
        }
    };
    let what = What::Step {
        step,
        outcome,
        duration: form.get("DialCallDuration").and_then(|seconds| seconds.parse().ok()),
        sip_code: form.get("DialSipResponseCode").and_then(|code| code.parse().ok()),
        next: next.clone(),
    };
    let target = next.map(|next| next.target);
    Reply { twiml: Response(verbs), event: incoming.event(tenant, what), target }
}

/// Asks the person who answered for the digit that confirms the call, and connects the call once it came. An answering
/// machine presses none.
pub fn confirm(incoming: &Incoming<'_>) -> Response {
    match incoming.form.get("Digits") {
        Some(CONFIRMS) => Response(Vec::new()),
        Some(_) => Response(vec![Verb::Hangup]),
        None => {
            let action = format!("{}{CONFIRM}", incoming.base);
            let say = format!("Press {CONFIRMS} to take the call.");
            Response(vec![Verb::Gather(Gather { action, timeout: CONFIRM_WITHIN, say }), Verb::Hangup])
        }
    }
}

/// Reads the state of a call, or `None` if the provider's word for it is unknown.
pub fn status(incoming: &Incoming<'_>) -> Option<Event> {
    let status = match incoming.form.get("CallStatus")? {
        "queued" | "initiated" => Status::Received,
        "ringing" => Status::Ringing,
        "in-progress" => Status::InProgress,
        "completed" => Status::Completed,
        "busy" => Status::Busy,
        "failed" => Status::Failed,
        "no-answer" => Status::NoAnswer,
        "canceled" => Status::Canceled,
        _ => return None,
    };
    let seconds = incoming.form.get("CallDuration").or_else(|| incoming.form.get("Duration"));
    let duration = seconds.and_then(|seconds| seconds.parse().ok());
    let tenant = incoming.query.get("tenant").and_then(|slug| slug.parse().ok());
    Some(incoming.event(tenant, What::Status { status, duration }))
}

/// Finds whose call it is: who names the called number; whom the URL names; the only one; the first.
fn tenant_of<'a>(
    tenants: &'a Tenants,
    called: Option<&E164>,
    slug: Option<&str>,
) -> (Option<&'a LiveRoutes>, Vec<String>) {
    let routed = || tenants.values().filter(|applied| applied.routes.take_calls());
    let is_named = |applied: &&LiveRoutes| Some(applied.tenant.as_str()) == slug;
    let owners = || routed().filter(|applied| called.is_some_and(|called| owns(applied, called)));
    if let Some(owner) = owners().find(is_named).or_else(|| owners().min_by_key(|applied| Reverse(applied.run))) {
        let mut degraded = Vec::new();
        if owners().count() > 1 && !is_named(&owner) {
            let tenant = &owner.tenant;
            degraded.push(format!("several tenants have the called number: `{tenant}` applied last"));
        }
        return (Some(owner), degraded);
    }
    if let Some(named) = routed().find(is_named) {
        return (Some(named), Vec::new());
    }
    let Some(first) = routed().next() else { return (None, Vec::new()) };
    let tenant = &first.tenant;
    let degraded = match slug {
        Some(slug) => {
            let names: Vec<String> = routed().take(NAMED).map(|applied| format!("`{}`", applied.tenant)).collect();
            let more = if routed().count() > NAMED { " and others" } else { "" };
            let names = names.join(", ");
            format!(
                "the URL names the tenant {}, and only {names}{more} have routes: `{tenant}` gets the call",
                quoted(slug)
            )
        }
        None if routed().count() == 1 => return (Some(first), Vec::new()),
        None => format!("no tenant has the called number, and the URL names none: `{tenant}` is the first"),
    };
    (Some(first), vec![degraded])
}

/// How many tenants are named that a URL could have meant.
const NAMED: usize = 10;

/// Finds which step the answer from a URL would have begun: the first one, or the one that follows.
fn lost_step(url: &str) -> u32 {
    let url = url.split('#').next().unwrap_or_default();
    let query = url.split_once('?').filter(|(path, _)| path.ends_with(DIAL_RESULT)).map(|(_, query)| query);
    query.map_or(0, |query| step_of(&Form::parse(query.as_bytes())).saturating_add(1))
}

/// Reads which step ended.
fn step_of(query: &Form) -> u32 {
    query.get("step").and_then(|step| step.parse().ok()).unwrap_or(0).min(LAST_STEP)
}

/// Tells whether this is the scheme of a SIP address.
fn is_sip(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips")
}

fn owns(applied: &LiveRoutes, called: &E164) -> bool {
    applied.routes.rules.iter().any(|rule| matches!(&rule.to, Called::Did(number) if number == called))
}

/// What was chosen for a call, and why.
struct Chosen<'a> {
    rule: Option<String>,
    reason: String,
    targets: &'a [Target],
    degraded: Vec<String>,
}

fn reply(incoming: &Incoming<'_>, tenant: Option<&Tenant>, steps: &[Step], chosen: Chosen<'_>) -> Reply {
    let caller = Caller::new(incoming.from());
    let fallback = incoming.fallback_step();
    let (verb, first) = begin(incoming, tenant, fallback.unwrap_or(0), steps);
    // Nobody was dialled: the call is refused without being answered.
    let verb = verb.unwrap_or(Verb::Reject(match steps.first() {
        Some(Step::Busy) => Reason::Busy,
        _ => Reason::Rejected,
    }));
    let answer = Answer {
        from: incoming.from().to_owned(),
        to: incoming.to().to_owned(),
        direction: incoming.form.get("Direction").unwrap_or_default().to_owned(),
        caller_class: caller.class(),
        received_at: incoming.at,
        routed_at: incoming.at,
        response_ms: 0.0,
        rule: chosen.rule,
        reason: chosen.reason,
        targets: chosen.targets.iter().map(ToString::to_string).collect(),
        first: first.clone(),
        retry: false,
        degraded: (!chosen.degraded.is_empty()).then(|| chosen.degraded.join("; ")),
        fallback,
    };
    Reply {
        twiml: Response(vec![verb]),
        event: incoming.event(tenant.cloned(), What::Answered(Box::new(answer))),
        target: first.map(|first| first.target),
    }
}

/// Begins the first of the steps that remain, or `None` if it dials no one.
fn begin(
    incoming: &Incoming<'_>,
    tenant: Option<&Tenant>,
    step: u32,
    remaining: &[Step],
) -> (Option<Verb>, Option<Started>) {
    let [Step::Dial { target, ring, caller_id, nouns }, rest @ ..] = remaining else { return (None, None) };
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(tenant) = tenant {
        query.append_pair("tenant", tenant.as_str());
    }
    query.append_pair("step", &step.to_string()).append_pair("target", target);
    query.extend_pairs(rest.iter().map(|step| ("next", step.to_text())));
    // A blank in the one form that every reader of URLs takes for a blank.
    let query = query.finish().replace('+', "%20");
    let dial = Dial {
        action: format!("{}{DIAL_RESULT}?{query}", incoming.base),
        timeout: *ring,
        caller_id: caller_id.clone(),
        confirm: format!("{}{CONFIRM}", incoming.base),
        nouns: nouns.clone(),
    };
    (Some(Verb::Dial(dial)), Some(Started { step, target: target.clone() }))
}

fn outcome(form: &Form) -> Outcome {
    let bridged = form.get("DialBridged");
    if bridged == Some("true") {
        return Outcome::Answered;
    }
    match form.get("DialCallStatus") {
        // A person or a machine answered, and did not confirm the call.
        Some("completed" | "answered") if bridged == Some("false") => Outcome::NoAnswer,
        Some("completed" | "answered") => Outcome::Answered,
        Some("busy") => Outcome::Busy,
        Some("no-answer") => Outcome::NoAnswer,
        Some("canceled") => Outcome::Canceled,
        _ => Outcome::Failed,
    }
}

/// Says in words why it is so: what came of each rule.
fn reason(decision: &Decision<'_>) -> String {
    let rules = &decision.considered;
    let passed = rules.len().saturating_sub(RULES);
    let mut parts = Vec::new();
    if passed > 0 {
        parts.push(format!("{passed} more specific rules do not fit"));
    }
    parts.extend(rules[passed..].iter().map(|rule| format!("{rule}: {}", rule.because())));
    if decision.rule().is_none() {
        let none = decision.targets.is_empty();
        let default = if none { "there is no default route" } else { "the default route does" };
        parts.push(format!("no rule decides: {default}"));
    }
    parts.join("; ")
}

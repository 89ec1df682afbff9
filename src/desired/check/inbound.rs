//! The rules about inbound calls: every name is known, no two rules contradict each other, no call
//! goes round in circles, and what is expected holds.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Expectation, FAILED_EXPECTATION, SecretSource,
    diagnostic::{Diagnostic, Place},
    file,
    read::{At, Named},
};
use crate::{
    calls::{
        Call, Called, Caller, CallerId, CallerMatch, Dialer, DialerTarget, Entry, Hours, NumberSource, Routes, Rule,
        Target, Trunk, decide, loops,
    },
    model::{Email, EmailKey, ObjectName, nearest},
};

/// What the file says about inbound calls.
pub(super) struct Keys {
    pub(super) trunks: Option<At<Named<file::Trunk>>>,
    pub(super) dialers: Option<At<Named<file::Dialer>>>,
    pub(super) hours: Option<At<Named<file::OpeningHours>>>,
    pub(super) inbound: Option<At<Vec<At<file::InboundRule>>>>,
    pub(super) default_route: Option<At<Vec<At<file::TargetName>>>>,
    pub(super) public_sip_host: Option<At<file::Host>>,
    pub(super) expect: Option<At<Vec<At<file::Expectation>>>>,
}

/// What it means.
pub(super) struct Checked {
    pub(super) routes: Routes,
    pub(super) trunk_secrets: BTreeMap<ObjectName, SecretSource>,
    pub(super) route_places: Vec<Place>,
    pub(super) expectations: Vec<Expectation>,
}

/// The names that may be referred to.
struct Names<'a> {
    users: &'a BTreeSet<EmailKey>,
    dialers: BTreeSet<ObjectName>,
    /// Whether a Twilio call can reach a user's phone.
    public_sip_host: bool,
}

/// Checks what the file says about inbound calls.
pub(super) fn check(keys: Keys, users: &BTreeSet<EmailKey>, problems: &mut Vec<Diagnostic>) -> Checked {
    let (trunks, trunk_secrets) = trunks(keys.trunks, problems);
    let dialers = dialers(keys.dialers, &trunks.keys().cloned().collect(), problems);
    let hours = hours(keys.hours, problems);
    let names =
        Names { users, dialers: dialers.keys().cloned().collect(), public_sip_host: keys.public_sip_host.is_some() };
    let (rules, route_places) = rules(keys.inbound, &names, &hours, problems);
    let routes = Routes {
        trunks,
        dialers: dialers.into_iter().map(|(name, (_, dialer))| (name, dialer)).collect(),
        hours,
        rules,
        default_route: targets(keys.default_route, &names, problems),
        public_sip_host: keys.public_sip_host.and_then(|at| at.value).map(String::from),
        caller_id: None,
    };
    contradictions(&routes, &route_places, problems);
    let expectations = expectations(keys.expect, &routes, &names, problems);
    Checked { routes, trunk_secrets, route_places, expectations }
}

/// Reads the names of a mapping, each in the form of an object's name.
fn named<T>(keys: Option<At<Named<T>>>, problems: &mut Vec<Diagnostic>) -> Vec<(Place, ObjectName, T)> {
    let pairs = keys.and_then(|at| at.value).unwrap_or_default().0;
    let mut kept = Vec::with_capacity(pairs.len());
    for (place, name, value) in pairs {
        match name.parse::<ObjectName>() {
            Err(invalid) => problems.push(Diagnostic::invalid(invalid, place)),
            Ok(name) => kept.extend(value.value.map(|value| (place, name, value))),
        }
    }
    kept
}

/// How long the name of a trunk may be: with the tenant's it is that of a section, 79 bytes at most.
const TRUNK_NAME: usize = 40;

fn trunks(
    keys: Option<At<Named<file::Trunk>>>,
    problems: &mut Vec<Diagnostic>,
) -> (BTreeMap<ObjectName, Trunk>, BTreeMap<ObjectName, SecretSource>) {
    let (mut trunks, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for (place, name, trunk) in named(keys, problems) {
        let register = trunk.register.and_then(|at| at.value).unwrap_or(false);
        if register && (trunk.username.is_none() || trunk.secret.is_none()) {
            let message = format!("the trunk `{name}` registers, but has no user name and secret");
            problems.push(Diagnostic::error("incomplete-trunk", message, place).hint("add `username:` and `secret:`"));
        } else if trunk.username.is_some() != trunk.secret.is_some() {
            let message = format!("the trunk `{name}` has a user name or a secret, but not both");
            problems.push(
                Diagnostic::error("incomplete-trunk", message, place).hint("add the other one, or leave out both"),
            );
        }
        if name.as_str().len() > TRUNK_NAME {
            let message = format!("the name of the trunk `{name}` is {} characters long", name.as_str().len());
            let hint = format!("its objects in Asterisk bear the tenant's name too: at most {TRUNK_NAME} are left");
            problems.push(Diagnostic::error("invalid-object-name", message, place).hint(hint));
        }
        let Some(host) = trunk.host.value else { continue };
        secrets.extend(trunk.secret.and_then(|at| at.value).map(|secret| (name.clone(), secret)));
        let trunk = Trunk {
            host: host.into(),
            identify: super::values(trunk.identify).into_iter().map(String::from).collect(),
            username: trunk.username.and_then(|at| at.value),
            realm: trunk.realm.and_then(|at| at.value),
            register,
        };
        trunks.insert(name, trunk);
    }
    (trunks, secrets)
}

fn dialers(
    keys: Option<At<Named<file::Dialer>>>,
    trunks: &BTreeSet<ObjectName>,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<ObjectName, (Place, Dialer)> {
    let mut dialers = BTreeMap::new();
    for (place, name, dialer) in named(keys, problems) {
        if ["hangup", "busy", "default"].contains(&name.as_str()) {
            let message = format!("a dialer cannot be called `{name}`");
            problems.push(Diagnostic::error("reserved-name", message, place).hint("choose another name"));
        }
        let target = match (dialer.number, dialer.sip) {
            (Some(number), None) => number.value.map(|number| DialerTarget::Number(number.0)),
            (None, Some(sip)) => sip.value.map(|sip| DialerTarget::Sip(sip.into())),
            _ => {
                let message = format!("the dialer `{name}` needs either a number or a SIP address");
                problems.push(Diagnostic::error("incomplete-dialer", message, place).hint("write `number:` or `sip:`"));
                None
            }
        };
        let trunk = dialer.trunk.and_then(|at| known("trunk", &at, trunks, problems));
        let Some(target) = target else { continue };
        let caller_id = match dialer.caller_id.and_then(|at| at.value) {
            None => CallerId::Called,
            Some(text) if text.as_str() == "called" => CallerId::Called,
            Some(text) if text.as_str() == "caller" => CallerId::Caller,
            Some(text) => text.as_str().parse().map_or(CallerId::Called, CallerId::Number),
        };
        let ring = dialer.ring.and_then(|at| at.value).map_or(30, |ring| ring.0);
        dialers.insert(name, (place, Dialer { target, caller_id, ring, trunk }));
    }
    dialers
}

fn hours(keys: Option<At<Named<file::OpeningHours>>>, problems: &mut Vec<Diagnostic>) -> BTreeMap<ObjectName, Hours> {
    let mut hours = BTreeMap::new();
    for (_, name, opening) in named(keys, problems) {
        let closed = super::values(opening.closed).into_iter().map(|date| date.0).collect();
        let open = super::values(Some(opening.open));
        let Some(timezone) = opening.timezone.value else { continue };
        hours.insert(name, Hours { timezone, open, closed });
    }
    hours
}

/// Reads a reference to something that has a name.
fn known(
    what: &'static str,
    at: &At<ObjectName>,
    names: &BTreeSet<ObjectName>,
    problems: &mut Vec<Diagnostic>,
) -> Option<ObjectName> {
    let name = at.value.clone()?;
    if !names.contains(&name) {
        problems.push(unknown(what, name.as_str(), at.place, names.iter().map(ObjectName::as_str)));
    }
    Some(name)
}

fn unknown<'a>(what: &str, name: &str, place: Place, names: impl Iterator<Item = &'a str> + Clone) -> Diagnostic {
    let hint = match nearest(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => match names.collect::<Vec<_>>().as_slice() {
            [] => format!("no {what} is declared"),
            names => format!("declared are: {}", names.join(", ")),
        },
    };
    Diagnostic::error("unknown-reference", format!("no such {what}: `{name}`"), place).hint(hint)
}

fn rules(
    keys: Option<At<Vec<At<file::InboundRule>>>>,
    names: &Names<'_>,
    hours: &BTreeMap<ObjectName, Hours>,
    problems: &mut Vec<Diagnostic>,
) -> (Vec<Rule>, Vec<Place>) {
    let (mut rules, mut places) = (Vec::new(), Vec::new());
    let known_hours: BTreeSet<ObjectName> = hours.keys().cloned().collect();
    for At { place, value } in keys.and_then(|at| at.value).unwrap_or_default() {
        let Some(rule) = value else { continue };
        let to = rule.to.value.map(|to| to.as_str().parse().map_or(Called::Default, Called::Did));
        let when = rule.when.and_then(|at| known("hours", &at, &known_hours, problems));
        if when.is_none() && rule.otherwise.is_some() {
            let place = rule.otherwise.as_ref().map_or(place, |at| at.place);
            let message = "`otherwise` has no hours that it could be outside of";
            problems.push(Diagnostic::error("unreachable-route", message, place).hint("add `when:`, or remove it"));
        }
        let from = super::values(rule.from);
        let from =
            from.into_iter().map(|from| from.as_str().parse().map_or(CallerMatch::Withheld, CallerMatch::Prefix));
        let (from, route) = (from.collect(), targets(Some(rule.route), names, problems));
        let otherwise = rule.otherwise.map(|at| targets(Some(at), names, problems));
        let Some(to) = to else { continue };
        let protected = rule.protected.and_then(|at| at.value).unwrap_or(false);
        rules.push(Rule { to, from, when, route, otherwise, protected });
        places.push(place);
    }
    (rules, places)
}

/// Reads who gets a call, tried in turn.
fn targets(
    list: Option<At<Vec<At<file::TargetName>>>>,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Target> {
    let Some(At { place, value: Some(items) }) = list else { return Vec::new() };
    if items.is_empty() {
        let hint = "name at least one dialer or user; `[hangup]` ends the call";
        problems.push(Diagnostic::error("empty-route", "nobody gets these calls", place).hint(hint));
    }
    let mut targets: Vec<Target> = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let Some(target) = target(item, names, problems) else { continue };
        if matches!(target, Target::Hangup | Target::Busy) && at + 1 < items.len() {
            let message = format!("nothing behind `{target}` is ever tried");
            problems.push(Diagnostic::error("unreachable-route", message, item.place).hint("put it last"));
        }
        if targets.contains(&target) {
            let message = format!("`{target}` is tried twice");
            problems.push(Diagnostic::error("duplicate-target", message, item.place).hint("keep one of them"));
        }
        targets.push(target);
    }
    targets
}

fn target(item: &At<file::TargetName>, names: &Names<'_>, problems: &mut Vec<Diagnostic>) -> Option<Target> {
    let text = item.value.as_ref()?.as_str();
    match text {
        "hangup" => return Some(Target::Hangup),
        "busy" => return Some(Target::Busy),
        _ => {}
    }
    if let Ok(email) = text.parse::<Email>() {
        let key = email.key();
        if !names.users.contains(&key) {
            problems.push(unknown("user", text, item.place, names.users.iter().map(EmailKey::as_str)));
        } else if !names.public_sip_host {
            let message = format!("a call that comes through Twilio cannot reach `{text}`, and takes the next target");
            let hint = "add `public_sip_host:`, the name under which the phones are reached from outside";
            problems.push(Diagnostic::warning("unreachable-user", message, item.place).hint(hint));
        }
        return Some(Target::User(key));
    }
    let name: ObjectName = text.parse().ok()?;
    if !names.dialers.contains(&name) {
        problems.push(unknown("dialer", text, item.place, names.dialers.iter().map(ObjectName::as_str)));
    }
    Some(Target::Dialer(name))
}

/// Finds rules that say different things about the same calls, and calls that come back to us.
fn contradictions(routes: &Routes, places: &[Place], problems: &mut Vec<Diagnostic>) {
    let entries = routes.entries();
    for (at, entry) in entries.iter().enumerate() {
        let same = |other: &&Entry<'_>| other.rule().to == entry.rule().to && other.from == entry.from;
        for earlier in entries[..at].iter().filter(same) {
            let (first, second) = (places[earlier.index], places[entry.index]);
            let Some(problem) = contradiction(routes, earlier, entry, second) else { continue };
            problems.push(problem.also(first, "the other rule"));
        }
    }
    for (rule, name) in loops(routes) {
        let number = match routes.dialers.get(name).map(|dialer| &dialer.target) {
            Some(DialerTarget::Number(NumberSource::Given(number))) => number.as_str(),
            Some(DialerTarget::Sip(address)) => address,
            Some(DialerTarget::Number(NumberSource::Env(_))) | None => continue,
        };
        problems.push(route_loop(name, number, places[rule]));
    }
}

/// Refuses a dialer whose calls come back; `number` is what it dials, in words.
pub(crate) fn route_loop(dialer: &ObjectName, number: &str, place: Place) -> Diagnostic {
    let message = format!("the dialer `{dialer}` dials {number}, which comes back to this rule");
    Diagnostic::error("route-loop", message, place).hint("give the dialer the number of the service it stands for")
}

/// Finds out whether two rules for the same calls contradict each other; the first one is looked at
/// first.
fn contradiction(routes: &Routes, first: &Entry<'_>, second: &Entry<'_>, place: Place) -> Option<Diagnostic> {
    let callers = second.from.map_or_else(String::new, |from| format!(" from {from}"));
    let calls = format!("calls to {}{callers}", second.rule().to);
    let hours = |entry: &Entry<'_>| entry.rule().when.as_ref().and_then(|name| routes.hours.get(name));
    let overlap = |when: &str| {
        let message = format!("another rule decides about {calls} {when}");
        let hint = "make one of them more specific, by `from` or by hours that do not overlap, or put both into one";
        Diagnostic::error("overlapping-routes", message, place).hint(hint)
    };
    match (hours(first), hours(second)) {
        (Some(_), _) if first.rule().otherwise.is_some() => {
            let message = format!("another rule decides about {calls} at all times, by its `otherwise`");
            let hint = "remove that `otherwise`, or this rule";
            Some(Diagnostic::error("unreachable-route", message, place).hint(hint))
        }
        (Some(one), Some(other)) => one.may_overlap(other).then(|| overlap("in some of the same hours")),
        (None, None) => Some(overlap("too")),
        _ => None,
    }
}

fn expectations(
    list: Option<At<Vec<At<file::Expectation>>>>,
    routes: &Routes,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Expectation> {
    let mut expectations = Vec::new();
    for At { place, value } in list.and_then(|at| at.value).unwrap_or_default() {
        let Some(expectation) = value else { continue };
        let expected = target(&expectation.reaches, names, problems);
        let Some(call) = expectation.call.value else { continue };
        let (Some(expected), Some(to), Some(at)) = (expected, call.to.value, call.at.value) else { continue };
        let from = call.from.and_then(|at| at.value).map(|text| Caller::new(&text));
        let call = Call { to: Some(to), from, at: at.0 };
        let decision = decide(routes, &call);
        let reached = decision.targets.first().unwrap_or(&Target::Hangup);
        if *reached != expected {
            let message = format!("this call reaches `{reached}`, not `{expected}`");
            let hint = "`reconcile trace` with the same numbers and time says why";
            problems.push(Diagnostic::error(FAILED_EXPECTATION, message, place).hint(hint));
        }
        expectations.push(Expectation { call, reaches: expected, place });
    }
    expectations
}

//! Rules: which calls each rule matches, and which rules never match.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        check::{Names, refer},
        destination,
    },
    file, loops, overlaps,
};
use crate::{
    model::{At, Code, Diagnostic, NumberSource, ObjectName, OutsideLine, Place},
    objects::{Called, CallerMatch, Entry, Hours, ObjectKind, Places, Routes, Rule},
};

/// The rules of a file.
pub(in crate::objects) struct Rules {
    pub(in crate::objects) all: Vec<Rule>,
    /// Where each stands.
    pub(in crate::objects) places: Vec<Place>,
    /// Those of which something was refused: what they are for is not known.
    pub(in crate::objects) broken: BTreeSet<usize>,
}

/// Reads the rules.
pub(in crate::objects) fn read(
    keys: Option<At<Vec<At<file::InboundRule>>>>,
    names: &Names<'_>,
    hours: &BTreeMap<ObjectName, Hours>,
    problems: &mut Vec<Diagnostic>,
) -> Rules {
    let mut read = Rules { all: Vec::new(), places: Vec::new(), broken: BTreeSet::new() };
    for At { place, value, whole, .. } in keys.and_then(|at| at.value).unwrap_or_default() {
        let Some(rule) = value else { continue };
        let to = rule.to.value.map(|to| to.as_str().parse().map_or(Called::Default, Called::Did));
        if let (None, Some(otherwise), true) = (&rule.when, &rule.otherwise, whole) {
            let message = "`otherwise` is for calls outside the hours in `when`, and `when` is missing";
            let hint = "add `when:`, or remove it";
            problems.push(Diagnostic::error(Code::UnreachableRoute, message, otherwise.place).hint(hint));
        }
        let when = rule.when.and_then(|at| {
            let name = refer("hours", &at, &names.hours, problems)?;
            problems.extend(hours.get(&name).and_then(|hours| never_open(&name, hours, at.place)));
            Some(name)
        });
        let (from, route) = (callers(rule.from, problems), destination::check::read(Some(rule.route), names, problems));
        let otherwise = rule.otherwise.map(|at| destination::check::read(Some(at), names, problems));
        let Some(to) = to else { continue };
        let protected = rule.protected.and_then(|at| at.value).unwrap_or(false);
        if !whole || when.as_ref().is_some_and(|when| !hours.contains_key(when)) {
            read.broken.insert(read.all.len());
        }
        read.all.push(Rule { to, from, when, route, otherwise, protected });
        read.places.push(place);
    }
    read
}

fn never_open(name: &ObjectName, hours: &Hours, place: Place) -> Option<Diagnostic> {
    hours.open.is_empty().then(|| {
        let message = format!("`{name}` is never open, so `route` never gets a call");
        let hint = "add weekly ranges to its `open:`, such as \"mon-fri 09:00-18:00\"";
        Diagnostic::warning(Code::NeverOpen, message, place).hint(hint)
    })
}

/// Reads the callers a rule is for, each once.
fn callers(list: Option<At<Vec<At<file::CallerName>>>>, problems: &mut Vec<Diagnostic>) -> Vec<CallerMatch> {
    let mut seen: BTreeMap<CallerMatch, Place> = BTreeMap::new();
    let mut callers = Vec::new();
    for At { place, value, .. } in list.and_then(|at| at.value).unwrap_or_default() {
        let Some(name) = value else { continue };
        let caller = name.as_str().parse().map_or(CallerMatch::Withheld, CallerMatch::Prefix);
        if let Some(first) = seen.get(&caller) {
            let message = match &caller {
                CallerMatch::Prefix(prefix) => format!("the prefix `{prefix}` is given twice"),
                CallerMatch::Withheld => "`withheld` is given twice".to_owned(),
            };
            let problem = Diagnostic::error(Code::DuplicateCaller, message, place);
            problems.push(problem.also(*first, "first given here").hint("keep one of them"));
            continue;
        }
        seen.insert(caller.clone(), place);
        callers.push(caller);
    }
    callers
}

/// Finds rules that say different things about the same calls, calls that come back to us, and a default
/// route that no call takes.
pub(in crate::objects) fn check(
    routes: &Routes,
    places: &Places,
    broken: &BTreeSet<usize>,
    has_twilio: bool,
    problems: &mut Vec<Diagnostic>,
) {
    let mut entries = routes.entries();
    entries.retain(|entry| !broken.contains(&entry.index));
    let mut reported = BTreeSet::new();
    // Those for the same calls stand side by side. A rule is reported once, whatever number of others it contradicts
    // and for whatever number of callers.
    for same in entries.chunk_by(|one, other| one.rule().to == other.rule().to && one.from == other.from) {
        let mut earlier = overlaps::Earlier::default();
        for entry in same {
            let hours = entry.rule().when.as_ref().and_then(|name| routes.hours.get(name));
            let first = earlier.contradicted_by(hours, entry.rule().otherwise.is_some());
            let Some(first) = first.map(|first| &same[first]) else { continue };
            if reported.insert(entry.index) {
                let problem = contradiction(routes, first, entry, places.rules[entry.index]);
                problems.push(problem.also(places.rules[first.index], "the other rule"));
            }
        }
    }
    for (rule, name) in loops::loops(routes) {
        let number = match routes.dialers.get(name).map(|dialer| &dialer.target) {
            Some(OutsideLine::Number(NumberSource::Given(number))) => number.as_str(),
            Some(OutsideLine::Sip(address)) => address,
            Some(OutsideLine::Number(NumberSource::Env(_))) | None => continue,
        };
        problems.push(loops::route_loop(name, number, rule, places));
    }
    let decides = entries.iter().find(|entry| is_for_all(entry.rule()));
    if let Some((entry, place)) = decides.zip(places.get(&(ObjectKind::DefaultRoute, String::new()))) {
        let message = "no call reaches the default route: a rule matches all calls";
        let exception = if has_twilio {
            "; calls through Twilio still use the default route if no other target can be reached"
        } else {
            ""
        };
        let hint = format!("restrict that rule to some calls, or remove one of the two{exception}");
        let problem = Diagnostic::warning(Code::UnreachableRoute, message, *place).hint(hint);
        problems.push(problem.also(places.rules[entry.index], "this rule"));
    }
}

fn is_for_all(rule: &Rule) -> bool {
    rule.to == Called::Default && rule.from.is_empty() && (rule.when.is_none() || rule.otherwise.is_some())
}

/// Reports a rule that contradicts an earlier one for the same calls.
fn contradiction(routes: &Routes, first: &Entry<'_>, second: &Entry<'_>, place: Place) -> Diagnostic {
    let callers = second.from.map_or_else(String::new, |from| format!(" from {from}"));
    let calls = format!("calls to {}{callers}", second.rule().to);
    let has_hours = |entry: &Entry<'_>| entry.rule().when.as_ref().is_some_and(|name| routes.hours.contains_key(name));
    if has_hours(first) && first.rule().otherwise.is_some() {
        let message = format!("another rule matches {calls} at all times, because it has `otherwise`");
        let hint = "remove that `otherwise`, or this rule";
        return Diagnostic::error(Code::UnreachableRoute, message, place).hint(hint);
    }
    let when = if has_hours(second) { "in some of the same hours" } else { "as well" };
    let message = format!("another rule matches {calls} {when}");
    let hint = "make one of them more specific, by `from` or by hours that do not overlap, or merge them into one rule";
    Diagnostic::error(Code::OverlappingRoutes, message, place).hint(hint)
}

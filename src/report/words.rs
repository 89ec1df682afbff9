//! What reports share: a row for each change, what happens to Asterisk, in all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{Desired, Report, count};
use crate::{
    deploy::Comparison,
    desired::Source,
    plan::{Change, Kind, Subject},
};

/// A line of a plan: what happens, to what, in words, and where that is declared.
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) title: String,
    pub(super) words: String,
    pub(super) place: String,
}

/// Writes the rows of settings, of users and their phones, and of objects.
pub(super) fn rows(report: &Report<'_>) -> [Vec<Row>; 3] {
    let Comparison { plan, effects, .. } = report.comparison;
    let row = |change: &Change| Row {
        kind: change.kind,
        title: change.title(),
        words: change.words(plan, effects),
        place: place(change, &report.desired.sources),
    };
    let rows = |is_in: fn(&Subject) -> bool| -> Vec<Row> {
        plan.changes.iter().filter(|change| is_in(&change.subject)).map(row).collect()
    };
    let mut users = rows(|subject| matches!(subject, Subject::User(_)));
    users.extend(relogins(report.comparison));
    [
        rows(|subject| matches!(subject, Subject::Setting(_))),
        users,
        rows(|subject| matches!(subject, Subject::Object(_))),
    ]
}

/// The most phones that are listed one by one though their rows stay, and the most trunks that are named.
const LISTED: usize = 5;

/// Lists the phones that must log in again though their rows stay, each with what happens; the last line
/// counts those that are not listed.
fn relogins(comparison: &Comparison) -> Vec<Row> {
    let Comparison { plan, effects, .. } = comparison;
    let users = effects.relogins.iter().filter_map(|number| plan.users.get(number));
    let row = |title: String, words: String| Row { kind: Kind::Update, title, words, place: String::new() };
    let mut rows: Vec<Row> = users
        .take(LISTED)
        .map(|user| {
            let words =
                format!("extension {}; Asterisk gets the recorded login (phone must log in again)", user.extension);
            row(user.email.to_string(), words)
        })
        .collect();
    let more = effects.relogins.len().saturating_sub(LISTED);
    if more > 0 {
        rows.push(row(format!("and {} more", count(more, "phone")), "the same".to_owned()));
    }
    rows
}

/// Says where the subject of a change is declared.
fn place(change: &Change, sources: &[Source]) -> String {
    match (change.place, change.object().and_then(|(kind, _)| kind.variable())) {
        (Some(place), _) => place.show(sources),
        (None, Some(variable)) => variable.to_owned(),
        (None, None) if change.kind == Kind::Delete => "no longer declared".to_owned(),
        (None, None) => String::new(),
    }
}

/// Names the first of several objects, and counts the rest.
fn some_of(names: &BTreeSet<String>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let mut listed: Vec<String> = names.iter().take(LISTED).cloned().collect();
    if more > 0 {
        listed.push(format!("{more} more"));
    }
    listed.join(", ")
}

/// Says who is affected, counted.
pub(super) fn affected(comparison: &Comparison) -> Option<String> {
    let affected = comparison.affected();
    if affected.is_none() {
        return None;
    }
    let verb = |number: usize, one: &str, many: &str| if number == 1 { one.to_owned() } else { many.to_owned() };
    let phones = |number: usize, one: &str, many: &str| {
        (number > 0).then(|| format!("{} {}", count(number, "phone"), verb(number, one, many)))
    };
    let parts = [
        phones(affected.ended, "is removed", "are removed"),
        phones(affected.relogin, "must log in again", "must log in again"),
        phones(affected.moved, "must register over another transport", "must register over another transport"),
        phones(affected.reread, "is reloaded and stays registered", "are reloaded and stay registered"),
        phones(affected.dialing, "can dial other numbers or contexts", "can dial other numbers or contexts"),
        (affected.carriers > 0).then(|| {
            let verb = verb(affected.carriers, "changes", "change");
            format!("{} {verb} ({})", count(affected.carriers, "trunk"), some_of(&comparison.effects.carriers))
        }),
        (affected.numbers > 0)
            .then(|| format!("calls to {} may be routed differently", count(affected.numbers, "public number"))),
        phones(affected.left_alone, "is unaffected", "are unaffected"),
    ];
    Some(format!("Affected: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", ")))
}

/// Says what Asterisk has to reload, and why.
pub(super) fn reload(comparison: &Comparison) -> Option<String> {
    if comparison.reload.is_empty() {
        return None;
    }
    let names: Vec<&str> = comparison.reload.iter().map(|module| module.name).collect();
    let changed = comparison.changed_files().count();
    let why = if changed == 0 {
        "Asterisk does not run the files in place".to_owned()
    } else {
        format!("{changed} of {} files changed", comparison.kept_files().count())
    };
    let kept = if comparison.affected().keeps_registrations() {
        "calls and registrations are kept"
    } else {
        "calls in progress and all other registrations are kept"
    };
    Some(format!("Reload: {} ({why}); {kept}", names.join(", ")))
}

/// Says how many of the declared tests of the routes hold; a plan is only made where all of them do.
pub(super) fn expectations(desired: &Desired) -> Option<String> {
    match desired.declared.expectations.len() {
        0 => None,
        1 => Some("Expect: 1 of 1 expectation holds".to_owned()),
        all => Some(format!("Expect: {all} of {all} expectations hold")),
    }
}

/// Writes the command that applies exactly this plan, with what its rails must let pass; `None` if a rail lets
/// nothing pass.
pub(super) fn apply(report: &Report<'_>, id: &str) -> Option<String> {
    let mut allowed: BTreeMap<&str, usize> =
        report.allowance.iter().map(|(rail, count)| (rail.as_str(), *count)).collect();
    for stop in &report.comparison.stops {
        allowed.insert(stop.rail, stop.allow?);
    }
    let mut command = format!("reconcile apply{} --expect {id}", report.arguments);
    for (rail, count) in allowed {
        let _ = write!(command, " --allow {rail}={count}");
    }
    Some(command)
}

/// Sums the plan up.
pub(super) fn summary(comparison: &Comparison) -> String {
    let counts = &comparison.plan.counts;
    let files = comparison.changed_files().count();
    if comparison.is_empty() {
        let all = comparison.unchecked.is_empty() && comparison.plan.unresolved.is_empty();
        return format!("No changes{}.", if all { "" } else { " in what was checked" });
    }
    let mut parts = vec![
        format!("{} to create", counts.create),
        format!("{} to update", counts.update),
        format!("{} to rename", counts.rename),
        format!("{} to delete", counts.delete),
    ];
    if counts.adopt > 0 {
        parts.insert(3, format!("{} to adopt", counts.adopt));
    }
    let settings = comparison.plan.changes.of_settings().count();
    if settings > 0 {
        parts.push(format!("{} to change", count(settings, "setting")));
    }
    let logins = comparison.effects.relogins.len();
    if logins > 0 {
        parts.push(format!("{} to log in again", count(logins, "phone")));
    }
    match comparison.plan.changes.of_objects().count() {
        0 if comparison.callers_behind => parts.push("inbound routing to update".to_owned()),
        0 => {}
        1 => parts.push("1 change of inbound calls".to_owned()),
        changes => parts.push(format!("{changes} changes of inbound calls")),
    }
    let is_known = comparison.plan.unresolved.is_empty() || files == comparison.kept_files().count();
    let files = match (is_known, files) {
        (true, files) => format!("{} to write", count(files, "file")),
        (false, 0) => "which files to write is not known".to_owned(),
        (false, files) => format!("at least {} to write", count(files, "file")),
    };
    format!("Plan: {}; {files}.", parts.join(", "))
}

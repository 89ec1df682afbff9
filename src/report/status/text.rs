//! The status for people.

use std::fmt::Write;

use anstyle::AnsiColor;

use super::{
    super::{count, paint},
    LastApply, Status,
};
use crate::{plan::Numbers, render::endpoint_name};

/// Writes the status for people.
pub(crate) fn text(status: &Status<'_>, color: bool) -> String {
    let mut text = format!("{} on {}  database {}\n", status.tenant, status.host, status.database);
    if let Some(file) = status.file {
        let _ = writeln!(text, "declared    {}: {}", file.name, count(file.declared.users.len(), "user"));
    }
    let stages = [
        ("recorded", status.recorded(), "in step with the file"),
        ("rendered", status.rendered(), "in step with what is recorded"),
        ("running", status.running(), "in step with the files"),
    ];
    for (name, stage, good) in stages {
        let tone = match stage.in_step {
            Some(true) => AnsiColor::Green,
            Some(false) => AnsiColor::Red,
            None => AnsiColor::Yellow,
        };
        let mut findings = stage.findings.iter().map(String::as_str);
        let _ = writeln!(text, "{name:<10}  {}", paint(color, tone, findings.next().unwrap_or(good)));
        for finding in findings {
            let _ = writeln!(text, "            {}", paint(color, tone, finding));
        }
        for note in &stage.notes {
            let _ = writeln!(text, "            {}", paint(color, AnsiColor::Yellow, &format!("note: {note}")));
        }
    }
    if let Some(contacts) = status.contacts() {
        let registered = contacts.iter().filter(|(_, count)| *count > 0).count();
        let probed = status.probed().cloned().unwrap_or_default();
        let kinds = [(probed.unreachable.len(), "unreachable"), (probed.unprobed.len(), "not probed yet")];
        let kinds = kinds.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!(", {number} {what}"));
        let kinds: String = kinds.collect();
        let _ = writeln!(text, "registered  {registered} of {}{kinds}", count(contacts.len(), "phone"));
        let names = status.recorded.tenant.as_ref().map(|tenant| tenant.settings.endpoint_names).unwrap_or_default();
        for (user, contacts) in contacts.iter().filter(|_| status.registrations) {
            let name = endpoint_name(status.tenant, names, user.extension);
            let gone = if probed.unreachable.contains(&name) { ", unreachable" } else { "" };
            let contacts = count(*contacts, "contact");
            let _ = writeln!(text, "            {}  {}  {contacts}{gone}", user.extension, user.email);
        }
    }
    if let (Some(numbers), Some(tenant)) = (status.numbers, &status.recorded.tenant) {
        let Numbers { size, in_use, held, reserved, free } = numbers;
        let range = &tenant.settings.range;
        let _ = writeln!(
            text,
            "numbers     {in_use} in use, {held} held, {reserved} reserved, {free} of {size} free ({range})"
        );
    }
    text.push_str(&status.inbound_lines(color));
    for apply in status.last_applies() {
        let commit = apply.git_commit.map(|commit| format!(", commit {commit}")).unwrap_or_default();
        let behind = if apply.behind { "; behind what is recorded" } else { "" };
        let LastApply { host, run, outcome, started_at, actor, .. } = apply;
        let outcome = explained(outcome, &format!("reconcile history {run}"));
        let _ = writeln!(text, "last apply  {host}: run {run}, {outcome}, {started_at}, by {actor}{commit}{behind}");
    }
    for (path, diff) in status.edits() {
        let _ = write!(text, "--- {path}\n+++ {path}\n{diff}");
    }
    text
}

/// Writes how a run ended, with what an outcome means that is not `live`; `see` is the command that tells why.
fn explained(outcome: &str, see: &str) -> String {
    let words = match outcome {
        "rendered" => "Asterisk was left alone",
        "rolled_back" => "Asterisk did not take the new files and runs the last good ones",
        "not_live" => "Asterisk took neither the new files nor the last good ones",
        "interrupted" => "it was killed before it ended",
        "open" => "still running, or killed",
        _ => return outcome.to_owned(),
    };
    let see = if ["rolled_back", "not_live"].contains(&outcome) { format!("; see `{see}`") } else { String::new() };
    format!("{outcome} ({words}{see})")
}

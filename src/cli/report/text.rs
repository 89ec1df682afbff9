//! The plan for people: rows, files, runtime, summary.

use std::fmt::Write;

use anstyle::AnsiColor;

use super::Report;
use crate::{
    cli::printer::paint,
    plan::{Change, Choice, FieldChange, Kind},
};

/// Writes the plan.
pub(crate) fn plan(report: &Report<'_>, color: bool) -> String {
    let Report { desired, comparison, database } = report;
    let plan = &comparison.plan;
    let mut text = format!(
        "{}  {}  {}  database {database}\n",
        plan.tenant,
        desired.name,
        count(desired.declared.users.len(), "user")
    );
    rows(&mut text, report, color);
    for note in &plan.notes {
        let _ = writeln!(text, "note: {note}");
    }
    if plan.api_users > 0 {
        let _ = writeln!(text, "note: {} made through the API left alone", count(plan.api_users, "user"));
    }
    for (path, _, diff) in comparison.files.iter().filter(|(.., diff)| diff.changed) {
        let _ = write!(text, "--- {path}\n+++ {path}\n");
        if diff.text.is_empty() {
            text.push_str("(its marks do not fit its bytes)\n");
        }
        for line in diff.text.lines() {
            let tone = match line.as_bytes().first() {
                Some(b'+') => Some(AnsiColor::Green),
                Some(b'-') => Some(AnsiColor::Red),
                Some(b'@') => Some(AnsiColor::Cyan),
                _ => None,
            };
            text.push_str(&tone.map_or_else(|| line.to_owned(), |tone| paint(color, tone, line)));
            text.push('\n');
        }
    }
    runtime(&mut text, report);
    summary(&mut text, report);
    text
}

/// Writes a number with its noun.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn rows(text: &mut String, report: &Report<'_>, color: bool) {
    let plan = &report.comparison.plan;
    for FieldChange { field, before, after } in &plan.settings_changes {
        let sign = paint(color, AnsiColor::Yellow, "~");
        let _ = writeln!(text, "  {sign} {field} {} -> {}", shown(before.as_ref()), shown(after.as_ref()));
    }
    let lines: Vec<(Kind, &str, String, String)> = plan
        .changes
        .iter()
        .map(|change| {
            let place = match change.place {
                Some(place) => place.show(&report.desired.sources),
                None if change.kind == Kind::Delete => "no longer declared".to_owned(),
                None => String::new(),
            };
            (change.kind, change.email.as_str(), words(change), place)
        })
        .collect();
    let width =
        |of: fn(&(Kind, &str, String, String)) -> usize, most: usize| lines.iter().map(of).max().unwrap_or(0).min(most);
    let email = width(|line| line.1.chars().count(), 40);
    let wide = width(|line| line.2.chars().count(), 60);
    for (kind, address, words, place) in &lines {
        let (sign, tone) = match kind {
            Kind::Create => ("+", AnsiColor::Green),
            Kind::Update => ("~", AnsiColor::Yellow),
            Kind::Rename => (">", AnsiColor::Yellow),
            Kind::Adopt => ("&", AnsiColor::Yellow),
            Kind::Delete => ("-", AnsiColor::Red),
        };
        let sign = paint(color, tone, sign);
        let _ = writeln!(text, "{}", format!("  {sign} {address:<email$}  {words:<wide$}  {place}").trim_end());
    }
}

fn shown(value: Option<&String>) -> &str {
    value.map_or("(none)", String::as_str)
}

fn in_quotes(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Says in words what happens to a user.
fn words(change: &Change) -> String {
    let number = change.extension;
    let mut parts: Vec<String> = Vec::new();
    let mut fields: Vec<&FieldChange> = change.fields.iter().collect();
    let renumbered = fields.iter().any(|field| field.field == "extension");
    match change.kind {
        Kind::Create => {
            let why = match change.choice {
                Some(Choice::Pinned) => "pinned",
                Some(Choice::Held) => "held since it was freed",
                Some(Choice::LowestFree) | None => "lowest free",
            };
            return format!("extension {number} ({why})");
        }
        Kind::Delete => return format!("frees extension {number}"),
        Kind::Rename => {
            let former = fields.iter().find(|field| field.field == "email").and_then(|field| field.before.as_deref());
            parts.push(format!("was {}", former.unwrap_or("another address")));
            fields.retain(|field| field.field != "email");
            if !renumbered {
                parts.push(format!("keeps extension {number}"));
            }
        }
        Kind::Adopt => parts.push(format!(
            "adopted from the API{}; removing the line later deletes the user",
            if renumbered { String::new() } else { format!(", keeps extension {number}") }
        )),
        Kind::Update => {}
    }
    parts.extend(fields.iter().map(|field| match (field.field, field.before.as_ref(), field.after.as_ref()) {
        ("name", Some(before), Some(after)) => format!("name {} -> {}", in_quotes(before), in_quotes(after)),
        (key, before, after) => format!("{key} {} -> {}", shown(before), shown(after)),
    }));
    if change.secret_changed {
        parts.push("secret changed".to_owned());
    }
    if parts.is_empty() {
        parts.push(if change.relogin { "digest changed" } else { "the secret's source changed" }.to_owned());
    }
    let relogin = if change.relogin { " (phone must log in again)" } else { "" };
    format!("{}{relogin}", parts.join("; "))
}

fn runtime(text: &mut String, report: &Report<'_>) {
    let comparison = report.comparison;
    if !comparison.reload.is_empty() {
        let names: Vec<&str> = comparison.reload.iter().map(|module| module.name()).collect();
        let changed = comparison.files.iter().filter(|(.., diff)| diff.changed).count();
        let why = if changed == 0 {
            "Asterisk does not run the files in place".to_owned()
        } else {
            format!("{changed} of {} files changed", comparison.files.len())
        };
        let _ = writeln!(text, "Reload: {} ({why}); calls and registrations are kept", names.join(", "));
    }
    for reason in comparison.plan.unresolved.iter().chain(&comparison.unchecked) {
        let _ = writeln!(text, "unchecked: {reason}");
    }
}

fn summary(text: &mut String, report: &Report<'_>) {
    let comparison = report.comparison;
    let counts = &comparison.plan.counts;
    let files = comparison.files.iter().filter(|(.., diff)| diff.changed).count();
    if comparison.is_empty() {
        let beyond = if comparison.unchecked.is_empty() && comparison.plan.unresolved.is_empty() {
            ""
        } else {
            " in what was checked"
        };
        let _ = writeln!(text, "No changes{beyond}.");
    } else {
        let mut parts = vec![
            format!("{} to create", counts.create),
            format!("{} to update", counts.update),
            format!("{} to rename", counts.rename),
            format!("{} to delete", counts.delete),
        ];
        if counts.adopt > 0 {
            parts.insert(3, format!("{} to adopt", counts.adopt));
        }
        let settings = comparison.plan.settings_changes.len();
        if settings > 0 {
            parts.push(format!("{} to change", count(settings, "setting")));
        }
        let _ = writeln!(text, "Plan: {}; {} to write.", parts.join(", "), count(files, "file"));
    }
    match &comparison.id {
        Some(id) if !comparison.is_empty() => {
            let _ = writeln!(text, "Apply exactly this: reconcile apply --expect {id}");
        }
        None if comparison.plan.problems.is_empty() => {
            text.push_str("This plan has no id: a declared secret cannot be read here.\n");
        }
        _ => {}
    }
}

//! The plan for a comment on a pull request: bounded, and nothing in it can break out.
//!
//! What others wrote (names, addresses, paths, messages, the files in place) stands in fenced
//! blocks only, each longer than any run of backticks inside; what stands between them is made of
//! our own words, numbers and slugs. Nothing can be a command to the runner that prints it.

use std::fmt::Write;

use super::{
    Report, count,
    words::{self, Row},
};
use crate::{
    asterisk::ConfigFile,
    deploy::ComparedFile,
    desired::Sources,
    model::{Diagnostic, Severity, Tenant, visible},
    plan::Kind,
};

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;

/// The most bytes a plan has: a comment on GitHub takes 65,536 characters, and a script may add to it.
pub(crate) const LIMIT: usize = 60_000;

/// The most bytes of one line.
const LINE: usize = 500;

/// The most bytes of a list of messages.
const MESSAGES: usize = 6_000;

/// What is set aside for saying what was left out of rows and files.
const NOTICES: usize = (1 + ConfigFile::ALL.len()) * 120;

/// Writes the plan in at most `limit` bytes.
///
/// Summary, id and rails are always there, messages up to a bound; rows and then diffs share the rest.
pub(crate) fn plan(report: &Report<'_>, limit: usize) -> String {
    let Report { desired, comparison, .. } = report;
    let plan = &comparison.plan;
    let mut head = format!(
        "<!-- reconcile plan: {0} -->\n### Plan for {0}\n\n**{1}** {2} declared.\n\n",
        plan.tenant,
        words::summary(comparison),
        count(desired.declared.users.len(), "user")
    );
    match &comparison.id {
        Some(id) => {
            let _ = match words::apply(report, id) {
                Some(command) => writeln!(head, "Plan id `{id}`: `{command}` applies exactly this."),
                None => writeln!(head, "Plan id `{id}`."),
            };
        }
        None => head.push_str("This plan has no id: a declared secret or number cannot be read here.\n"),
    }
    if let Some(written_at) = report.recorded_in.written_at() {
        let _ = writeln!(head, "\nPlanned against what was recorded at {written_at}.");
    }
    let rails: Vec<String> = comparison
        .stops
        .iter()
        .flat_map(|stop| [format!("rail-{}: {}", stop.rail, stop.message), format!("  hint: {}", stop.hint)])
        .collect();
    head.push_str(&titled("**An apply is stopped by a rail:**", "text", &rails, "line", MESSAGES));

    let mut tail = String::new();
    for line in words::affected(comparison).into_iter().chain(words::reload(comparison)) {
        let _ = write!(tail, "\n{line}\n");
    }
    if let Some(expectations) = words::expectations(desired) {
        let _ = writeln!(tail, "\n{expectations}");
    }
    let unchecked: Vec<&str> = plan.unresolved.iter().chain(&comparison.unchecked).map(String::as_str).collect();
    tail.push_str(&titled("Unchecked:", "text", &unchecked, "reason", MESSAGES));
    let mut notes = comparison.notes.clone();
    if plan.api_users > 0 {
        notes.push(format!("{} created through the API, not changed", count(plan.api_users, "user")));
    }
    tail.push_str(&titled("Notes:", "text", &notes, "note", MESSAGES));

    let mut room = limit.saturating_sub(head.len() + tail.len() + NOTICES);
    let mut text = head;
    let rows = titled("", "diff", &rows(report), "row", room);
    room = room.saturating_sub(rows.len());
    text.push_str(&rows);
    // The last file is the small one: what it leaves is the others'.
    let changed: Vec<_> = comparison.changed_files().collect();
    let mut sections = Vec::new();
    for (left, ComparedFile { path, diff, .. }) in (1..=changed.len()).rev().zip(changed.iter().rev()) {
        let (added, removed) = (count(diff.added, "line"), diff.removed);
        let opening = format!("\n<details><summary>{path}: {added} added, {removed} removed</summary>\n");
        let closing = "\n</details>\n";
        let lines: Vec<&str> = if diff.text.is_empty() {
            vec!["(its generation marks do not match its content)"]
        } else {
            diff.text.lines().collect()
        };
        let share = (room / left).saturating_sub(opening.len() + closing.len());
        let section = opening + &titled("", "diff", &lines, "line", share) + closing;
        room = room.saturating_sub(section.len());
        sections.push(section);
    }
    sections.iter().rev().for_each(|section| text.push_str(section));
    text + &tail
}

/// Writes why there is no plan in at most [`LIMIT`] bytes: the problems of the file, as `reconcile check` shows them.
pub(crate) fn problems(tenant: Option<&Tenant>, problems: &[Diagnostic], unlisted: usize, sources: &Sources) -> String {
    // The comment of the last plan is found by it, and replaced.
    let marker = tenant.map(|tenant| format!("<!-- reconcile plan: {tenant} -->\n")).unwrap_or_default();
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count() + unlisted;
    let head =
        format!("{marker}### No plan\n\n**{}** in the desired state. Nothing was changed.\n", count(errors, "error"));
    let rendered: Vec<String> = problems.iter().map(|problem| problem.render(sources, false) + "\n").collect();
    let mut lines: Vec<&str> = rendered.iter().flat_map(|problem| problem.split('\n')).collect();
    lines.pop();
    let more = if unlisted > 0 { format!("\n... and {} more.\n", count(unlisted, "error")) } else { String::new() };
    let listed = titled("", "text", &lines, "line", LIMIT.saturating_sub(head.len() + more.len() + NOTICES));
    head + &listed + &more
}

/// Writes a line for each change; the signs are those that a `diff` block colours.
fn rows(report: &Report<'_>) -> Vec<String> {
    let row = |Row { kind, title, words, place }| {
        let sign = match kind {
            Kind::Create => '+',
            Kind::Delete => '-',
            Kind::Update | Kind::Rename | Kind::Adopt => '!',
        };
        format!("{sign} {title}  {words}  {place}").trim_end().to_owned()
    };
    words::rows(report).into_iter().flatten().map(row).collect()
}

/// Writes lines in a fence under a title, as many as there is room for; says how many are left out.
fn titled(title: &str, language: &str, lines: &[impl AsRef<str>], noun: &str, room: usize) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = lines.iter().map(|line| harmless(line.as_ref())).collect();
    let ticks = lines.iter().map(|line| longest_run(line)).max().unwrap_or(0) + 1;
    let fence = "`".repeat(ticks.max(3));
    let mut text = String::from("\n");
    if !title.is_empty() {
        let _ = write!(text, "{title}\n\n");
    }
    let frame = text.len() + 2 * fence.len() + language.len() + 2;
    let mut left = room.saturating_sub(frame);
    let shown = lines
        .iter()
        .take_while(|line| {
            let fits = line.len() < left;
            left = left.saturating_sub(line.len() + 1);
            fits
        })
        .count();
    if shown > 0 {
        let _ = writeln!(text, "{fence}{language}\n{}\n{fence}", lines[..shown].join("\n"));
    }
    if shown < lines.len() {
        let more = if shown > 0 { " more" } else { "" };
        let left_out = lines.len() - shown;
        let noun = if left_out == 1 { noun.to_owned() } else { format!("{noun}s") };
        let _ = write!(text, "\n... and {left_out}{more} {noun}, left out to keep this short.\n");
    }
    text
}

/// Makes of any text one line that neither ends the block, nor misleads an eye, nor commands a runner.
///
/// A runner obeys `::` behind blanks at the start of a line, and `##[` anywhere in it.
fn harmless(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    if line.trim_start().starts_with("::") {
        text.push('\\');
    }
    for (c, seen) in visible(line) {
        if text.len() > LINE {
            text.push('…');
            break;
        }
        match c {
            '[' if text.ends_with("##") => text.push_str("\\["),
            c if !seen && c != '\t' => text.extend(c.escape_default()),
            c => text.push(c),
        }
    }
    text
}

fn longest_run(line: &str) -> usize {
    line.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

//! The plan for people: rows, files, runtime, summary.

use std::fmt::Write;

use anstyle::AnsiColor;

use super::{
    Report, count, paint,
    words::{self, Row},
};
use crate::{deploy::ComparedFile, plan::Kind};

/// The most rows of a kind, such as users to create, in a shortened plan.
const ROWS: usize = 50;
/// The most lines of a file's diff in a shortened plan.
const DIFF_LINES: usize = 100;

/// Writes the plan; a shortened one counts what it leaves out.
pub(crate) fn plan(report: &Report<'_>, color: bool, shortened: bool) -> String {
    let (most_rows, most_lines) = if shortened { (ROWS, DIFF_LINES) } else { (usize::MAX, usize::MAX) };
    let Report { desired, comparison, recorded_in, .. } = report;
    let plan = &comparison.plan;
    let mut text =
        format!("{}  {}  {}  {recorded_in}\n", plan.tenant, desired.name, count(desired.declared.users.len(), "user"));
    for block in words::rows(report) {
        lines(&mut text, &block, color, most_rows);
    }
    listed(&mut text, "note", comparison.notes.iter(), most_rows);
    if plan.api_users > 0 {
        let _ = writeln!(text, "note: {} created through the API, not changed", count(plan.api_users, "user"));
    }
    for ComparedFile { path, diff, .. } in comparison.changed_files() {
        let _ = write!(text, "--- {path}\n+++ {path}\n");
        if diff.text.is_empty() {
            text.push_str("(its generation marks do not match its content)\n");
        }
        for line in diff.text.lines().take(most_lines) {
            let tone = match line.as_bytes().first() {
                Some(b'+') => Some(AnsiColor::Green),
                Some(b'-') => Some(AnsiColor::Red),
                Some(b'@') => Some(AnsiColor::Cyan),
                _ => None,
            };
            text.push_str(&tone.map_or_else(|| line.to_owned(), |tone| paint(color, tone, line)));
            text.push('\n');
        }
        let more = if shortened { diff.text.lines().count().saturating_sub(most_lines) } else { 0 };
        if more > 0 {
            let _ =
                writeln!(text, "... and {more} more {}; --full shows all", if more == 1 { "line" } else { "lines" });
        }
    }
    runtime(&mut text, report, most_rows);
    summary(&mut text, report);
    text
}

/// Writes sentences with the same word before each; so many, the rest is counted.
fn listed<'a>(text: &mut String, word: &str, mut sentences: impl Iterator<Item = &'a String>, most: usize) {
    for sentence in sentences.by_ref().take(most) {
        let _ = writeln!(text, "{word}: {sentence}");
    }
    let more = sentences.count();
    if more > 0 {
        let _ = writeln!(text, "{word}: ... and {more} more; --full shows all");
    }
}

/// Writes changes in columns: sign, title, words, place; of each kind so many, the rest is counted.
fn lines(text: &mut String, rows: &[Row], color: bool, most: usize) {
    let width =
        |of: fn(&Row) -> &str, most: usize| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0).min(most);
    let name = width(|row| &row.title, 40);
    let wide = width(|row| &row.words, 60);
    let mut counts = [(Kind::Create, 0), (Kind::Update, 0), (Kind::Rename, 0), (Kind::Adopt, 0), (Kind::Delete, 0)];
    for Row { kind, title, words, place } in rows {
        let of_kind = counts.iter_mut().find(|(known, _)| known == kind);
        let nth = of_kind.map_or(0, |(_, count)| {
            *count += 1;
            *count
        });
        if nth > most {
            continue;
        }
        let sign = paint(color, tone(*kind), kind.sign());
        let _ = writeln!(text, "{}", format!("  {sign} {title:<name$}  {words:<wide$}  {place}").trim_end());
    }
    for (kind, count) in counts {
        if count > most {
            let sign = paint(color, tone(kind), kind.sign());
            let _ = writeln!(text, "  {sign} ... and {} more of this kind; --full shows all", count - most);
        }
    }
}

fn tone(kind: Kind) -> AnsiColor {
    match kind {
        Kind::Create => AnsiColor::Green,
        Kind::Update | Kind::Rename | Kind::Adopt => AnsiColor::Yellow,
        Kind::Delete => AnsiColor::Red,
    }
}

fn runtime(text: &mut String, report: &Report<'_>, most: usize) {
    let comparison = report.comparison;
    if let Some(affected) = words::affected(comparison) {
        let _ = writeln!(text, "{affected}");
    }
    if let Some(reload) = words::reload(comparison) {
        let _ = writeln!(text, "{reload}");
    }
    listed(text, "unchecked", comparison.plan.unresolved.iter().chain(&comparison.unchecked), most);
}

fn summary(text: &mut String, report: &Report<'_>) {
    let comparison = report.comparison;
    if let Some(expectations) = words::expectations(report.desired) {
        let _ = writeln!(text, "{expectations}");
    }
    let _ = writeln!(text, "{}", words::summary(comparison));
    match &comparison.id {
        Some(id) if !comparison.is_empty() => {
            if let Some(command) = words::apply(report, id) {
                let _ = writeln!(text, "Apply exactly this: {command}");
            }
        }
        None if comparison.plan.problems.is_empty() => {
            text.push_str("This plan has no id: a declared secret or number cannot be read here.\n");
        }
        _ => {}
    }
}

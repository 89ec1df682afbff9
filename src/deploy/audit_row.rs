//! What the audit log keeps of a plan: counts, and a line for each row that changes.

use std::{collections::BTreeMap, fmt::Write};

use crate::plan::{Change, Effects, FieldChange, Plan};

/// Writes the rows that no generated file shows: settings and inbound calls.
pub(super) fn rows_no_file_shows(plan: &Plan, effects: &Effects) -> String {
    let settings = plan.settings_changes.iter().map(|change| setting(plan, change, effects));
    let inbound =
        plan.inbound.iter().map(|change| format!("{} {}  {}", change.kind.sign(), change.title(), change.words()));
    settings.chain(inbound).map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Writes all rows, those of users too: a run that writes no file has nothing else to show.
pub(super) fn all_rows(plan: &Plan, effects: &Effects) -> String {
    plan.changes.iter().map(|change| user(change) + "\n").collect::<String>() + &rows_no_file_shows(plan, effects)
}

fn setting(plan: &Plan, change: &FieldChange, effects: &Effects) -> String {
    let reach = match plan.touched_by(change, effects) {
        0 => String::new(),
        1 => "  (1 phone)".to_owned(),
        phones => format!("  ({phones} phones)"),
    };
    format!("~ {change}{reach}")
}

fn user(change: &Change) -> String {
    let mut line = format!("{} {}  extension {}", change.kind.sign(), change.email, change.extension);
    for field in &change.fields {
        let _ = write!(line, "; {field}");
    }
    if change.secret_changed {
        line.push_str("; secret changed");
    }
    line
}

/// Counts the changes of users by kind. Counts of everything else stand there only if they are not zero.
pub(super) fn counts(plan: &Plan, effects: &Effects) -> BTreeMap<&'static str, usize> {
    let affected = plan.affected(effects);
    let others = [
        ("inbound", plan.inbound.len()),
        ("settings", plan.settings_changes.len()),
        ("relogin", affected.relogin),
        ("moved", affected.moved),
        ("reread", affected.reread),
    ];
    plan.counts.by_kind().into_iter().chain(others.into_iter().filter(|(_, count)| *count > 0)).collect()
}

/// Cuts a diff to what the audit log keeps of it.
pub(super) fn bounded(mut diff: String) -> String {
    const KEPT: usize = 256 * 1024;
    if diff.len() > KEPT {
        let end = diff.as_bytes()[..KEPT].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let left = diff[end..].lines().count();
        diff.truncate(end);
        let _ = writeln!(diff, "(and {left} more lines)");
    }
    diff
}

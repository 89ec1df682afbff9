//! What the audit log keeps of a plan: counts, and a line for each row that changes.

use std::{collections::BTreeMap, fmt::Write};

use crate::plan::{Change, Effects, Plan};

/// Writes all rows that change.
pub(super) fn rows(plan: &Plan, effects: &Effects) -> String {
    plan.changes.iter().map(|change| line(change, plan, effects)).collect()
}

fn line(change: &Change, plan: &Plan, effects: &Effects) -> String {
    let line = format!("{} {}  {}", change.kind.sign(), change.title(), change.words(plan, effects));
    line.trim_end().to_owned() + "\n"
}

/// Counts the changes of users by kind. Counts of everything else stand there only if they are not zero.
pub(super) fn counts(plan: &Plan, effects: &Effects) -> BTreeMap<&'static str, usize> {
    let affected = plan.affected(effects);
    let others = [
        ("inbound", plan.changes.of_objects().count()),
        ("settings", plan.changes.of_settings().count()),
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

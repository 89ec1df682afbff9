//! What needs an act on a host, whatever is to be applied: a check for each, in groups.
//!
//! Each group is a file: what it looks at, as plain values, and the checks, which are pure. What an apply checks as well
//! is found by `deploy`. `cli` opens the database, and prints.

pub(crate) mod asterisk;
mod checks;
pub(crate) mod ci;
pub(crate) mod database;
pub(crate) mod operator;
pub(crate) mod ours;
pub(crate) mod rights;
pub(crate) mod secrets;
pub(crate) mod sections;

pub use checks::{Check, Group};

/// Something that needs an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The check that found it.
    pub(crate) check: Check,
    /// What was found.
    pub(crate) fact: String,
    /// What to do about it.
    pub(crate) fix: String,
}

impl Finding {
    pub(crate) fn new(check: Check, fact: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, fact: fact.into(), fix: fix.into() }
    }
}

/// What all checks found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What needs an act, in the order of the checks.
    findings: Vec<Finding>,
    /// What could not be checked, with the reason.
    unchecked: Vec<(Group, String)>,
}

impl Report {
    /// Adds what a group found.
    pub(crate) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
        self.findings.sort_by_key(|finding| finding.check);
        self.findings.dedup();
    }

    /// Notes that something of a group could not be checked.
    pub(crate) fn skip(&mut self, group: Group, why: impl Into<String>) {
        let skipped = (group, why.into());
        if !self.unchecked.contains(&skipped) {
            self.unchecked.push(skipped);
        }
    }

    /// Lists what needs an act.
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Lists what could not be checked.
    pub(crate) fn unchecked(&self) -> &[(Group, String)] {
        &self.unchecked
    }

    /// Lists the checks that were made and found nothing.
    pub(crate) fn passed(&self) -> impl Iterator<Item = Check> {
        let is_skipped = |check: Check| self.unchecked.iter().any(|(group, _)| *group == check.group());
        let found = |check: Check| self.findings.iter().any(|finding| finding.check == check);
        Check::ALL.iter().copied().filter(move |check| !is_skipped(*check) && !found(*check))
    }
}

/// Tests a check by a table: what is looked at, and each finding as `id: fact -> fix`.
#[cfg(test)]
#[track_caller]
fn assert_found(findings: &[Finding], expected: &[&str]) {
    let found: Vec<String> =
        findings.iter().map(|Finding { check, fact, fix }| format!("{check}: {fact} -> {fix}")).collect();
    assert_eq!(found, expected);
}

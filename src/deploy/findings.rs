//! What a host has or lacks for a plan. The comparison of the plan takes it in.

use std::collections::BTreeSet;

use super::taken::Taken;
use crate::{model::Extension, plan::RailStop};

/// What a host has or lacks for a plan.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    pub(super) stops: Vec<RailStop>,
    pub(super) notes: Vec<String>,
    /// What Asterisk does not answer about itself.
    pub(super) unasked: Vec<String>,
    /// What could not be checked, with the reason.
    pub(super) unchecked: Vec<String>,
    /// The phones that Asterisk runs though their file is missing.
    pub(super) without_file: Option<PhonesWithoutFile>,
    /// The phones that run from a file of the operator's which no longer defines them.
    pub(super) taken_over: Vec<String>,
    /// Those of them that must log in again.
    pub(super) other_logins: BTreeSet<Extension>,
}

impl Findings {
    /// Adds what others have of the names of a plan.
    pub(super) fn add(&mut self, taken: Taken) {
        let Taken { stop, over, logins } = taken;
        self.stops.extend(stop);
        if !over.is_empty() {
            let phones = if over.len() == 1 { "1 phone".to_owned() } else { format!("{} phones", over.len()) };
            let more = over.len().saturating_sub(NAMED);
            let named = over[..over.len() - more].join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.notes.push(format!(
                "{phones} that Asterisk still runs from your own files, which no longer define them, will be taken over by \
                 the reload: {named}{more}"
            ));
        }
        if !logins.is_empty() {
            let phones =
                if logins.len() == 1 { "1 of them gets".to_owned() } else { format!("{} of them get", logins.len()) };
            self.notes.push(format!(
                "{phones} another secret than now, and must log in again; `--secrets FILE` of the import keeps the \
                 secrets of new users"
            ));
        }
        self.taken_over = over;
        self.other_logins = logins;
    }
}

/// How many phones a note names.
const NAMED: usize = 5;

/// The phones of a plan that Asterisk runs without a file in place.
#[derive(Debug, Clone, Default)]
pub(super) struct PhonesWithoutFile {
    /// All of them.
    pub(super) running: BTreeSet<Extension>,
    /// Those that run with another digest than the recorded one, though no change of their row says so.
    pub(super) others: BTreeSet<Extension>,
}

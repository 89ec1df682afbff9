//! What a host has or lacks for a plan. The comparison of the plan takes it in.

use std::collections::BTreeSet;

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
}

/// The phones of a plan that Asterisk runs without a file in place.
#[derive(Debug, Clone)]
pub(super) struct PhonesWithoutFile {
    /// All of them.
    pub(super) running: BTreeSet<Extension>,
    /// Those that run with another digest than the recorded one, though no change of their row says so.
    pub(super) others: BTreeSet<Extension>,
}

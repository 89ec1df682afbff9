//! What an apply did.

use std::collections::BTreeMap;

use crate::{asterisk::Module, directory::audit::Outcome};

/// How an apply ended well.
#[derive(Debug)]
pub(crate) struct ApplyOutcome {
    /// `recorded`, `rendered` or `live`.
    pub(crate) outcome: Outcome,
    /// The audit row.
    pub(crate) run: i64,
    /// The files as they now stand: SHA-256 by path.
    pub(crate) files: BTreeMap<String, String>,
    /// Those of them that were written.
    pub(crate) written: Vec<String>,
    /// The modules reloaded.
    pub(crate) reloaded: Vec<Module>,
    /// Objects that were looked at one by one, of those that changed.
    pub(crate) looked_at: (usize, usize),
    /// Registrations that were deleted.
    pub(crate) expired: usize,
    /// Milliseconds of each phase.
    pub(crate) phases: BTreeMap<&'static str, u64>,
    /// The modules that Asterisk had not loaded, and now has.
    pub(crate) loaded: Vec<Module>,
    /// What did not work out, and takes nothing from the outcome: the next apply tries again.
    pub(crate) warnings: Vec<String>,
}

impl ApplyOutcome {
    /// A run that moved nothing yet.
    pub(super) fn new(outcome: Outcome, run: i64) -> Self {
        Self {
            outcome,
            run,
            files: BTreeMap::new(),
            written: Vec::new(),
            reloaded: Vec::new(),
            looked_at: (0, 0),
            expired: 0,
            phases: BTreeMap::new(),
            loaded: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

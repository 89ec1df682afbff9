//! Collects the problems that the reader finds: a file of a million mistakes gives a thousand diagnostics and a count.

use crate::model::{Diagnostic, Place};

/// The most problems that are listed of what is read. Nobody works through more, and each costs memory and a
/// search for what was meant.
const MOST: usize = 1000;

/// Problems in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Sink {
    pub(super) listed: Vec<Diagnostic>,
    /// How many problems there were beyond those.
    pub(super) unlisted: usize,
    /// What stands under unknown keys, which may be any program's word for a secret.
    pub(super) hidden: Vec<Place>,
    /// For each unknown key the one that was probably meant, or an empty text.
    pub(super) meant: Vec<String>,
}

impl Sink {
    /// Adds a problem, which is only made if it is listed.
    pub(super) fn push(&mut self, problem: impl FnOnce() -> Diagnostic) {
        if self.is_listed() {
            self.listed.push(problem());
        } else {
            self.unlisted += 1;
        }
    }

    /// Tells whether one more problem would be listed.
    pub(super) fn is_listed(&self) -> bool {
        self.listed.len() < MOST
    }

    /// Counts all problems so far.
    pub(super) fn len(&self) -> usize {
        self.listed.len() + self.unlisted
    }
}

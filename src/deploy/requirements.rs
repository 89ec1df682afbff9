//! What the running Asterisk must have for a tenant's files: modules, time zones, and what the operator
//! owns and they only name. Asked before anything moves, because Asterisk loads files that use what it
//! does not have without complaint.

use jiff::Timestamp;

use super::{
    Host, StatusError,
    at_once::both,
    names::{self, CheckedNames, MissingName},
    needs::{self, CheckedNeeds, MissingNeed},
};
use crate::render::Phonebook;

/// What an Asterisk does not have of what a tenant's files need.
#[derive(Debug, Default)]
pub(super) struct Requirements {
    /// Modules and time zones.
    pub(super) lacks: Vec<MissingNeed>,
    pub(super) missing_names: Vec<MissingName>,
    /// What it was not asked about modules and time zones.
    pub(super) unasked: Option<String>,
    /// Names that could not be checked, each with the reason.
    pub(super) unchecked_names: Vec<String>,
}

impl Host {
    /// Finds out what its Asterisk does not have. Finds nothing if Asterisk may not be asked.
    ///
    /// # Errors
    /// When Asterisk does not run, or stays silent, or when a value cannot be rendered.
    pub(super) fn requirements(&self, book: &Phonebook<'_>, now: Timestamp) -> Result<Requirements, StatusError> {
        let Some(asterisk) = &self.asterisk else { return Ok(Requirements::default()) };
        let needs = book.needs()?;
        let (found, checked) =
            both(|| needs::lacks(asterisk, &needs, now), || names::check(asterisk, &self.config_dir, book));
        let (CheckedNeeds { lacks, unasked }, CheckedNames { missing, unchecked }) = (found?, checked?);
        Ok(Requirements { lacks, missing_names: missing, unasked, unchecked_names: unchecked })
    }
}

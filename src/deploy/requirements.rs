//! What the running Asterisk must have for a tenant's files: modules, time zones, and what the operator
//! owns and they only name. Asked before anything moves, because Asterisk loads files that use what it
//! does not have without complaint.

use jiff::Timestamp;

use super::{
    ApplyError, Comparison, Host, StatusError, emergency,
    names::{self, CheckedNames, MissingName, NamePlaces},
    needs::{self, Found, Lack},
    readable::Unreadable,
};
use crate::{
    plan::{Allowance, RailStop},
    render::Phonebook,
};

/// What an Asterisk does not have of what a tenant's files need.
#[derive(Debug, Default)]
pub(super) struct Requirements {
    /// Modules and time zones.
    pub(super) lacks: Vec<Lack>,
    /// Names.
    pub(super) missing_names: Vec<MissingName>,
    /// What it was not asked about modules and time zones.
    unasked: Option<String>,
    /// Names that could not be checked, each with the reason.
    pub(super) unchecked_names: Vec<String>,
}

impl Host {
    /// Finds out what its Asterisk does not have; nothing if it may not be asked.
    ///
    /// # Errors
    /// When Asterisk does not run, or stays silent, or when a value cannot be rendered.
    pub(super) fn requirements(&self, book: &Phonebook<'_>, now: Timestamp) -> Result<Requirements, StatusError> {
        let Some(asterisk) = &self.asterisk else { return Ok(Requirements::default()) };
        let Found { lacks, unasked } = needs::lacks(asterisk, &book.needs()?, now)?;
        let CheckedNames { missing, unchecked } = names::check(asterisk, &self.config_dir, book)?;
        Ok(Requirements { lacks, missing_names: missing, unasked, unchecked_names: unchecked })
    }

    /// Adds to a plan what its Asterisk tells of it: phones that run without a file, emergency numbers that nobody can
    /// dial, and the rails at which the plan stops on this host, which are include lines, modules, time zones and names
    /// that Asterisk does not have. `places` holds where the names are declared.
    ///
    /// # Errors
    /// When Asterisk does not run, or stays silent.
    pub fn note_requirements(
        &self,
        comparison: &mut Comparison,
        allowance: &Allowance,
        places: &NamePlaces,
        now: Timestamp,
    ) -> Result<(), StatusError> {
        let tenant = &comparison.plan.tenant;
        if let Some(Unreadable { message, hint }) = self.unreadable(tenant)? {
            comparison.plan.stops.push(RailStop { rail: "unreadable-files", message, hint, allow: None });
        }
        if let Some(asterisk) = &self.asterisk {
            self.note_missing_includes(asterisk, comparison, allowance)?;
            self.note_phones_without_file(asterisk, &mut comparison.plan)?;
            emergency::note_unreachable(asterisk, comparison)?;
        }
        let found = self.requirements(&Phonebook::of(&comparison.plan, None), now)?;
        let Requirements { lacks, missing_names, unasked, unchecked_names } = found;
        let lacking =
            lacks.into_iter().map(|Lack { rail, message, hint }| RailStop { rail, message, hint, allow: None });
        comparison.plan.stops.extend(lacking);
        let allowed = allowance.get(names::RAIL).copied().unwrap_or(0);
        if missing_names.len() > allowed {
            comparison.plan.stops.push(missing_names_stop(&missing_names, places));
        } else {
            comparison.plan.notes.extend(missing_names.iter().map(|missing| missing.words(places)));
        }
        comparison.plan.notes.extend(unasked.clone());
        comparison.unasked.extend(unasked);
        comparison.unchecked.extend(unchecked_names);
        Ok(())
    }

    /// Checks the names again that were `unchecked`: the modules that know them are loaded now.
    ///
    /// # Errors
    /// When Asterisk does not run, or stays silent, or lacks more of the names than are allowed.
    pub(super) fn check_names_again(
        &self,
        book: &Phonebook<'_>,
        unchecked: &[String],
        allowance: &Allowance,
    ) -> Result<(), ApplyError> {
        let Some(asterisk) = self.asterisk.as_ref().filter(|_| !unchecked.is_empty()) else { return Ok(()) };
        let CheckedNames { missing, unchecked: _ } = names::check(asterisk, &self.config_dir, book)?;
        if missing.len() > allowance.get(names::RAIL).copied().unwrap_or(0) {
            return Err(ApplyError::Rail(missing_names_stop(&missing, &NamePlaces::new())));
        }
        Ok(())
    }
}

/// Makes one stop of all missing names.
fn missing_names_stop(missing: &[MissingName], places: &NamePlaces) -> RailStop {
    let words: Vec<String> = missing.iter().map(|missing| missing.words(places)).collect();
    let mut hints: Vec<String> = missing.iter().map(MissingName::hint).collect();
    hints.push(format!("if this is meant: --allow {}={}", names::RAIL, missing.len()));
    RailStop { rail: names::RAIL, message: words.join("; "), hint: hints.join("; "), allow: Some(missing.len()) }
}

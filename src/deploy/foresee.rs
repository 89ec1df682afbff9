//! Whether another file on this host defines a name of a plan, or leads calls from an address elsewhere.

use super::{ApplyError, Host, step::Step, survey::Survey};
use crate::{
    plan::{Plan, RailStop},
    render::{Digests, Phonebook},
};

impl Host {
    /// Finds the rail `taken-names` of a plan. If Asterisk was not asked, only the files of other tenants are looked at.
    ///
    /// # Errors
    /// If a file cannot be read, or Asterisk does not answer.
    pub(super) fn taken_names(&self, plan: &Plan, survey: &Survey) -> Result<Option<RailStop>, ApplyError> {
        let book = Phonebook::of(plan, None);
        let rendered = book.files(Digests::Masked)?;
        let step = Step::new(self, &book, &rendered, survey)?;
        let asterisk = self.asterisk.as_ref().filter(|_| survey.running.is_some());
        let checked =
            step.check_files().and_then(|()| asterisk.map_or(Ok(()), |asterisk| step.check_running(asterisk)));
        match checked {
            Ok(()) => Ok(None),
            Err(ApplyError::Rail(rail)) => Ok(Some(rail)),
            Err(error) => Err(error),
        }
    }
}

//! What an apply would be stopped by on this host, looked at for a plan: moves nothing.

use super::{ApplyError, Comparison, Host, Running, host::InPlace, step::Step};
use crate::{
    plan::{Plan, RailStop},
    render::{Digests, Phonebook},
};

impl Host {
    /// Adds the rail `taken-names` to a plan if another file on this host defines a name or leads calls from an
    /// address elsewhere. Without a running Asterisk only the files of other tenants are looked at.
    pub fn note_taken_names(&self, comparison: &mut Comparison, in_place: &InPlace, running: Option<&Running>) {
        let asterisk = self.asterisk.clone().filter(|_| running.is_some());
        let host = Self { asterisk, ..self.clone() };
        match host.taken_names(&comparison.plan, in_place, running) {
            Ok(stop) => comparison.plan.stops.extend(stop),
            Err(error) => comparison.unchecked.push(format!("names that other files on this host define: {error}")),
        }
    }

    fn taken_names(
        &self,
        plan: &Plan,
        in_place: &InPlace,
        running: Option<&Running>,
    ) -> Result<Option<RailStop>, ApplyError> {
        let book = Phonebook::of(plan, None);
        let rendered = book.files(Digests::Masked)?;
        let step = Step::new(self, &book, &rendered, in_place, running.copied().unwrap_or_default())?;
        match step.check_names() {
            Ok(()) => Ok(None),
            Err(ApplyError::Rail(rail)) => Ok(Some(rail)),
            Err(error) => Err(error),
        }
    }
}

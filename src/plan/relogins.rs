//! Phones that must log in again: those whose rows change, and those whose rows stay while something
//! else was live until now. The rail also counts those that must register over another transport.

use std::collections::BTreeSet;

use super::{Inputs, Plan, RailStop, rails};
use crate::{
    directory::{ManagedBy, Recorded},
    model::{Extension, RailLimit},
};

/// The rail's name.
pub const RELOGINS: &str = "relogins";

/// How many phones may have to log in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReloginRail {
    /// As the file declares it.
    allowed: usize,
    /// As `--allow` passes it once.
    told: usize,
    /// Whether a phone counts even if the rows explain why it must log in again.
    counts_rows: bool,
}

impl ReloginRail {
    /// The limit of a file, and what is allowed once.
    pub(super) fn of_file(inputs: &Inputs<'_>) -> Self {
        let told = inputs.allowance.get(RELOGINS).copied().unwrap_or(0);
        Self {
            allowed: rails::allowed(inputs.declared.rails.relogins, users(inputs.recorded)),
            told,
            counts_rows: true,
        }
    }

    /// The default limit, if no file is applied. Each change of a row was asked for by itself, so that only
    /// files in place that do not fit the rows count, as after the restore of an older dump.
    pub(super) fn of_recorded(recorded: &Recorded) -> Self {
        Self { allowed: rails::allowed(RailLimit::default(), users(recorded)), told: 0, counts_rows: false }
    }

    fn stop(self, count: usize, moved: usize) -> Option<RailStop> {
        let Self { allowed, told, .. } = self;
        let over = if moved > 0 { format!(", {moved} of them over another transport") } else { String::new() };
        (count > allowed.max(told)).then(|| RailStop {
            rail: RELOGINS,
            message: format!("{count} phones would have to log in again{over} (allowed {allowed})"),
            hint: format!("if this is meant: --allow {RELOGINS}={count}"),
            allow: Some(count),
        })
    }
}

/// Counts the users whom the limits in percent are of.
fn users(recorded: &Recorded) -> usize {
    recorded.users.values().filter(|user| user.managed_by == ManagedBy::File).count()
}

/// What becomes of phones. The rows tell it, and on the host the files in place tell it better.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PhoneEffects {
    /// Phones that must log in again though their rows stay: those behind, or on the host those whose
    /// digest in place is not the recorded one.
    pub relogins: BTreeSet<Extension>,
    /// Phones that are made: no apply made them live, or on the host the file in place lacks them.
    pub made: BTreeSet<Extension>,
    /// How many phones end because their user is gone. On the host those in the file in place.
    pub ended: usize,
}

impl Plan {
    /// Tells what becomes of phones by the rows alone.
    pub fn phones_by_rows(&self) -> PhoneEffects {
        PhoneEffects { relogins: self.behind.clone(), made: self.made.clone(), ended: self.counts.delete }
    }

    /// Counts the phones that must log in again, those whose rows stay included.
    pub fn count_relogins(&self, phones: &PhoneEffects) -> usize {
        self.changed_logins() + phones.relogins.len()
    }

    /// Finds the rail at too many phones that must log in again.
    pub fn relogin_stop(&self, phones: &PhoneEffects) -> Option<RailStop> {
        let relogins = &phones.relogins;
        let moved = self.moved.difference(relogins).count();
        let counted = if self.relogin_rail.counts_rows {
            self.count_relogins(phones) + moved
        } else {
            relogins.difference(&self.behind).count()
        };
        self.relogin_rail.stop(counted, moved)
    }

    /// Tells whether a rail stops the rows from being recorded. What is in place stops an apply only.
    pub fn stops_rows(&self, stop: &RailStop) -> bool {
        match stop.rail {
            RELOGINS => {
                let count = self.changed_logins() + self.moved.len();
                self.relogin_rail.stop(count, self.moved.len()).is_some()
            }
            "deletes" | "protected" => true,
            _ => false,
        }
    }

    /// Counts the phones that must log in again because their rows change.
    fn changed_logins(&self) -> usize {
        self.changes.iter().filter(|change| change.relogin).count()
    }
}

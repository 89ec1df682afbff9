//! Phones that must log in again: those whose rows change, and those whose rows stay while something
//! else was live until now. The rail also counts those that must register over another transport.

use std::collections::BTreeSet;

use super::{Inputs, Plan, RailStop, rails};
use crate::{
    directory::{ManagedBy, Recorded},
    model::{Extension, RailLimit},
};

/// The rail's name.
const RELOGINS: &str = "relogins";

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

impl Plan {
    /// Takes over which phones must log in again though their rows stay, and counts anew.
    pub fn settle_relogins(&mut self, phones: BTreeSet<Extension>) {
        self.relogins = phones;
        self.counts.relogin = self.changed_logins() + self.relogins.len();
        let moved = self.moved.difference(&self.relogins).count();
        let counted = if self.relogin_rail.counts_rows {
            self.counts.relogin + moved
        } else {
            self.relogins.difference(&self.behind).count()
        };
        self.stops.retain(|stop| stop.rail != RELOGINS);
        let place = self.stops.iter().take_while(|stop| ["foreign-files", "deletes"].contains(&stop.rail)).count();
        if let Some(stop) = self.relogin_rail.stop(counted, moved) {
            self.stops.insert(place, stop);
        }
    }

    /// Lists the rails that stop the rows from being recorded. What is in place stops an apply only.
    pub fn stops_of_rows(&self) -> impl Iterator<Item = &RailStop> {
        let too_many = self.relogin_rail.stop(self.changed_logins() + self.moved.len(), self.moved.len()).is_some();
        self.stops.iter().filter(move |stop| match stop.rail {
            RELOGINS => too_many,
            "deletes" | "protected" => true,
            _ => false,
        })
    }

    /// Counts the phones that must log in again because their rows change.
    fn changed_logins(&self) -> usize {
        self.changes.iter().filter(|change| change.relogin).count()
    }
}

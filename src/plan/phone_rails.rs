//! Users that are deleted, and phones that must log in again or register over another transport: how many an apply may
//! make of them without being told twice.

use super::{Allowance, Effects, Inputs, Plan, RailStop, rails};
use crate::{
    directory::{ManagedBy, Recorded},
    model::RailLimit,
};

/// The rail at too many users that are deleted.
pub(crate) const DELETES: &str = "deletes";

/// The rail at too many phones that must log in again.
pub(crate) const RELOGINS: &str = "relogins";

/// How many users may be deleted, and how many phones may have to log in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PhoneRails {
    /// How many users the limits are of.
    users: usize,
    declared: RailLimit,
    deletes: Limit,
    relogins: Limit,
    /// Whether a phone counts even if the rows explain what becomes of it.
    counts_rows: bool,
}

/// The limit of one rail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Limit {
    /// As the file declares it.
    allowed: usize,
    /// As `--allow` passes it once.
    told: usize,
}

impl Limit {
    /// Makes the stop at a count that is over the limit.
    fn stop(self, rail: &'static str, count: usize, words: impl FnOnce() -> String) -> Option<RailStop> {
        let Self { allowed, told } = self;
        (count > allowed.max(told)).then(|| RailStop {
            rail,
            message: format!("{} (allowed {allowed})", words()),
            hint: format!("if this is intended: --allow {rail}={count}"),
            allow: Some(count),
        })
    }
}

impl PhoneRails {
    /// The limits of a file, and what is allowed once.
    pub(super) fn of_file(inputs: &Inputs<'_>) -> Self {
        let users = users(inputs.recorded);
        let limit = |rail: &str, declared| Limit {
            allowed: rails::allowed(declared, users),
            told: inputs.allowance.get(rail).copied().unwrap_or(0),
        };
        let declared = &inputs.declared.rails;
        Self {
            users,
            declared: declared.deletes,
            deletes: limit(DELETES, declared.deletes),
            relogins: limit(RELOGINS, declared.relogins),
            counts_rows: true,
        }
    }

    /// The default limits, if no file is applied. Each change of a row was asked for by itself, so that only
    /// files in place that do not fit the rows count, as after the restore of an older dump.
    pub(super) fn of_recorded(recorded: &Recorded) -> Self {
        let users = users(recorded);
        let limit = Limit { allowed: rails::allowed(RailLimit::default(), users), told: 0 };
        Self { users, declared: RailLimit::default(), deletes: limit, relogins: limit, counts_rows: false }
    }

    /// Finds the stop at users that are deleted.
    fn deletes(self, count: usize) -> Option<RailStop> {
        let users = self.users;
        self.deletes.stop(DELETES, count, || format!("{count} of {users} users would be deleted"))
    }

    /// Finds the stop at phones that end, of users of whom so many were deleted before: by `sync`, or by an apply on
    /// another host. The limit is of the users that there were then.
    fn ends(self, count: usize, before: usize) -> Option<RailStop> {
        let allowed = rails::allowed(self.declared, self.users + before);
        let limit = Limit { allowed, ..self.deletes };
        limit.stop(DELETES, count, || format!("{count} phones of deleted users would be removed"))
    }

    fn relogins(self, count: usize, moved: usize) -> Option<RailStop> {
        self.relogins.stop(RELOGINS, count, || {
            let over = if moved > 0 { format!(", {moved} of them over another transport") } else { String::new() };
            format!("{count} phones would have to log in again{over}")
        })
    }
}

/// Finds the rail at new secrets that are asked for at once, of so many phones. No file is applied, so the default limit
/// holds.
pub(crate) fn rotation_stop(recorded: &Recorded, count: usize, allowance: &Allowance) -> Option<RailStop> {
    let mut rails = PhoneRails::of_recorded(recorded);
    rails.relogins.told = allowance.get(RELOGINS).copied().unwrap_or(0);
    rails.relogins(count, 0)
}

/// Counts the users whom the limits in percent are of.
fn users(recorded: &Recorded) -> usize {
    recorded.users.values().filter(|user| user.managed_by == ManagedBy::File).count()
}

impl Plan {
    /// Counts the phones that must log in again, those whose rows stay included.
    pub(crate) fn count_relogins(&self, effects: &Effects) -> usize {
        self.changed_logins() + effects.relogins.len()
    }

    /// Finds the rails at users that are deleted and phones that must log in again.
    pub(crate) fn phone_stops(&self, effects: &Effects) -> impl Iterator<Item = RailStop> {
        let moved = self.moved(effects);
        let logins = if self.phone_rails.counts_rows {
            self.count_relogins(effects) + moved
        } else {
            effects.relogins.difference(&self.behind).count()
        };
        let deletes = if effects.deleted > self.counts.delete {
            self.phone_rails.ends(effects.deleted, effects.deleted - self.counts.delete)
        } else {
            self.phone_rails.deletes(self.counts.delete)
        };
        deletes.into_iter().chain(self.phone_rails.relogins(logins, moved))
    }

    /// Tells whether a rail stops the rows from being recorded. What is in place stops an apply only.
    pub(crate) fn stops_rows(&self, stop: &RailStop) -> bool {
        let moved = self.by_rows.moved.len();
        match stop.rail {
            DELETES => self.phone_rails.deletes(self.counts.delete).is_some(),
            RELOGINS => self.phone_rails.relogins(self.changed_logins() + moved, moved).is_some(),
            "protected" | rails::BOXES | rails::PUBLIC_NUMBERS => true,
            _ => false,
        }
    }

    /// Counts the phones that must log in again because their rows change.
    fn changed_logins(&self) -> usize {
        self.changes.relogins().count()
    }
}

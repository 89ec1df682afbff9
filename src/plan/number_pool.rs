//! How a new user gets a number: the number that is held for this user, otherwise the lowest free
//! number. Plans and the portal API both allocate by this rule.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use jiff::Timestamp;

use super::numbers::is_held;
use crate::{
    directory::Hold,
    model::{Extension, Settings, UserKey},
    objects::NumberOwner,
};

/// The numbers that a tenant keeps back, and for which owner.
pub(super) struct NumberPool<'a> {
    settings: &'a Settings,
    /// Reserved and emergency numbers.
    pinned_only: BTreeSet<Extension>,
    held: BTreeMap<Extension, NumberOwner>,
    /// What each former owner gets back: of several numbers the one freed last. Never one that only a
    /// pin gives.
    own: BTreeMap<NumberOwner, Extension>,
}

impl<'a> NumberPool<'a> {
    pub(super) fn new(settings: &'a Settings, holds: &BTreeMap<Extension, Hold>, now: Timestamp) -> Self {
        let mut held: Vec<_> = holds.iter().filter(|(_, hold)| is_held(hold, settings.hold_days, now)).collect();
        held.sort_by_key(|(number, hold)| (hold.freed_at, Reverse(**number)));
        let pinned_only = settings.pinned_only();
        let returns = |number: &Extension| settings.range.contains(*number) && !pinned_only.contains(number);
        let own = held.iter().filter(|(number, _)| returns(number));
        Self {
            settings,
            own: own.map(|(number, hold)| (hold.owner.clone(), **number)).collect(),
            pinned_only,
            held: held.into_iter().map(|(number, hold)| (*number, hold.owner.clone())).collect(),
        }
    }

    /// Holds a number that is freed only now. No user gets it back in the same run.
    pub(super) fn hold(&mut self, number: Extension, owner: NumberOwner) {
        if self.settings.hold_days > 0 {
            self.held.insert(number, owner);
        }
    }

    /// Returns the former owner of a number on hold.
    pub(super) fn held_for(&self, number: Extension) -> Option<&NumberOwner> {
        self.held.get(&number)
    }

    /// Returns the number that was held for this owner.
    pub(super) fn own(&self, owner: &NumberOwner) -> Option<Extension> {
        self.own.get(owner).copied()
    }

    /// Tells whether a number that nobody has may be given to anybody.
    pub(super) fn is_free(&self, number: Extension) -> bool {
        self.settings.range.contains(number) && !self.pinned_only.contains(&number) && !self.held.contains_key(&number)
    }

    /// Filters the unused numbers that any user may get, in the same order.
    pub(super) fn free(&self, unused: impl Iterator<Item = Extension>) -> impl Iterator<Item = Extension> {
        unused.filter(|number| !self.pinned_only.contains(number) && !self.held.contains_key(number))
    }
}

/// Why a new user gets no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoNumber {
    /// The pinned one lies outside the ranges.
    OutsideRange,
    /// The pinned one is an emergency number: only the file can give it, which warns.
    Emergency,
    /// The pinned one belongs to a user or an object.
    Taken,
    /// None is left.
    Exhausted,
}

/// Gives numbers to new users one by one, in the order in which they are added.
pub struct Allocator<'a> {
    pool: NumberPool<'a>,
    taken: BTreeSet<Extension>,
    free: std::vec::IntoIter<Extension>,
}

impl<'a> Allocator<'a> {
    /// Begins with what is recorded: the numbers on hold, those of the wanted ones that are taken, and for each newcomer
    /// the next lowest number that has no row, if there is one.
    pub fn new(
        settings: &'a Settings,
        holds: &BTreeMap<Extension, Hold>,
        taken: BTreeSet<Extension>,
        unused: Vec<Extension>,
        newcomers: usize,
        now: Timestamp,
    ) -> Self {
        let pool = NumberPool::new(settings, holds, now);
        // A number whose hold ended still has a row.
        let held = holds.keys().copied().filter(|number| settings.range.contains(*number));
        let mut free: Vec<Extension> = pool.free(unused.into_iter().chain(held)).collect();
        let range_of = |number| settings.range.in_order().iter().position(|range| range.contains(number));
        free.sort_unstable_by_key(|number| (range_of(*number), *number));
        // Each takes one number at most.
        free.truncate(newcomers);
        Self { pool, taken, free: free.into_iter() }
    }

    /// Gives the next one a number. A pin may name a reserved one, and ends a hold, as in the file. It
    /// cannot name an emergency number, because the warning of the file has no counterpart here.
    ///
    /// # Errors
    /// When the pin cannot be had, or no number is left; the next one may still get one.
    pub fn give(&mut self, email: &UserKey, pin: Option<Extension>) -> Result<Extension, NoNumber> {
        let taken = &self.taken;
        let number = match pin {
            Some(pin) if !self.pool.settings.range.contains(pin) => return Err(NoNumber::OutsideRange),
            Some(pin) if taken.contains(&pin) => return Err(NoNumber::Taken),
            Some(pin) if self.pool.settings.emergency_numbers().contains(&pin) => return Err(NoNumber::Emergency),
            Some(pin) => pin,
            None => match self.pool.own(&NumberOwner::User(email.clone())).filter(|own| !taken.contains(own)) {
                Some(own) => own,
                None => self.free.find(|number| !taken.contains(number)).ok_or(NoNumber::Exhausted)?,
            },
        };
        self.taken.insert(number);
        Ok(number)
    }
}

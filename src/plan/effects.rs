//! Whom a plan affects: the phones, trunks and public numbers themselves, and how many they are.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::{E164, Extension};

/// What becomes of phones, carriers and public numbers. The rows tell it, and on the host the files in place tell it
/// better: they may be behind the rows, or ahead of restored ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Phones that must log in again though their rows stay: those behind, or on the host those whose
    /// digest in place is not the recorded one.
    pub relogins: BTreeSet<Extension>,
    /// Phones that are made: no apply made them live, or on the host the file in place lacks them.
    pub made: BTreeSet<Extension>,
    /// How many phones end because their user is gone. On the host those in the file in place.
    pub ended: usize,
    /// How many of those the file ends, whose users were not let go one by one through the API.
    pub deleted: usize,
    /// Phones that keep their login and must register over another transport.
    pub moved: BTreeSet<Extension>,
    /// Phones that keep their login and transport, and whose sections change.
    pub(crate) reread: BTreeSet<Extension>,
    /// Whether all phones can dial other numbers or contexts.
    pub(crate) dialing: bool,
    /// Objects with an endpoint of their own that change, come or go, by name.
    pub carriers: BTreeSet<String>,
    /// Public numbers whose calls may go another way.
    pub numbers: BTreeSet<E164>,
}

/// Whom a plan affects. A phone counts once, in the first of `ended`, `relogin`, `moved`, `reread`, `dialing` and
/// `left_alone` that is true of it. Phones that are only made by the plan are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Affected {
    /// Phones whose registration ends because their user is gone.
    pub ended: usize,
    /// Phones that must log in again: their number, realm, endpoint name or secret changes.
    pub relogin: usize,
    /// Phones that must register over another transport.
    pub moved: usize,
    /// Phones whose sections are read again. They stay registered.
    pub(crate) reread: usize,
    /// Phones that can dial other numbers or contexts: their range or the operator's contexts change.
    pub(crate) dialing: usize,
    /// Phones that stay, of which nothing changes.
    pub(crate) left_alone: usize,
    /// Trunks that change, come or go.
    pub carriers: usize,
    /// Public numbers whose calls may go another way.
    pub numbers: usize,
}

impl Affected {
    /// Tells whether every phone and trunk that is registered stays registered.
    pub(crate) fn keeps_registrations(&self) -> bool {
        self.ended + self.relogin + self.moved + self.carriers == 0
    }

    /// Tells whether a user's phone, a trunk or a public number is affected at all.
    pub fn is_none(&self) -> bool {
        Self { left_alone: 0, ..*self } == Self::default()
    }
}

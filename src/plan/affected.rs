//! Whom a plan affects: phones, trunks and public numbers, counted. A change of one setting can reach
//! every phone, and no row shows it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{FieldChange, PhoneEffects, Plan, PlannedUser};
use crate::{
    directory::Recorded,
    model::{E164, Extension, ObjectName, PhoneOverride, Settings},
    objects::{self, Called, ObjectId, ObjectKind},
};

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
    pub reread: usize,
    /// Phones that can dial something else, because the operator's contexts change.
    pub dialing: usize,
    /// Phones that stay, of which nothing changes.
    pub left_alone: usize,
    /// Trunks that change, come or go.
    pub trunks: usize,
    /// Public numbers whose calls may go another way.
    pub numbers: usize,
}

impl Affected {
    /// Tells whether every phone and trunk that is registered stays registered.
    pub fn keeps_registrations(&self) -> bool {
        self.ended + self.relogin + self.moved + self.trunks == 0
    }

    /// Tells whether a user's phone, a trunk or a public number is affected at all.
    pub fn is_none(&self) -> bool {
        Self { left_alone: 0, ..*self } == Self::default()
    }
}

/// What changes of a phone that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PhoneChange {
    /// Its transport.
    Moved,
    /// Its name, codecs or devices.
    Reread,
}

/// Compares what Asterisk reads about a phone that keeps its login, before and after.
pub(super) fn phone_change(
    (before, phone_before, name_before): (&Settings, &PhoneOverride, &str),
    (after, phone_after, name_after): (&Settings, &PhoneOverride, &str),
) -> Option<PhoneChange> {
    let transport = |settings: &Settings, phone: &PhoneOverride| {
        phone.transport.clone().or_else(|| settings.phones.transport.clone())
    };
    if transport(before, phone_before) != transport(after, phone_after) {
        return Some(PhoneChange::Moved);
    }
    let devices = |settings: &Settings, phone: &PhoneOverride| phone.devices.unwrap_or(settings.phones.devices);
    let codecs_before = phone_before.codecs.as_ref().unwrap_or(&before.phones.codecs);
    let codecs_after = phone_after.codecs.as_ref().unwrap_or(&after.phones.codecs);
    let same = name_before == name_after
        && codecs_before == codecs_after
        && devices(before, phone_before) == devices(after, phone_after);
    (!same).then_some(PhoneChange::Reread)
}

impl Plan {
    /// Counts whom the plan affects.
    pub fn affected(&self, phones: &PhoneEffects) -> Affected {
        let trunks = self.inbound.iter().filter(|change| change.object == ObjectKind::Trunk);
        let trunks: BTreeSet<&str> = trunks
            .map(|change| change.name.as_str())
            .chain(self.trunks_behind.iter().map(ObjectName::as_str))
            .collect();
        let mut left = self.staying(phones);
        let mut take = |is_in: &dyn Fn(&Extension) -> bool| {
            let before = left.len();
            left.retain(|phone| !is_in(phone));
            before - left.len()
        };
        let logins = self.logins(phones);
        let dials_else = self.settings_changes.iter().any(|change| change.field == "dialplan.include");
        Affected {
            ended: phones.ended,
            relogin: take(&|phone| logins.contains(phone)),
            moved: take(&|phone| self.moved.contains(phone)),
            reread: take(&|phone| self.reread.contains(phone)),
            dialing: take(&|_| dials_else),
            left_alone: left.len(),
            trunks: trunks.len(),
            numbers: self.numbers_affected,
        }
    }

    /// Lists the phones that must log in again.
    fn logins(&self, phones: &PhoneEffects) -> BTreeSet<Extension> {
        let changed = self.changes.iter().filter(|change| change.relogin).map(|change| change.extension);
        changed.chain(phones.relogins.iter().copied()).collect()
    }

    /// Lists the phones that are there before and after, if with another login.
    fn staying(&self, phones: &PhoneEffects) -> BTreeSet<Extension> {
        let logins = self.logins(phones);
        let stays = |phone: &&Extension| !phones.made.contains(*phone) || logins.contains(*phone);
        self.users.keys().filter(stays).copied().collect()
    }

    /// Counts the phones that stay and that a change of a setting reaches.
    pub fn touched_by(&self, change: &FieldChange, phones: &PhoneEffects) -> usize {
        let reached = |user: &PlannedUser| match change.field {
            "phones.codecs" => user.phone.codecs.is_none(),
            "phones.devices" => user.phone.devices.is_none(),
            "phones.transport" => user.phone.transport.is_none(),
            "phones.realm" => user.phone.realm.is_none(),
            "endpoint_names" | "dialplan.include" => true,
            _ => false,
        };
        self.staying(phones).iter().filter(|phone| self.users.get(*phone).is_some_and(reached)).count()
    }
}

/// Counts the public numbers whose rules change, or name an object that changes.
pub(super) fn numbers(plan: &Plan, recorded: &Recorded) -> usize {
    let changing: BTreeSet<ObjectId> = plan.inbound.iter().map(|change| (change.object, change.name.clone())).collect();
    let mut numbers: BTreeSet<&E164> = BTreeSet::new();
    for routes in [&recorded.routes, &plan.routes] {
        let changed = routes.naming(changing.clone());
        let is_changed = |kind, name: &str| changed.contains(&(kind, name.to_owned()));
        for (name, rule) in objects::names(&routes.rules).iter().zip(&routes.rules) {
            if let Called::Did(number) = &rule.to
                && is_changed(ObjectKind::Route, name)
            {
                numbers.insert(number);
            }
        }
    }
    numbers.len()
}

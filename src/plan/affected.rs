//! Whom a plan affects: phones, trunks and public numbers, counted. A change of one setting can reach
//! every phone, and no row shows it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Change, Kind, Plan, PlannedUser, diff, inbound::Places};
use crate::{
    directory::Recorded,
    model::{E164, Extension, PhoneOverride, Settings},
    objects::{ObjectId, Routes},
};

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
    pub reread: BTreeSet<Extension>,
    /// Whether all phones can dial other numbers or contexts.
    pub dialing: bool,
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
    pub reread: usize,
    /// Phones that can dial other numbers or contexts: their range or the operator's contexts change.
    pub dialing: usize,
    /// Phones that stay, of which nothing changes.
    pub left_alone: usize,
    /// Trunks that change, come or go.
    pub carriers: usize,
    /// Public numbers whose calls may go another way.
    pub numbers: usize,
}

impl Affected {
    /// Tells whether every phone and trunk that is registered stays registered.
    pub fn keeps_registrations(&self) -> bool {
        self.ended + self.relogin + self.moved + self.carriers == 0
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
    /// Its name, codecs, devices, context or voicemail box.
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
    let own = |phone: &PhoneOverride| (phone.context.clone(), phone.mailbox.clone());
    let same = name_before == name_after
        && own(phone_before) == own(phone_after)
        && codecs_before == codecs_after
        && devices(before, phone_before) == devices(after, phone_after);
    (!same).then_some(PhoneChange::Reread)
}

impl Plan {
    /// Counts whom the plan affects.
    pub fn affected(&self, effects: &Effects) -> Affected {
        let mut left = self.staying(effects);
        let mut take = |is_in: &dyn Fn(&Extension) -> bool| {
            let before = left.len();
            left.retain(|phone| !is_in(phone));
            before - left.len()
        };
        let logins = self.logins(effects);
        Affected {
            ended: effects.ended,
            relogin: take(&|phone| logins.contains(phone)),
            moved: take(&|phone| effects.moved.contains(phone)),
            reread: take(&|phone| effects.reread.contains(phone)),
            dialing: take(&|_| effects.dialing),
            left_alone: left.len(),
            carriers: effects.carriers.len(),
            numbers: effects.numbers.len(),
        }
    }

    /// Lists the phones that must log in again.
    fn logins(&self, effects: &Effects) -> BTreeSet<Extension> {
        self.changes.relogins().chain(effects.relogins.iter().copied()).collect()
    }

    /// Counts the phones that keep their login and must register over another transport.
    pub(super) fn moved(&self, effects: &Effects) -> usize {
        let logins = self.logins(effects);
        let staying = self.staying(effects);
        staying.difference(&logins).filter(|phone| effects.moved.contains(phone)).count()
    }

    /// Lists the phones that are there before and after, if with another login.
    fn staying(&self, effects: &Effects) -> BTreeSet<Extension> {
        let logins = self.logins(effects);
        let stays = |phone: &&Extension| !effects.made.contains(*phone) || logins.contains(*phone);
        self.users.keys().filter(stays).copied().collect()
    }

    /// Counts the phones that stay and that a change of a setting reaches.
    pub fn touched_by(&self, setting: &str, effects: &Effects) -> usize {
        let reached = |user: &PlannedUser| match setting {
            "phones.codecs" => user.phone.codecs.is_none(),
            "phones.devices" => user.phone.devices.is_none(),
            "phones.transport" => user.phone.transport.is_none(),
            "phones.realm" => user.phone.realm.is_none(),
            "endpoint_names" => true,
            setting => DIALING.contains(&setting),
        };
        self.staying(effects).iter().filter(|phone| self.users.get(*phone).is_some_and(reached)).count()
    }
}

/// Settings that say what phones can dial.
const DIALING: [&str; 2] = ["extensions.range", "dialplan.include"];

/// Settings of phones that objects with an endpoint of their own have, too.
const SHARED: [&str; 2] = ["phones.codecs", "phones.transport"];

/// Completes what becomes of phones, carriers and public numbers by the rows alone, once all changes are known.
pub(super) fn complete(plan: &mut Plan, recorded: &Recorded) {
    let changed = changed(plan.changes.iter());
    // All of them have the codecs and the transport of the phones.
    let shares = plan.changes.of_settings().any(|key| SHARED.contains(&key));
    let all = if shares { plan.routes.objects().into_keys().collect() } else { BTreeSet::new() };
    let carriers = changed.iter().chain(&plan.secrets_behind).chain(&all).filter(|(kind, _)| kind.has_endpoint());
    plan.by_rows = Effects {
        relogins: plan.behind.clone(),
        ended: plan.counts.delete,
        deleted: plan.counts.delete,
        dialing: plan.changes.of_settings().any(|key| DIALING.contains(&key)),
        carriers: carriers.map(|(_, name)| name.clone()).collect(),
        numbers: numbers(&recorded.routes, &plan.routes, &changed),
        ..std::mem::take(&mut plan.by_rows)
    };
}

/// Finds the public numbers whose calls may go another way with other routes.
pub fn numbers_between(before: &Routes, after: &Routes) -> BTreeSet<E164> {
    let changes = diff::objects(before, after, &Places::new(), &BTreeSet::new());
    numbers(before, after, &changed(changes.iter()))
}

/// Identifies the objects that change for calls from outside: such a call reaches no internal number.
fn changed<'a>(changes: impl Iterator<Item = &'a Change>) -> BTreeSet<ObjectId> {
    let is_inside = |change: &Change| {
        let mut fields = change.fields.iter();
        change.kind == Kind::Update && !change.secret_changed && fields.all(|field| field.field == "extension")
    };
    changes.filter(|change| !is_inside(change)).filter_map(|change| change.object().cloned()).collect()
}

/// Finds the public numbers of objects that change, or that name an object that changes, directly or by way of others.
fn numbers(before: &Routes, after: &Routes, changed: &BTreeSet<ObjectId>) -> BTreeSet<E164> {
    let mut numbers = BTreeSet::new();
    for routes in [before, after] {
        let reached = routes.naming(changed.clone());
        for (_, object) in routes.objects().into_iter().filter(|(id, _)| reached.contains(id)) {
            numbers.extend(object.numbers().into_iter().cloned());
        }
    }
    numbers
}

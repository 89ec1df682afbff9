//! Finds and counts whom a plan affects. A change of one setting can reach every phone, and no row shows it.

use std::collections::BTreeSet;

use super::{Affected, Change, Effects, Kind, Plan, PlannedUser, change::Places, diff};
use crate::{
    directory::Recorded,
    model::{E164, Extension},
    objects::{ObjectId, Routes},
};

impl Plan {
    /// Counts whom the plan affects.
    pub(crate) fn affected(&self, effects: &Effects) -> Affected {
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
    pub(crate) fn touched_by(&self, setting: &str, effects: &Effects) -> usize {
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
pub(crate) fn numbers_between(before: &Routes, after: &Routes) -> BTreeSet<E164> {
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

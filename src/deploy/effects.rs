//! What becomes of phones: the file in place beside the one to come. Rows tell less: they may have moved before the
//! file did, or the file may be that of another host.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::{
    directory::{Recorded, RecordedUser},
    model::{Extension, UserKey},
    plan::{Plan, PlannedUser},
    render::{self, ParsedPhone, Present},
};

/// Tells whether a phone of the file in place keeps its name and its digest.
pub(super) type Keeps<'a> = dyn Fn(&str, &ParsedPhone) -> bool + 'a;

/// Counts the phones in the file in place whose users are gone once the plan was carried out.
pub(super) fn ended(plan: &Plan, recorded: &Recorded, file: &Present, keeps: &Keeps<'_>) -> usize {
    let stay: BTreeSet<Uuid> = plan.users.values().filter_map(|user| user.id).collect();
    let emails: BTreeSet<UserKey> = plan.users.values().map(|user| user.email.key()).collect();
    let stays = |email: &str| {
        let key = UserKey::of(email);
        recorded.users.get(&key).map_or(emails.contains(&key), |user| stay.contains(&user.id))
    };
    file.parsed.phones.iter().filter(|(name, phone)| !stays(&phone.email) && !keeps(name, phone)).count()
}

/// Finds the numbers of users who were never live, and whose number belongs to somebody else in the file in
/// place: the former phone ends, and no phone must log in again.
pub(super) fn successors(plan: &Plan, recorded: &Recorded, file: &Present, keeps: &Keeps<'_>) -> BTreeSet<Extension> {
    let rows: BTreeMap<Uuid, &RecordedUser> = recorded.users.values().map(|row| (row.id, row)).collect();
    let is_successor = |user: &&PlannedUser| {
        let Some(row) = user.id.and_then(|id| rows.get(&id)) else { return false };
        let name = render::endpoint_name(&plan.tenant, plan.settings.endpoint_names, user.extension);
        let holder = file.parsed.phones.get(&name);
        let is_others = |phone: &ParsedPhone| UserKey::of(&phone.email) != row.email.key() && !keeps(&name, phone);
        row.applied.is_none() && holder.is_some_and(is_others)
    };
    plan.users.values().filter(is_successor).map(|user| user.extension).collect()
}

/// Finds the phones that the file in place lacks, or has for another user.
pub(super) fn made(plan: &Plan, file: Option<&Present>, mut successors: BTreeSet<Extension>) -> BTreeSet<Extension> {
    let name = |user: &PlannedUser| render::endpoint_name(&plan.tenant, plan.settings.endpoint_names, user.extension);
    let has = |user: &PlannedUser| file.is_some_and(|file| file.parsed.phones.contains_key(&name(user)));
    let made = plan.users.values().filter(|user| user.id.is_none() || !has(user));
    successors.extend(made.map(|user| user.extension));
    successors
}

/// Finds the users whose phone in the file in place has another login than the one to come, though no change of a
/// row says so: the directory lacks their row, or it is another directory, with other numbers and secrets.
pub(super) fn other_logins(plan: &Plan, recorded: &Recorded, file: &Present, keeps: &Keeps<'_>) -> BTreeSet<Extension> {
    let is_foreign = file.parsed.directory != recorded.directory;
    let by_id: BTreeMap<Uuid, &PlannedUser> = plan.users.values().filter_map(|user| Some((user.id?, user))).collect();
    let by_email: BTreeMap<UserKey, &PlannedUser> = plan.users.values().map(|user| (user.email.key(), user)).collect();
    let changed: BTreeSet<Extension> =
        plan.changes.iter().filter(|change| change.relogin).map(|change| change.extension).collect();
    let moves = file.parsed.phones.iter().filter_map(|(name, phone)| {
        let key = UserKey::of(&phone.email);
        let user = match recorded.users.get(&key) {
            // A row that was never live has inherited the address of the phone's user.
            Some(row) if row.applied.is_none() && !is_foreign => return None,
            Some(row) => by_id.get(&row.id)?,
            None => by_email.get(&key)?,
        };
        let is_same = render::endpoint_name(&plan.tenant, plan.settings.endpoint_names, user.extension) == *name;
        ((!is_same || user.digest.is_none()) && !keeps(name, phone)).then_some(user.extension)
    });
    moves.filter(|phone| !changed.contains(phone)).collect()
}

/// Notes the phones whose digest in place is another one though the rows do not explain it: an older dump
/// was restored, or somebody edited the file.
pub(super) fn foreign_digests(plan: &Plan, recorded: &Recorded, phones: &BTreeSet<Extension>) -> Option<String> {
    // A row that was never live is one that the directory made since.
    let new = recorded.users.values().filter(|row| row.applied.is_none()).map(|row| row.extension);
    let explained: BTreeSet<Extension> = plan.behind.iter().copied().chain(new).collect();
    let unexplained = phones.difference(&explained).count();
    let phones = if unexplained == 1 { "1 phone".to_owned() } else { format!("{unexplained} phones") };
    (unexplained > 0).then(|| {
        format!(
            "the file in place gives {phones} another digest than the directory, which did not change it since the \
             last apply: was an older dump restored, or the file edited?"
        )
    })
}

//! What an administrator should know about a plan, without being stopped: people who may have been renamed,
//! and numbers that were somebody else's until a short time ago.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::{Inputs, Kind, Plan, PlannedUser, UserChange, numbers::is_held};
use crate::{
    directory::{FREED_DAYS, Recorded, RecordedUser},
    model::{DisplayName, Extension, Identity, UserKey},
    objects::{NumberOwner, ObjectId, ObjectKind},
};

/// The most notes of a kind: the rest is counted.
const MOST: usize = 5;

/// Finds users who are deleted while a new user has their former address, or while one new user has the same name:
/// perhaps a rename is undone, or their address changed. If one user is deleted and one is new, less is enough: both name
/// and address may have changed, as after a marriage.
pub(super) fn perhaps_renamed(plan: &Plan, leaving: &[&RecordedUser]) -> Vec<String> {
    let pairs = likely_pairs(plan, leaving);
    if pairs.is_empty()
        && let [old] = leaving
        && let [new] = created(plan).take(2).collect::<Vec<_>>().as_slice()
        && let Some(after) = plan.users.get(&new.extension)
    {
        return likeness(old, after).map(|why| rename_note(old, new, why)).into_iter().collect();
    }
    bounded(pairs, "pairs of a deleted and a new user may be the same person")
}

/// Lists the new users.
fn created(plan: &Plan) -> impl Iterator<Item = &UserChange> {
    plan.changes.of_users().filter(|(change, _)| change.kind == Kind::Create).map(|(_, user)| user)
}

/// Says what the only user who leaves and the only new one have in common.
fn likeness(old: &RecordedUser, new: &PlannedUser) -> Option<&'static str> {
    let local = |identity: &Identity| {
        let (local, _) = identity.email()?.split_once('@')?;
        Some(local.to_lowercase())
    };
    let words = |name: &DisplayName| -> BTreeSet<String> {
        let letters = name.as_str().split(|c: char| !c.is_alphanumeric());
        // Titles and initials are no likeness.
        letters.filter(|word| word.chars().count() > 2).map(str::to_lowercase).collect()
    };
    if old.extension == new.extension && new.pinned {
        Some("the first one is pinned to the extension of the second")
    } else if local(&old.email).is_some_and(|name| local(&new.email) == Some(name)) {
        Some("both addresses begin alike")
    } else if !words(&old.name).is_disjoint(&words(&new.name)) {
        Some("a part of their names is the same")
    } else {
        None
    }
}

/// Finds pairs by a former address or by the same name.
fn likely_pairs(plan: &Plan, leaving: &[&RecordedUser]) -> Vec<String> {
    let mut new: BTreeMap<UserKey, &UserChange> = created(plan).map(|user| (user.email.key(), user)).collect();
    let mut notes = Vec::new();
    let mut by_name: BTreeMap<&str, (Vec<&RecordedUser>, Vec<&UserChange>)> = BTreeMap::new();
    for user in leaving {
        match user.previous.as_ref().and_then(|former| new.remove(former)) {
            Some(change) => {
                notes.push(rename_note(user, change, "the deleted user once had the address of the new one"));
            }
            None => by_name.entry(user.name.as_str()).or_default().0.push(user),
        }
    }
    for change in new.into_values() {
        let Some(user) = plan.users.get(&change.extension) else { continue };
        if let Some((_, new)) = by_name.get_mut(user.name.as_str()) {
            new.push(change);
        }
    }
    notes.extend(by_name.values().filter_map(|(old, new)| match (old.as_slice(), new.as_slice()) {
        ([old], [new]) => Some(rename_note(old, new, "both have the same name")),
        _ => None,
    }));
    notes
}

fn rename_note(old: &RecordedUser, new: &UserChange, why: &str) -> String {
    format!(
        "{} is created and {} is deleted, and {why}: if this is one person, write `previously: {}` below `{}: {}`, \
         which keeps extension {} and the secret",
        new.email,
        old.email,
        old.email,
        new.email.field(),
        new.email,
        old.extension
    )
}

/// Finds kinds of which one object with a number goes and one with another number comes: perhaps it has a new name. A pin
/// keeps the number of an object.
pub(super) fn perhaps_renamed_objects(plan: &Plan, recorded: &Recorded) -> Vec<String> {
    let (had, has) = (recorded.routes.extensions(), plan.routes.extensions());
    let mut by_kind: BTreeMap<ObjectKind, [Vec<(&ObjectId, Extension)>; 2]> = BTreeMap::new();
    for (change, id) in plan.changes.of_objects() {
        let (at, number) = match change.kind {
            Kind::Delete => (0, had.get(id)),
            Kind::Create => (1, has.get(id)),
            Kind::Update | Kind::Rename | Kind::Adopt => continue,
        };
        if let Some(number) = number {
            by_kind.entry(id.0).or_default()[at].push((id, *number));
        }
    }
    let note = |(kind, [gone, new]): (ObjectKind, [Vec<(&ObjectId, Extension)>; 2])| match (&gone[..], &new[..]) {
        ([(old, had)], [(new, has)]) if had != has => Some(format!(
            "the {kind} `{}` is new and `{}` goes, which had extension {had}: if this is one {kind} under a new name, write \
             `extension: {had}` at it",
            new.1, old.1
        )),
        _ => None,
    };
    by_kind.into_iter().filter_map(note).collect()
}

/// Says that imported secrets are not taken, because their users are recorded with others.
pub(super) fn other_imported(inputs: &Inputs<'_>) -> Option<String> {
    let is_imported = |key: &UserKey| inputs.declared.users.get(key).is_some_and(|user| user.secret.is_none());
    let others = inputs.secrets.iter().filter_map(|(key, secret)| {
        let (secret, old) = (secret.as_ref().ok()?, inputs.recorded.users.get(key)?);
        (is_imported(key) && !old.prints.is_secret(secret)).then_some(old)
    });
    let others: Vec<&RecordedUser> = others.collect();
    let first = others.first()?;
    let users = match others.len() {
        1 => format!("{} is", first.email),
        count => format!("{} and {} more are", first.email, count - 1),
    };
    Some(format!(
        "{users} recorded with another secret than the one in `--secrets`, which is taken for new users only; to take it, \
         remove the user from the file, apply, and add the user again"
    ))
}

/// Finds numbers that go to a new owner and were another one's at most [`FREED_DAYS`] days ago.
pub(super) fn reused_numbers(plan: &Plan, inputs: &Inputs<'_>) -> Vec<String> {
    let Inputs { declared, recorded, now, .. } = inputs;
    let freed_now: BTreeMap<Extension, &NumberOwner> =
        plan.freed.iter().map(|(number, owner)| (*number, owner)).collect();
    let note = |(number, owner, shown, is_pinned): (Extension, NumberOwner, String, bool)| {
        let (former, until) = if let Some(former) = freed_now.get(&number) {
            ((*former).clone(), "now".to_owned())
        } else {
            let freed = recorded.freed.get(&number)?;
            let age = now.duration_since(freed.freed_at);
            // A hold that a pin ends has a note of its own.
            let held = recorded.holds.get(&number);
            let is_held = held.is_some_and(|hold| is_held(hold, plan.settings.hold_days, *now));
            if age >= SignedDuration::from_hours(24 * i64::from(FREED_DAYS)) || is_held {
                return None;
            }
            (freed.owner.clone(), freed.freed_at.strftime("%Y-%m-%d").to_string())
        };
        let way = if is_pinned {
            "`hold` does not apply, because `extension:` pins the number"
        } else {
            "`hold: 30d` below `extensions` keeps a freed number from others for 30 days"
        };
        (former != owner).then(|| {
            format!(
                "extension {number} goes to {shown}; it belonged to {former} until {until}, and callers may still \
                 expect {former}; {way}"
            )
        })
    };
    let users =
        plan.changes.of_users().filter(|(change, _)| change.kind == Kind::Create || change.changes("extension"));
    let users = users.map(|(_, user)| {
        let key = user.email.key();
        let is_pinned = declared.users.get(&key).is_some_and(|user| user.extension.is_some());
        (user.extension, NumberOwner::User(key), user.email.to_string(), is_pinned)
    });
    let (had, claims) = (recorded.routes.extensions(), declared.routes.extension_claims());
    let given = plan.routes.extensions().into_iter().filter(|(id, number)| had.get(id) != Some(number));
    let objects = given.map(|(id, number)| {
        let is_pinned = claims.get(&id).is_some_and(|claim| claim.given().is_some());
        let owner = NumberOwner::Object(id);
        (number, owner.clone(), owner.to_string(), is_pinned)
    });
    bounded(users.chain(objects).filter_map(note).collect(), "numbers that get a new owner within 30 days")
}

/// Keeps the first notes of a kind and counts the rest.
fn bounded(mut notes: Vec<String>, of_what: &str) -> Vec<String> {
    let more = notes.len().saturating_sub(MOST);
    if more > 0 {
        notes.truncate(MOST);
        notes.push(format!("{more} more {of_what}"));
    }
    notes
}

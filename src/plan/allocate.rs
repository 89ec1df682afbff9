//! Numbers: pins are honoured, nobody is moved, whoever has none gets the lowest free one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::{Choice, Inputs};
use crate::{
    desired::Diagnostic,
    directory::RecordedUser,
    model::{EmailKey, Extension},
};

/// Gives every declared user a number, with the reason where it is a new one.
///
/// New users are served in the order of their e-mails, so that neither the order of the list nor
/// the split into files moves anyone.
pub(super) fn numbers<'a>(
    inputs: &Inputs<'a>,
    matched: &BTreeMap<&'a EmailKey, &'a EmailKey>,
    leaving: &[&RecordedUser],
    staying: &[&RecordedUser],
    problems: &mut Vec<Diagnostic>,
    notes: &mut Vec<String>,
) -> BTreeMap<&'a EmailKey, (Extension, Option<Choice>)> {
    let Inputs { declared, recorded, now, .. } = inputs;
    let settings = &declared.settings;
    let mut given: BTreeMap<&EmailKey, (Extension, Option<Choice>)> = BTreeMap::new();
    let mut taken: BTreeMap<Extension, &EmailKey> = BTreeMap::new();
    let staying_keys: Vec<EmailKey> = staying.iter().map(|user| user.email.key()).collect();
    for (user, key) in staying.iter().zip(&staying_keys) {
        if let Some((key, _)) = recorded.users.get_key_value(key) {
            taken.insert(user.extension, key);
        }
        if !settings.range.contains(user.extension) {
            let message = format!("`{}` has {}, outside the range {}", user.email, user.extension, settings.range);
            problems.push(
                Diagnostic::error("number-outside-range", message, None)
                    .hint("widen `extensions.range`: this user was made through the API, and is not moved silently"),
            );
        }
    }
    let old = |key: &EmailKey| matched.get(key).and_then(|row| recorded.users.get(*row));
    for (key, user) in &declared.users {
        if let (None, Some(row)) = (user.extension, old(key)) {
            taken.insert(row.extension, key);
            given.insert(key, (row.extension, None));
            if !settings.range.contains(row.extension) {
                let message = format!("`{}` has {}, outside the range {}", user.email, row.extension, settings.range);
                problems.push(
                    Diagnostic::error("number-outside-range", message, user.place).hint(
                        "widen `extensions.range`, or pin the user to a number inside it: nobody is moved silently",
                    ),
                );
            }
        }
    }
    for (key, user) in &declared.users {
        let Some(pin) = user.extension else { continue };
        if let Some(holder) = taken.get(&pin).filter(|holder| **holder != key) {
            problems.push(
                Diagnostic::error("pin-taken", format!("{pin} belongs to `{holder}`"), user.place)
                    .hint(format!("pin another number, or pin `{holder}` elsewhere in the same change")),
            );
            continue;
        }
        taken.insert(pin, key);
        given.insert(key, (pin, Some(Choice::Pinned)));
    }

    let kept = SignedDuration::from_hours(24 * i64::from(settings.hold_days));
    let mut held: BTreeMap<Extension, EmailKey> = recorded
        .holds
        .iter()
        .filter(|(_, hold)| now.duration_since(hold.freed_at) < kept)
        .map(|(number, hold)| (*number, hold.email.clone()))
        .collect();
    if settings.hold_days > 0 {
        held.extend(leaving.iter().map(|user| (user.extension, user.email.key())));
        // Whoever a pin moves leaves a number behind, too.
        let moved = declared.users.iter().filter_map(|(key, user)| {
            let row = old(key)?;
            (user.extension? != row.extension).then(|| (row.extension, key.clone()))
        });
        held.extend(moved);
    }
    for (key, (number, _)) in &given {
        if let Some(former) = held.get(number).filter(|former| *former != *key) {
            notes.push(format!("{key}: {number} was on hold for `{former}`; the pin ends that"));
        }
    }
    // Of several numbers on hold for one user, the one freed last.
    let mut holds: Vec<_> = recorded.holds.iter().filter(|(number, _)| held.contains_key(number)).collect();
    holds.sort_by_key(|(number, hold)| (hold.freed_at, std::cmp::Reverse(**number)));
    let own: BTreeMap<&EmailKey, Extension> = holds.into_iter().map(|(number, hold)| (&hold.email, *number)).collect();
    let without = |given: &BTreeMap<&EmailKey, _>| -> Vec<&'a EmailKey> {
        declared
            .users
            .iter()
            .filter(|(key, user)| user.extension.is_none() && !given.contains_key(key))
            .map(|(key, _)| key)
            .collect()
    };
    for key in without(&given) {
        let Some(number) = own.get(key).filter(|n| settings.range.contains(**n) && !taken.contains_key(n)) else {
            continue;
        };
        taken.insert(*number, key);
        given.insert(key, (*number, Some(Choice::Held)));
    }
    let blocked: BTreeSet<Extension> = settings.reserved.iter().copied().chain(held.into_keys()).collect();
    let mut free = settings
        .range
        .numbers()
        .filter_map(|number| Extension::try_from(number).ok())
        .filter(|number| !blocked.contains(number));
    let waiting = without(&given);
    let mut missing = 0_usize;
    for key in waiting {
        match free.by_ref().find(|number| !taken.contains_key(number)) {
            Some(number) => {
                given.insert(key, (number, Some(Choice::LowestFree)));
            }
            None => missing += 1,
        }
    }
    if missing > 0 {
        let users = if missing == 1 { "user is" } else { "users are" };
        let message = format!(
            "the range {} ({} numbers) is full: {missing} {users} without a number",
            settings.range,
            settings.range.size()
        );
        problems.push(
            Diagnostic::error("range-exhausted", message, None)
                .hint("widen `extensions.range`, shorten `hold` or release `reserved` numbers"),
        );
    }
    given
}

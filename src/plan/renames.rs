//! Who is who: which recorded row belongs to a declared user, under the present or the former address.
//!
//! Addresses can be handed on: a user leaves one to another person in the same plan, two users swap theirs,
//! or several pass theirs round.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    desired::Declared,
    directory::Recorded,
    model::{Code, Diagnostic, Identity, UserKey},
};

/// Finds the recorded row of each declared user.
pub(super) fn matched<'a>(
    declared: &'a Declared,
    recorded: &'a Recorded,
    problems: &mut Vec<Diagnostic>,
    notes: &mut Vec<String>,
) -> BTreeMap<&'a UserKey, &'a UserKey> {
    let renames = Renames::of(declared, recorded);
    let mut matched = BTreeMap::new();
    for (key, user) in &declared.users {
        if let Some(row) = renames.row_of(key) {
            matched.insert(key, row);
            continue;
        }
        let former = user.previously.as_ref().map(Identity::key);
        let former_noun = user.previously.as_ref().map_or("address", Identity::noun);
        let former_row = former.as_ref().filter(|former| recorded.users.contains_key(*former));
        match recorded.users.get_key_value(key) {
            Some(_) if renames.takes(key) => notes.push(format!(
                "{}: the user of this {} is renamed, so this is a new user, with a number and a secret of their own",
                user.email,
                user.email.noun()
            )),
            Some((row, old)) => {
                if let Some(former) = former_row
                    && old.previous.as_ref() != Some(former)
                    && !declared.users.contains_key(former)
                {
                    problems.push(
                        Diagnostic::error(
                            Code::RenameConflict,
                            format!("`{}` and its former {former_noun} `{former}` are both recorded", user.email),
                            user.place,
                        )
                        .hint("remove the `previously` line, or delete one of the two users first"),
                    );
                    continue;
                }
                if former_row.is_some() && old.previous.as_ref() != former_row {
                    notes.push(format!(
                        "{}: this user and the one of the former {former_noun} are both recorded already, so no user \
                         is renamed: the `previously` line can be removed",
                        user.email
                    ));
                }
                matched.insert(key, row);
            }
            None => {
                if let Some(former) = &user.previously {
                    notes.push(format!("{}: `{former}` is not recorded, so this is a new user", user.email));
                }
            }
        }
    }
    matched
}

/// Finds the new users who were deleted before: their address is a former user's, and no user was renamed from it.
pub(super) fn returning(
    declared: &Declared,
    recorded: &Recorded,
    matched: &BTreeMap<&UserKey, &UserKey>,
) -> BTreeSet<UserKey> {
    let new = declared.users.keys().filter(|key| !matched.contains_key(key));
    let mut returning: BTreeSet<UserKey> = new.filter(|key| recorded.former.contains_key(*key)).cloned().collect();
    if !returning.is_empty() {
        for former in recorded.users.values().filter_map(|user| user.previous.as_ref()) {
            returning.remove(former);
        }
    }
    returning
}

/// The renames that are still to be done.
struct Renames<'a> {
    /// The row of the former address, by the new one.
    rows: BTreeMap<&'a UserKey, &'a UserKey>,
    /// The new address, by the former one: no former address is claimed twice.
    by_former: BTreeMap<&'a UserKey, &'a UserKey>,
}

impl<'a> Renames<'a> {
    fn of(declared: &'a Declared, recorded: &'a Recorded) -> Self {
        // Those whose former address is recorded, unless the row says that it was renamed from there.
        let (mut rows, mut done) = (BTreeMap::new(), BTreeMap::new());
        for (key, user) in &declared.users {
            let Some(former) = user.previously.as_ref().map(Identity::key) else { continue };
            let Some((row, _)) = recorded.users.get_key_value(&former) else { continue };
            let is_done = recorded.users.get(key).and_then(|old| old.previous.as_ref()) == Some(&former);
            if is_done { &mut done } else { &mut rows }.insert(key, row);
        }
        let by_former: BTreeMap<_, _> = rows.iter().map(|(key, row)| (*row, *key)).collect();
        // A rename is possible if its new address is free, or is left by another possible rename. Each address
        // is left to one user at most, so that these are chains and rings.
        let mut possible: BTreeMap<&UserKey, bool> = BTreeMap::new();
        for start in rows.keys() {
            let mut chain = Vec::new();
            let mut at = *start;
            let outcome = loop {
                if let Some(known) = possible.get(at) {
                    break *known;
                }
                chain.push(at);
                match by_former.get(at) {
                    _ if !recorded.users.contains_key(at) => break true,
                    Some(next) if *next == *start => break true,
                    Some(next) => at = next,
                    None => break false,
                }
            };
            possible.extend(chain.into_iter().map(|key| (key, outcome)));
        }
        let rings = Self::rings(&rows, &done, |key| possible.get(key) != Some(&true));
        rows.retain(|key, _| possible.get(key) == Some(&true));
        rows.extend(rings);
        let by_former = rows.iter().map(|(key, row)| (*row, *key)).collect();
        Self { rows, by_former }
    }

    /// Finds rings that need renames which were done once. If two people who exchanged an address swap it back, one
    /// of the lines may be that of the first time.
    fn rings(
        rows: &BTreeMap<&'a UserKey, &'a UserKey>,
        done: &BTreeMap<&'a UserKey, &'a UserKey>,
        is_open: impl Fn(&UserKey) -> bool,
    ) -> Vec<(&'a UserKey, &'a UserKey)> {
        let all: BTreeMap<_, _> = done.iter().chain(rows).map(|(key, row)| (*key, *row)).collect();
        let by_former: BTreeMap<_, _> = all.iter().map(|(key, row)| (*row, *key)).collect();
        let (mut rings, mut seen) = (Vec::new(), BTreeSet::new());
        for start in rows.keys().filter(|key| is_open(key)) {
            let mut chain = vec![*start];
            let closed = loop {
                let at = chain[chain.len() - 1];
                match by_former.get(at) {
                    Some(next) if next == start => break true,
                    Some(next) if seen.insert(*next) => chain.push(*next),
                    _ => break false,
                }
            };
            if closed {
                rings.extend(chain.into_iter().map(|key| (key, all[key])));
            }
        }
        rings
    }

    /// Returns the row that a user takes over from the former address.
    fn row_of(&self, key: &UserKey) -> Option<&'a UserKey> {
        self.rows.get(key).copied()
    }

    /// Tells whether another user takes the row of an address.
    fn takes(&self, row: &UserKey) -> bool {
        self.by_former.contains_key(row)
    }
}

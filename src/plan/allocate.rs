//! Numbers: pins are honoured, nobody is moved, whoever has none gets the lowest free one.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{Choice, Inputs, numbers::is_held};
use crate::{
    desired::{Diagnostic, Place},
    directory::RecordedUser,
    model::{Email, EmailKey, Extension},
};

/// The numbers of the declared users, each with the reason where it is a new one.
pub(super) type Numbers<'a> = BTreeMap<&'a EmailKey, (Extension, Option<Choice>)>;

/// What numbers are given from.
pub(super) struct Allocation<'a, 'b> {
    pub(super) inputs: &'b Inputs<'a>,
    /// The recorded row of each declared user, by its e-mail.
    pub(super) matched: &'b BTreeMap<&'a EmailKey, &'a EmailKey>,
    /// Users who will be deleted.
    pub(super) leaving: &'b [&'a RecordedUser],
    /// Users of the API that the file does not mention.
    pub(super) staying: &'b [&'a RecordedUser],
    pub(super) problems: &'b mut Vec<Diagnostic>,
    pub(super) notes: &'b mut Vec<String>,
}

impl<'a> Allocation<'a, '_> {
    /// Gives every declared user a number.
    ///
    /// New users are served in the order of their e-mails, so that neither the order of the list
    /// nor the split into files moves anyone.
    pub(super) fn numbers(mut self) -> Numbers<'a> {
        let mut given = Numbers::new();
        let mut taken = self.taken_by_api();
        self.keep(&mut given, &mut taken);
        self.pin(&mut given, &mut taken);
        let held = self.held();
        for (key, (number, _)) in &given {
            if let Some(former) = held.get(number).filter(|former| *former != *key) {
                self.notes.push(format!("{key}: {number} was on hold for `{former}`; the pin ends that"));
            }
        }
        self.give_back(&held, &mut given, &mut taken);
        self.give_lowest(held, &mut given, &taken);
        given
    }

    fn old(&self, key: &EmailKey) -> Option<&'a RecordedUser> {
        self.matched.get(key).and_then(|row| self.inputs.recorded.users.get(*row))
    }

    /// Users of the API keep their numbers; the file cannot take them.
    fn taken_by_api(&mut self) -> BTreeMap<Extension, EmailKey> {
        let mut taken = BTreeMap::new();
        for user in self.staying {
            taken.insert(user.extension, user.email.key());
            self.check_range(&user.email, user.extension, None);
        }
        taken
    }

    /// Whoever has a number and is not pinned keeps it.
    fn keep(&mut self, given: &mut Numbers<'a>, taken: &mut BTreeMap<Extension, EmailKey>) {
        for (key, user) in &self.inputs.declared.users {
            let (None, Some(row)) = (user.extension, self.old(key)) else { continue };
            taken.insert(row.extension, key.clone());
            given.insert(key, (row.extension, None));
            self.check_range(&user.email, row.extension, Some(user.place));
        }
    }

    fn check_range(&mut self, email: &Email, extension: Extension, place: Option<Place>) {
        let range = self.inputs.declared.settings.range;
        if !range.contains(extension) {
            let message = format!("`{email}` has {extension}, outside the range {range}");
            let hint = match place {
                Some(_) => "widen `extensions.range`, or pin the user to a number inside it: nobody is moved silently",
                None => "widen `extensions.range`: this user was made through the API, and is not moved silently",
            };
            self.problems.push(Diagnostic::error("number-outside-range", message, place).hint(hint));
        }
    }

    fn pin(&mut self, given: &mut Numbers<'a>, taken: &mut BTreeMap<Extension, EmailKey>) {
        for (key, user) in &self.inputs.declared.users {
            let Some(pin) = user.extension else { continue };
            if let Some(holder) = taken.get(&pin) {
                self.problems.push(
                    Diagnostic::error("pin-taken", format!("{pin} belongs to `{holder}`"), user.place)
                        .hint(format!("pin another number, or pin `{holder}` elsewhere in the same change")),
                );
                continue;
            }
            taken.insert(pin, key.clone());
            given.insert(key, (pin, Some(Choice::Pinned)));
        }
    }

    /// Numbers that are on hold, or will be once this plan was carried out, and for whom.
    fn held(&self) -> BTreeMap<Extension, EmailKey> {
        let days = self.inputs.declared.settings.hold_days;
        if days == 0 {
            return BTreeMap::new();
        }
        let holds = self.inputs.recorded.holds.iter();
        let fresh = holds.filter(|(_, hold)| is_held(hold, days, self.inputs.now));
        let mut held: BTreeMap<_, _> = fresh.map(|(number, hold)| (*number, hold.email.clone())).collect();
        held.extend(self.leaving.iter().map(|user| (user.extension, user.email.key())));
        // Whoever a pin moves leaves a number behind, too.
        held.extend(self.inputs.declared.users.iter().filter_map(|(key, user)| {
            let row = self.old(key)?;
            (user.extension? != row.extension).then(|| (row.extension, key.clone()))
        }));
        held
    }

    fn without(&self, given: &Numbers<'a>) -> Vec<&'a EmailKey> {
        let users = &self.inputs.declared.users;
        users
            .iter()
            .filter(|(key, user)| user.extension.is_none() && !given.contains_key(key))
            .map(|(key, _)| key)
            .collect()
    }

    /// Whoever comes back gets the number that was held; of several the one freed last.
    fn give_back(
        &self,
        held: &BTreeMap<Extension, EmailKey>,
        given: &mut Numbers<'a>,
        taken: &mut BTreeMap<Extension, EmailKey>,
    ) {
        let mut holds: Vec<_> =
            self.inputs.recorded.holds.iter().filter(|(number, _)| held.contains_key(number)).collect();
        holds.sort_by_key(|(number, hold)| (hold.freed_at, Reverse(**number)));
        let own: BTreeMap<&EmailKey, Extension> =
            holds.into_iter().map(|(number, hold)| (&hold.email, *number)).collect();
        let range = self.inputs.declared.settings.range;
        for key in self.without(given) {
            let number = own.get(key).filter(|number| range.contains(**number) && !taken.contains_key(number));
            if let Some(number) = number {
                taken.insert(*number, key.clone());
                given.insert(key, (*number, Some(Choice::Held)));
            }
        }
    }

    fn give_lowest(
        &mut self,
        held: BTreeMap<Extension, EmailKey>,
        given: &mut Numbers<'a>,
        taken: &BTreeMap<Extension, EmailKey>,
    ) {
        let settings = &self.inputs.declared.settings;
        let blocked: BTreeSet<Extension> = settings.reserved.iter().copied().chain(held.into_keys()).collect();
        let numbers = settings.range.numbers().filter_map(|number| Extension::try_from(number).ok());
        let mut free = numbers.filter(|number| !blocked.contains(number) && !taken.contains_key(number));
        let mut missing = 0_usize;
        for key in self.without(given) {
            match free.next() {
                Some(number) => {
                    given.insert(key, (number, Some(Choice::LowestFree)));
                }
                None => missing += 1,
            }
        }
        if missing > 0 {
            let users = if missing == 1 { "user is" } else { "users are" };
            let (range, size) = (settings.range, settings.range.size());
            let message = format!("the range {range} ({size} numbers) is full: {missing} {users} without a number");
            self.problems.push(
                Diagnostic::error("range-exhausted", message, None)
                    .hint("widen `extensions.range`, shorten `hold` or release `reserved` numbers"),
            );
        }
    }
}

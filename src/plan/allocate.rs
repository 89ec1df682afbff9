//! Numbers: pins are honoured, nobody is moved, whoever has none gets the lowest free one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Choice, Inputs, supply::Supply};
use crate::{
    directory::RecordedUser,
    model::{Code, Diagnostic, Extension, Identity, Place, UserKey},
};

/// The numbers of the declared users, each with the reason where it is a new one.
pub(super) type Numbers<'a> = BTreeMap<&'a UserKey, (Extension, Option<Choice>)>;

/// What numbers are given from.
pub(super) struct Allocation<'a, 'b> {
    pub(super) inputs: &'b Inputs<'a>,
    /// The recorded row of each declared user, by its e-mail.
    pub(super) matched: &'b BTreeMap<&'a UserKey, &'a UserKey>,
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
        let Inputs { declared, recorded, now, .. } = self.inputs;
        let mut supply = Supply::new(&declared.settings, &recorded.holds, *now);
        for (key, (number, _)) in &given {
            if let Some(former) = supply.held_for(*number).filter(|former| *former != *key) {
                self.notes.push(format!("{key}: {number} was on hold for `{former}`; the pin ends that"));
            }
        }
        self.hold_freed(&mut supply);
        self.give_back(&supply, &mut given, &mut taken);
        self.give_lowest(&supply, &mut given, &taken);
        given
    }

    fn old(&self, key: &UserKey) -> Option<&'a RecordedUser> {
        self.matched.get(key).and_then(|row| self.inputs.recorded.users.get(*row))
    }

    /// Users of the API keep their numbers; the file cannot take them.
    fn taken_by_api(&mut self) -> BTreeMap<Extension, UserKey> {
        let mut taken = BTreeMap::new();
        let emergency = self.inputs.declared.settings.emergency_numbers();
        for user in self.staying {
            taken.insert(user.extension, user.email.key());
            self.note_emergency(&emergency, &user.email, user.extension);
            self.check_range(&user.email, user.extension, None);
        }
        taken
    }

    /// Whoever has a number and is not pinned keeps it.
    fn keep(&mut self, given: &mut Numbers<'a>, taken: &mut BTreeMap<Extension, UserKey>) {
        let emergency = self.inputs.declared.settings.emergency_numbers();
        for (key, user) in &self.inputs.declared.users {
            let (None, Some(row)) = (user.extension, self.old(key)) else { continue };
            taken.insert(row.extension, key.clone());
            given.insert(key, (row.extension, None));
            self.note_emergency(&emergency, &user.email, row.extension);
            self.check_range(&user.email, row.extension, Some(user.place));
        }
    }

    fn check_range(&mut self, email: &Identity, extension: Extension, place: Option<Place>) {
        let range = &self.inputs.declared.settings.range;
        if !range.contains(extension) {
            let message = format!("`{email}` has {extension}, outside the range {range}");
            let hint = match place {
                Some(_) => "widen `extensions.range`, or pin the user to a number inside it: nobody is moved silently",
                None => "widen `extensions.range`: this user was made through the API, and is not moved silently",
            };
            self.problems.push(Diagnostic::error(Code::NumberOutsideRange, message, place).hint(hint));
        }
    }

    /// Says who has an emergency number without a pin, which would be warned of in the file.
    fn note_emergency(&mut self, emergency: &BTreeSet<Extension>, email: &Identity, extension: Extension) {
        if emergency.contains(&extension) {
            self.notes.push(format!(
                "{email} has the emergency number {extension}: phones that dial it reach this user; pin another number"
            ));
        }
    }

    fn pin(&mut self, given: &mut Numbers<'a>, taken: &mut BTreeMap<Extension, UserKey>) {
        for (key, user) in &self.inputs.declared.users {
            let Some(pin) = user.extension else { continue };
            if let Some(holder) = taken.get(&pin) {
                self.problems.push(
                    Diagnostic::error(Code::PinTaken, format!("{pin} belongs to `{holder}`"), user.place)
                        .hint(format!("pin another number, or pin `{holder}` elsewhere in the same change")),
                );
                continue;
            }
            taken.insert(pin, key.clone());
            given.insert(key, (pin, Some(Choice::Pinned)));
        }
    }

    /// Holds the numbers that this plan frees.
    fn hold_freed(&self, supply: &mut Supply<'_>) {
        for user in self.leaving {
            supply.hold(user.extension, user.email.key());
        }
        // Whoever a pin moves leaves a number behind, too.
        for (key, user) in &self.inputs.declared.users {
            if let (Some(pin), Some(row)) = (user.extension, self.old(key))
                && pin != row.extension
            {
                supply.hold(row.extension, key.clone());
            }
        }
    }

    fn without(&self, given: &Numbers<'a>) -> Vec<&'a UserKey> {
        let users = &self.inputs.declared.users;
        users
            .iter()
            .filter(|(key, user)| user.extension.is_none() && !given.contains_key(key))
            .map(|(key, _)| key)
            .collect()
    }

    /// Whoever comes back gets the number that was held.
    fn give_back(&self, supply: &Supply<'_>, given: &mut Numbers<'a>, taken: &mut BTreeMap<Extension, UserKey>) {
        for key in self.without(given) {
            if let Some(number) = supply.own(key).filter(|number| !taken.contains_key(number)) {
                taken.insert(number, key.clone());
                given.insert(key, (number, Some(Choice::Held)));
            }
        }
    }

    fn give_lowest(&mut self, supply: &Supply<'_>, given: &mut Numbers<'a>, taken: &BTreeMap<Extension, UserKey>) {
        let settings = &self.inputs.declared.settings;
        let mut free = supply.free(settings.range.numbers()).filter(|number| !taken.contains_key(number));
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
            let (range, size) = (&settings.range, settings.range.size());
            let kept = settings.pinned_only().into_iter().filter(|number| range.contains(*number)).count();
            let kept = if kept == 0 { String::new() } else { format!(", {kept} of them reserved or for emergencies") };
            let message =
                format!("the range {range} ({size} numbers{kept}) is full: {missing} {users} without a number");
            self.problems.push(
                Diagnostic::error(Code::RangeExhausted, message, None)
                    .hint("widen `extensions.range`, shorten `hold` or release `reserved` numbers"),
            );
        }
    }
}

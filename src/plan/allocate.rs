//! Numbers: pins are honoured, no owner is moved, an owner without a number gets the lowest free one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Choice, Inputs, number_pool::NumberPool};
use crate::{
    directory::{Recorded, RecordedUser},
    model::{Code, Diagnostic, Extension, Place, UserKey},
    objects::{ExtensionClaim, NumberOwner, ObjectId},
};

/// A user or an object of the file or the directory.
type Owner<'a> = NumberOwner<&'a UserKey, &'a ObjectId>;

/// The numbers of what is declared, each with the reason if it is a new one.
pub(super) type Numbers<'a> = BTreeMap<Owner<'a>, (Extension, Option<Choice>)>;

/// What numbers are given from.
pub(super) struct Allocation<'a, 'b> {
    pub(super) inputs: &'b Inputs<'a>,
    /// The recorded row of each declared user, by its e-mail.
    pub(super) matched: &'b BTreeMap<&'a UserKey, &'a UserKey>,
    /// Users who will be deleted.
    pub(super) leaving: &'b [&'a RecordedUser],
    /// Users of the API that the file does not mention.
    pub(super) staying: &'b [&'a RecordedUser],
    /// The numbers that the declared objects claim.
    pub(super) claims: &'a BTreeMap<ObjectId, ExtensionClaim>,
    /// The numbers that objects have.
    pub(super) of_objects: &'a BTreeMap<ObjectId, Extension>,
    pub(super) problems: &'b mut Vec<Diagnostic>,
    pub(super) notes: &'b mut Vec<String>,
}

/// A user or an object that is declared and gets a number.
struct Claimant<'a> {
    owner: Owner<'a>,
    /// The number that the file asks for. `None` if one is allocated.
    pin: Option<Extension>,
    /// The number that it has.
    has: Option<Extension>,
    place: Option<Place>,
}

impl<'a> Allocation<'a, '_> {
    /// Gives a number to every declared user, and to every object that claims one.
    ///
    /// New users are served in the order of their e-mails, and objects after them, so that neither the order of the
    /// list nor the split into files moves anyone.
    pub(super) fn numbers(mut self) -> Numbers<'a> {
        let claimants = self.claimants();
        let mut given = Numbers::new();
        let mut taken = self.taken_by_api();
        self.keep(&claimants, &mut given, &mut taken);
        self.pin(&claimants, &mut given, &mut taken);
        let Inputs { declared, recorded, now, .. } = self.inputs;
        let mut pool = NumberPool::new(&declared.settings, &recorded.holds, *now);
        for (owner, (number, _)) in &given {
            let Some(former) = pool.held_for(*number) else { continue };
            let owner = owner.cloned();
            if *former != owner {
                self.notes.push(format!("{owner}: {number} was held for {}; the pin takes it over", former.titled()));
            }
        }
        self.hold_freed(&claimants, &mut pool);
        give_back(&claimants, &pool, &mut given, &mut taken);
        give_returned(&claimants, &pool, recorded, &mut given, &mut taken);
        self.give_lowest(&claimants, &pool, &mut given, &taken);
        given
    }

    /// Lists the declared users, and the objects that claim a number.
    fn claimants(&self) -> Vec<Claimant<'a>> {
        let Inputs { declared, recorded, .. } = self.inputs;
        let users = declared.users.iter().map(|(key, user)| Claimant {
            owner: NumberOwner::User(key),
            pin: user.extension,
            has: self.matched.get(key).and_then(|row| recorded.users.get(*row)).map(|row| row.extension),
            place: Some(user.pinned_at.unwrap_or(user.place)),
        });
        let objects = self.claims.iter().map(|(id, claim)| Claimant {
            owner: NumberOwner::Object(id),
            pin: claim.given(),
            has: self.of_objects.get(id).copied(),
            place: declared.places.extensions().get(id).copied(),
        });
        users.chain(objects).collect()
    }

    /// Users of the API keep their numbers; the file cannot take them.
    fn taken_by_api(&mut self) -> BTreeMap<Extension, Owner<'a>> {
        let mut taken = BTreeMap::new();
        let emergency = self.inputs.declared.settings.emergency_numbers();
        for user in self.staying {
            let Some((key, _)) = self.inputs.recorded.users.get_key_value(&user.email.key()) else { continue };
            let owner = NumberOwner::User(key);
            taken.insert(user.extension, owner);
            self.note_emergency(&emergency, owner, user.extension);
            self.check_range(owner, user.extension, None);
        }
        taken
    }

    /// An owner that has a number and is not pinned keeps it.
    fn keep(
        &mut self,
        claimants: &[Claimant<'a>],
        given: &mut Numbers<'a>,
        taken: &mut BTreeMap<Extension, Owner<'a>>,
    ) {
        let emergency = self.inputs.declared.settings.emergency_numbers();
        for Claimant { owner, pin, has, place } in claimants {
            let (None, Some(number)) = (pin, has) else { continue };
            taken.insert(*number, *owner);
            given.insert(*owner, (*number, None));
            self.note_emergency(&emergency, *owner, *number);
            self.check_range(*owner, *number, *place);
        }
    }

    fn check_range(&mut self, owner: Owner<'a>, extension: Extension, place: Option<Place>) {
        let range = &self.inputs.declared.settings.range;
        if !range.contains(extension) {
            let message = format!("{} has {extension}, outside the range {range}", owner.cloned().titled());
            let hint = match place {
                Some(_) => "widen `extensions.range`, or pin a number inside it: no number is changed automatically",
                None => {
                    "widen `extensions.range`: this user was created through the API, and no number is changed automatically"
                }
            };
            self.problems.push(Diagnostic::error(Code::NumberOutsideRange, message, place).hint(hint));
        }
    }

    /// Says who has an emergency number without a pin, which would be warned of in the file.
    fn note_emergency(&mut self, emergency: &BTreeSet<Extension>, owner: Owner<'a>, extension: Extension) {
        if emergency.contains(&extension) {
            let (who, it) = (owner.cloned(), if matches!(owner, NumberOwner::User(_)) { "user" } else { "object" });
            self.notes.push(format!(
                "{who} has the emergency number {extension}: phones that dial it reach this {it}; pin another number"
            ));
        }
    }

    fn pin(&mut self, claimants: &[Claimant<'a>], given: &mut Numbers<'a>, taken: &mut BTreeMap<Extension, Owner<'a>>) {
        for Claimant { owner, pin, place, .. } in claimants {
            let Some(pin) = *pin else { continue };
            if let Some(holder) = taken.get(&pin) {
                let holder = holder.cloned().titled();
                self.problems.push(
                    Diagnostic::error(Code::PinTaken, format!("{pin} belongs to {holder}"), *place)
                        .hint(format!("pin another number, or pin {holder} elsewhere in the same change")),
                );
                continue;
            }
            taken.insert(pin, *owner);
            given.insert(*owner, (pin, Some(Choice::Pinned)));
        }
    }

    /// Holds the numbers that this plan frees.
    fn hold_freed(&self, claimants: &[Claimant<'a>], pool: &mut NumberPool<'_>) {
        for user in self.leaving {
            pool.hold(user.extension, NumberOwner::User(user.email.key()));
        }
        for (id, number) in self.of_objects.iter().filter(|(id, _)| !self.claims.contains_key(*id)) {
            pool.hold(*number, NumberOwner::Object(id.clone()));
        }
        // An owner that a pin moves leaves a number behind, too.
        for Claimant { owner, pin, has, .. } in claimants {
            if let (Some(pin), Some(has)) = (pin, has)
                && pin != has
            {
                pool.hold(*has, owner.cloned());
            }
        }
    }

    fn give_lowest(
        &mut self,
        claimants: &[Claimant<'a>],
        pool: &NumberPool<'_>,
        given: &mut Numbers<'a>,
        taken: &BTreeMap<Extension, Owner<'a>>,
    ) {
        let settings = &self.inputs.declared.settings;
        let numbers = settings.range.numbers().filter_map(|number| Extension::try_from(number).ok());
        let mut free = pool.free(numbers).filter(|number| !taken.contains_key(number));
        let (mut users, mut objects) = (0_usize, 0_usize);
        for owner in without(claimants, given) {
            match (free.next(), owner) {
                (Some(number), _) => {
                    given.insert(owner, (number, Some(Choice::LowestFree)));
                }
                (None, NumberOwner::User(_)) => users += 1,
                (None, NumberOwner::Object(_)) => objects += 1,
            }
        }
        if users + objects > 0 {
            let verb = if users + objects == 1 { "is" } else { "are" };
            let counted = [(users, "user"), (objects, "object")].into_iter().filter(|(count, _)| *count > 0);
            let counted = counted.map(|(count, noun)| format!("{count} {noun}{}", if count == 1 { "" } else { "s" }));
            let missing = counted.collect::<Vec<_>>().join(" and ");
            let (range, size) = (&settings.range, settings.range.size());
            let kept = settings.pinned_only().into_iter().filter(|number| range.contains(*number)).count();
            let kept = if kept == 0 { String::new() } else { format!(", {kept} of them reserved or for emergencies") };
            let message =
                format!("the range {range} ({size} numbers{kept}) is full: {missing} {verb} without a number");
            self.problems.push(
                Diagnostic::error(Code::RangeExhausted, message, None)
                    .hint("widen `extensions.range`, shorten `hold` or release `reserved` numbers"),
            );
        }
    }
}

/// Lists the owners that have no number yet. One whose pin is taken stays without.
fn without<'a>(claimants: &[Claimant<'a>], given: &Numbers<'a>) -> Vec<Owner<'a>> {
    let without = claimants.iter().filter(|claimant| claimant.pin.is_none() && !given.contains_key(&claimant.owner));
    without.map(|claimant| claimant.owner).collect()
}

/// An owner that comes back gets the number that was held.
fn give_back<'a>(
    claimants: &[Claimant<'a>],
    pool: &NumberPool<'_>,
    given: &mut Numbers<'a>,
    taken: &mut BTreeMap<Extension, Owner<'a>>,
) {
    for owner in without(claimants, given) {
        if let Some(number) = pool.own(&owner.cloned()).filter(|number| !taken.contains_key(number)) {
            taken.insert(number, owner);
            given.insert(owner, (number, Some(Choice::Held)));
        }
    }
}

/// A user who comes back with the former secret gets the former number, if nobody has it and it is not held for another
/// owner: the phone then stays logged in.
fn give_returned<'a>(
    claimants: &[Claimant<'a>],
    pool: &NumberPool<'_>,
    recorded: &Recorded,
    given: &mut Numbers<'a>,
    taken: &mut BTreeMap<Extension, Owner<'a>>,
) {
    let mut freed: Vec<_> = recorded.freed.iter().collect();
    freed.sort_by_key(|(_, hold)| hold.freed_at);
    let freed: BTreeMap<&NumberOwner, Extension> =
        freed.into_iter().map(|(number, hold)| (&hold.owner, *number)).collect();
    for owner in without(claimants, given) {
        let NumberOwner::User(key) = owner else { continue };
        let number = freed.get(&owner.cloned()).filter(|_| recorded.former_secrets.contains_key(key)).copied();
        if let Some(number) = number.filter(|number| pool.is_free(*number) && !taken.contains_key(number)) {
            taken.insert(number, owner);
            given.insert(owner, (number, Some(Choice::Held)));
        }
    }
}

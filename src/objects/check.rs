//! The rules about inbound calls: every name is known, no two rules contradict each other, and no call comes back to
//! its own rule. Expectations are tried in `desired`, which knows the decision about a call.
//!
//! One mistake is reported once: a name whose declaration is invalid counts as declared, and problems that
//! only follow from it are not reported.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    slice,
};

use super::{
    CALLED, Keys, TargetName, destination, dialer, group, host_names, hours,
    keys::NamesOfKind,
    menu, namespace, queue, room,
    rule::{self, check::Rules},
    set, trunk, voicemail,
};
use crate::{
    model::{
        At, Code, Diagnostic, HostName, MeantKeys, Named, ObjectName, Place, SecretSource, Severity, UserKey, nearest,
    },
    objects::{DefaultRoute, ObjectId, ObjectKind, Places, PublicSipHost, Routes, Target},
};

/// What it means.
pub(crate) struct Checked<'a> {
    pub(crate) routes: Routes,
    pub(crate) secrets: BTreeMap<ObjectId, SecretSource>,
    pub(crate) places: Places,
    /// The names that may be referred to.
    pub(crate) names: Names<'a>,
    /// Whether nothing of what decides about calls was refused.
    pub(crate) is_sound: bool,
    /// Where destinations first name what the Asterisk host must have.
    pub(crate) host_names: BTreeMap<HostName, Place>,
    /// Who gets the calls to a user that nobody answers, tried in turn, of the users who say so.
    pub(crate) no_answer: BTreeMap<UserKey, Box<[Target]>>,
}

/// A list of destinations as it is read.
pub(crate) type TargetList = At<Vec<At<TargetName>>>;

/// What the entries of users say about objects.
#[derive(Debug, Default)]
pub(crate) struct OfUsers {
    /// Whether a user has a voicemail box, of the users who say so.
    pub(crate) boxes: BTreeMap<UserKey, bool>,
    /// Who gets the calls that nobody answers, of the users who say so.
    pub(crate) no_answer: Vec<(UserKey, TargetList)>,
}

/// The names of one kind that may be referred to, broken ones too.
#[derive(Debug)]
pub(crate) struct KnownNames<T> {
    pub(crate) names: BTreeSet<T>,
    /// Whether these are all: where some could not be read, no name is unknown.
    pub(crate) all: bool,
    /// How many unknown names were looked for among these.
    sought: Cell<usize>,
}

impl<T: Ord> KnownNames<T> {
    pub(crate) fn new(names: BTreeSet<T>, all: bool) -> Self {
        Self { names, all, sought: Cell::new(0) }
    }

    /// Tells whether one more unknown name is compared with all that are declared, of which there are so many. The first
    /// is. Other mistakes do not count.
    pub(super) fn is_looked_for(&self, names: usize) -> bool {
        let before = self.sought.replace(self.sought.get() + 1);
        before.saturating_mul(names) < COMPARED
    }

    pub(super) fn lacks(&self, name: &T) -> bool {
        self.all && !self.names.contains(name)
    }
}

impl KnownNames<ObjectName> {
    /// Takes the names of kinds.
    fn of<'a>(kinds: impl Iterator<Item = &'a NamesOfKind>) -> Self {
        let mut known = Self::new(BTreeSet::new(), true);
        for kind in kinds {
            known.names.extend(kind.places.keys().cloned());
            known.all &= kind.all;
        }
        known
    }
}

/// What rules and targets are checked against.
pub(crate) struct Names<'a> {
    pub(super) users: &'a KnownNames<UserKey>,
    /// Where the ids of phones are declared that belong to nobody.
    pub(super) phones: &'a BTreeMap<UserKey, Place>,
    /// The present addresses and ids of renamed users, by the former ones.
    pub(super) renamed: &'a BTreeMap<UserKey, UserKey>,
    /// The objects that calls can be sent to.
    pub(super) objects: KnownNames<ObjectName>,
    /// What messages call the kinds of these objects that are declared.
    pub(super) kinds: Vec<&'static str>,
    /// Whether trunks are declared, over which calls may come.
    pub(super) has_trunks: bool,
    /// The objects behind which nothing is tried.
    pub(super) ending: BTreeSet<ObjectName>,
    /// The objects that keep the calls which are sent to them.
    pub(super) keeping: BTreeSet<ObjectName>,
    /// The shared voicemail boxes.
    pub(super) boxes: BTreeSet<ObjectName>,
    /// The users who have a voicemail box. `None` if that is not known.
    pub(super) own_boxes: Option<BTreeSet<UserKey>>,
    /// The objects that calls can be sent to and the phones, for hints.
    pub(super) called: Vec<String>,
    pub(super) hours: KnownNames<ObjectName>,
    /// The dialers that Asterisk cannot reach, and the groups in which it can ring nobody, if it gets calls.
    pub(super) without_trunk: BTreeSet<ObjectName>,
    /// The dialers that Asterisk cannot reach, and the groups in which it can ring nobody, whoever calls.
    pub(super) unreachable_by_asterisk: BTreeSet<ObjectName>,
    /// Whether calls come through Twilio that cannot reach a user's phone.
    pub(super) twilio_without_host: bool,
    /// Where destinations first name what the Asterisk host must have.
    on_host: RefCell<BTreeMap<HostName, Place>>,
}

impl Names<'_> {
    /// Notes what the Asterisk host must have for a destination. Without the context of an extension it has no such
    /// extension.
    pub(super) fn note_host_names(&self, target: &Target, place: Place) {
        for name in host_names(slice::from_ref(target)) {
            if let HostName::Extension(at) = &name {
                self.note_host_name(HostName::Context(at.context.clone()), place);
            }
            self.note_host_name(name, place);
        }
    }

    /// Notes what the Asterisk host must have.
    pub(super) fn note_host_name(&self, name: HostName, place: Place) {
        self.on_host.borrow_mut().entry(name).or_insert(place);
    }
}

/// Checks what the file says about inbound calls.
pub(crate) fn check<'a>(
    keys: Keys,
    users: &'a KnownNames<UserKey>,
    phones: &'a BTreeMap<UserKey, Place>,
    renamed: &'a BTreeMap<UserKey, UserKey>,
    of_users: OfUsers,
    problems: &mut Vec<Diagnostic>,
) -> Checked<'a> {
    let readable = is_readable(&keys, problems);
    // A key that is missing may be there under a name that is not known.
    let is_lost = has_unknown_key(problems);
    let kinds = keys.names(is_lost);
    let known = |kind| KnownNames::of(kinds.iter().filter(|names| names.kind == kind));
    let (trunk_names, hours_names) = (known(ObjectKind::Trunk), known(ObjectKind::Hours));
    let called: Vec<(&'static str, &NamesOfKind)> = called(&kinds).collect();
    let objects = KnownNames::of(called.iter().map(|(_, names)| *names));
    // Most names that a route lacks are those of dialers.
    let is_offered = |names: &NamesOfKind| names.kind == ObjectKind::Dialer || !names.places.is_empty();
    let declared = called.iter().filter(|(_, names)| is_offered(names)).map(|(what, _)| *what).collect();
    let mut places = Places { objects: places_of(&kinds), ..Places::default() };
    let (trunks, secrets) = trunk::check::check(keys.trunks, problems);
    namespace::check(phones, &called, problems);
    let (dialers, without_trunk) = dialer::check::check(keys.dialers, &trunk_names, problems);
    // Trunks that could not be read may be some.
    let has_trunks = !trunk_names.all || !trunk_names.names.is_empty();
    let has_leg_without_trunk =
        !without_trunk.is_empty() || group::check::have_number_without_trunk(keys.groups.as_ref());
    let has_twilio = set::has_twilio(keys.public_sip_host.is_some(), has_trunks, has_leg_without_trunk);
    let unreachable_by_asterisk = without_trunk.clone();
    let without_trunk = if trunk_names.names.is_empty() { BTreeSet::new() } else { without_trunk };
    let take_calls = keys.inbound.is_some() || keys.default_route.is_some();
    let twilio_without_host = has_twilio && take_calls && keys.public_sip_host.is_none() && !is_lost;
    let objects_called = objects.names.iter().map(ObjectName::as_str);
    let for_hints = objects_called.chain(phones.keys().map(UserKey::as_str)).map(str::to_owned).collect();
    let mut names = Names {
        users,
        phones,
        renamed,
        objects,
        kinds: declared,
        has_trunks: !trunk_names.names.is_empty(),
        ending: BTreeSet::new(),
        keeping: KnownNames::of(kinds.iter().filter(|names| names.kind.keeps_calls())).names,
        boxes: known(ObjectKind::Box).names,
        own_boxes: None,
        called: for_hints,
        hours: hours_names,
        without_trunk,
        unreachable_by_asterisk,
        twilio_without_host,
        on_host: RefCell::default(),
    };
    let before = errors(problems);
    let boxes_are_known = keys.voicemail.as_ref().map_or(!is_lost, |at| at.whole);
    let boxes = voicemail::check::check(keys.voicemail, &of_users.boxes, &names, problems);
    names.own_boxes = boxes_are_known.then(|| boxes.users().cloned().collect());
    names.ending.clone_from(&names.keeping);
    let groups = group::check::check(keys.groups, &trunk_names, &names, &mut places, problems);
    let rooms = room::check::check(keys.rooms, &mut places, problems);
    let menus = menu::check::check(keys.menus, &names, &mut places, problems);
    let queues = queue::check::check(keys.queues, &names, &mut places, problems);
    let mut routes = Routes { trunks, dialers, groups, boxes, rooms, menus, queues, ..Routes::default() };
    names.ending.extend(group::check::ending(&routes));
    // What follows from a trunk that was refused is not reported.
    if errors(problems) == 0 {
        let groups = group::check::without_trunk(&routes);
        if names.has_trunks {
            names.without_trunk.extend(groups.iter().cloned());
        }
        names.unreachable_by_asterisk.extend(groups);
    }
    routes.hours = hours::check::read(keys.hours, problems);
    let Rules { all: rules, places: of_rules, broken } =
        rule::check::read(keys.inbound, &names, &routes.hours, problems);
    places.rules = of_rules;
    routes.rules = rules;
    routes.default_route = DefaultRoute(destination::check::read(keys.default_route, &names, problems));
    routes.public_sip_host = keys.public_sip_host.and_then(|at| at.value).map(|host| PublicSipHost(host.into()));
    rule::check::check(&routes, &places, &broken, has_twilio, problems);
    group::check::loops(&routes, &places, problems);
    menu::check::loops(&routes, &places, problems);
    queue::check::loops(&routes, &places, problems);
    let is_sound = readable && errors(problems) == before;
    let no_answer = no_answer(of_users.no_answer, &routes, &names, problems);
    let host_names = names.on_host.take();
    Checked { routes, secrets, places, names, is_sound, host_names, no_answer }
}

/// Reads who gets the calls to each user that nobody answers.
fn no_answer(
    lists: Vec<(UserKey, TargetList)>,
    routes: &Routes,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<UserKey, Box<[Target]>> {
    let mut read = BTreeMap::new();
    for (user, At { place, value, .. }) in lists {
        let Some(list) = value else { continue };
        let targets = destination::check::read_of_user(&user, &list, names, problems);
        problems.extend(destination::check::too_long(routes, &targets, place));
        read.insert(user, targets.into());
    }
    read
}

fn errors(problems: &[Diagnostic]) -> usize {
    problems.iter().filter(|problem| problem.severity == Severity::Error).count()
}

/// Tells whether all that decides about calls could be read; a key that was not may have meant it.
fn is_readable(keys: &Keys, problems: &[Diagnostic]) -> bool {
    let skipped = |problem: &Diagnostic| {
        let at_top = problem.place.is_some_and(|place| place.column == 1);
        at_top && [Code::UnknownKey, Code::DuplicateKey].contains(&problem.code)
    };
    let whole = [
        keys.inbound.as_ref().is_none_or(|at| at.whole),
        keys.groups.as_ref().is_none_or(|at| at.whole),
        keys.menus.as_ref().is_none_or(|at| at.whole),
        keys.queues.as_ref().is_none_or(|at| at.whole),
        keys.voicemail.as_ref().is_none_or(|at| at.whole),
        keys.hours.as_ref().is_none_or(|at| at.whole),
        keys.default_route.as_ref().is_none_or(|at| at.whole),
    ];
    whole.into_iter().all(|whole| whole) && !problems.iter().any(skipped)
}

/// Tells whether a key at the top of the file is not known.
fn has_unknown_key(problems: &[Diagnostic]) -> bool {
    let at_top = |problem: &Diagnostic| problem.place.is_some_and(|place| place.column == 1);
    problems.iter().any(|problem| problem.code == Code::UnknownKey && at_top(problem))
}

/// Lists the kinds whose objects calls can be sent to, each with what messages call one of them.
fn called(kinds: &[NamesOfKind]) -> impl Iterator<Item = (&'static str, &NamesOfKind)> {
    let what = |kind| CALLED.iter().find(|(called, _)| *called == kind).map(|(_, what)| *what);
    kinds.iter().filter_map(move |names| Some((what(names.kind)?, names)))
}

/// Finds where each object is declared that is no rule.
fn places_of(kinds: &[NamesOfKind]) -> BTreeMap<ObjectId, Place> {
    let of_kind = |NamesOfKind { kind, places, single, .. }: &NamesOfKind| {
        let kind = *kind;
        let named = places.iter().map(move |(name, place)| ((kind, name.to_string()), *place));
        named.chain(single.map(|place| ((kind, String::new()), place))).collect::<Vec<_>>()
    };
    kinds.iter().flat_map(of_kind).collect()
}

/// Something that has a name: where that stands, the name, what could be read, and what unknown keys may have meant.
type NamedObject<T> = (Place, ObjectName, T, MeantKeys);

/// Reads the names of a mapping, each in the form of an object's name, with what could be read of it.
pub(super) fn named<T>(keys: Option<At<Named<T>>>, problems: &mut Vec<Diagnostic>) -> Vec<NamedObject<T>> {
    let pairs = keys.and_then(|at| at.value).unwrap_or_default().0;
    let mut kept = Vec::with_capacity(pairs.len());
    for (place, name, value) in pairs {
        match name.parse::<ObjectName>() {
            Err(invalid) => problems.push(Diagnostic::invalid(invalid, place)),
            Ok(name) => kept.extend(value.value.map(|keys| (place, name, keys, value.meant))),
        }
    }
    kept
}

/// Reads a reference to something that has a name.
pub(super) fn refer(
    what: &'static str,
    at: &At<ObjectName>,
    known: &KnownNames<ObjectName>,
    problems: &mut Vec<Diagnostic>,
) -> Option<ObjectName> {
    let name = at.value.clone()?;
    if known.lacks(&name) {
        let names = known.names.iter().map(ObjectName::as_str);
        problems.push(unknown(what, name.as_str(), at.place, names, known));
    }
    Some(name)
}

/// How many names a hint lists: a file may have 100,000 users, and as many mistakes.
const LISTED: usize = 10;

/// About how many names are compared with unknown ones of a kind, letter by letter, to find those that were meant. A file
/// may declare tens of thousands, and misspell as many.
const COMPARED: usize = 100_000;

/// Reports a name that is not declared. `known` counts how many were.
pub(super) fn unknown<'a, T: Ord>(
    what: &str,
    name: &str,
    place: Place,
    names: impl ExactSizeIterator<Item = &'a str> + Clone,
    known: &KnownNames<T>,
) -> Diagnostic {
    let near = known.is_looked_for(names.len()).then(|| nearest(name, names.clone())).flatten();
    unknown_with(near, what, name, place, names)
}

/// Reports a name that is not declared, and which one it was probably meant to be.
pub(super) fn unknown_with<'a>(
    near: Option<&str>,
    what: &str,
    name: &str,
    place: Place,
    names: impl ExactSizeIterator<Item = &'a str>,
) -> Diagnostic {
    let more = names.len().saturating_sub(LISTED);
    let hint = match (near, names.take(LISTED).collect::<Vec<_>>().as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) if what.starts_with("user") => "name the address or id of somebody in `users:`".to_owned(),
        (None, []) => format!("no {what} is declared"),
        (None, names) if more > 0 => format!("declared are: {}, and {more} more", names.join(", ")),
        (None, names) => format!("declared are: {}", names.join(", ")),
    };
    Diagnostic::error(Code::UnknownReference, format!("no such {what}: `{name}`"), place).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of a thousand unknown names was compared with all of twenty thousand: a pull request could keep `check` busy
    /// for minutes.
    #[test]
    fn unknown_names_are_compared_with_others_a_bounded_number_of_times() {
        for (declared, compared) in [(10, 10_000), (20_000, 100_000), (200_000, 200_000)] {
            let names: Vec<String> = (0..declared).map(|n| format!("d{n:06}")).collect();
            let (looked_at, known) = (Cell::new(0), KnownNames::new(BTreeSet::<ObjectName>::new(), true));
            for _ in 0..1000 {
                // A hint lists some, and looks at no more.
                let count = |_: &&str| looked_at.set(looked_at.get() + 1);
                let all = names.iter().map(String::as_str).inspect(count);
                unknown("dialer", "x", Place::default(), all, &known);
            }
            let listed = 1000 * LISTED;
            assert!((compared..=compared + listed).contains(&looked_at.get()), "{declared}: {}", looked_at.get());
        }
    }
}

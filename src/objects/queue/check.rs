//! Which queues there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use super::{
    super::{
        check::{Names, named, unknown},
        destination::{self, check::user},
        namespace::{misread, reserved},
    },
    Announcement, DEFAULT_RING, Queue, file, position_prompts,
};
use crate::{
    model::{At, Code, Diagnostic, HostName, Named, ObjectName, Place, UserKey},
    objects::{ObjectKind, Places, Routes, Target},
};

/// The most members of a queue.
const MOST: usize = 100;

/// How many callers may wait.
const CALLERS: RangeInclusive<u32> = 1..=1000;

/// Reads the queues.
pub(in crate::objects) fn check(
    keys: Option<At<Named<file::Queue>>>,
    names: &Names<'_>,
    places: &mut Places,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<ObjectName, Queue> {
    let mut queues = BTreeMap::new();
    for (place, name, queue, meant) in named(keys, problems) {
        problems.extend(reserved("queue", name.as_str(), place).or_else(|| misread("queue", &name, place, "")));
        if let Some(at) = &queue.extension {
            places.extensions.insert((ObjectKind::Queue, name.to_string()), at.place);
        }
        let members = members(&name, queue.members, names, problems);
        let most = queue.max_callers.and_then(|at| Some((at.place, at.value?)));
        if let Some((place, most)) = most.filter(|(_, most)| !CALLERS.contains(most)) {
            let message = format!("a queue does not hold {most} callers");
            let hint = format!("`max_callers` goes from {} to {}", CALLERS.start(), CALLERS.end());
            problems.push(Diagnostic::error(Code::OutOfBounds, message, place).hint(hint));
        }
        if let (Some(full), None, false) = (&queue.full, most, meant.may_be("max_callers")) {
            let message = format!("no call ever goes to `full` of the queue `{name}`: any number of callers may wait");
            let problem = Diagnostic::error(Code::UnreachableRoute, message, full.place);
            problems.push(problem.hint("add `max_callers:`, or remove `full`"));
        }
        let (timeout, late) = match queue.timeout.and_then(|at| at.value) {
            Some(file::Timeout { after, to }) => (after.value.map(|time| time.0), list(to, names, problems)),
            None => (None, Vec::new()),
        };
        let empty = list(queue.empty, names, problems);
        let full = list(queue.full, names, problems);
        let (position, every) = announce(queue.announce, names);
        queues.insert(
            name,
            Queue {
                extension: queue.extension.and_then(|at| at.value).map(|key| key.0),
                members,
                strategy: queue.strategy.and_then(|at| at.value).unwrap_or_default(),
                ring: queue.ring.and_then(|at| at.value).map_or(DEFAULT_RING, |time| time.0),
                wrap_up: queue.wrap_up.and_then(|at| at.value).map_or(0, |time| time.0),
                max_callers: most.map(|(_, most)| most),
                timeout,
                late,
                empty,
                full,
                position,
                every,
            },
        );
    }
    queues
}

/// Reads who gets a call that no member took.
fn list(
    list: Option<At<Vec<At<destination::file::TargetName>>>>,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Target> {
    let Some(At { place, value: Some(items), .. }) = list else { return Vec::new() };
    if items.is_empty() {
        let hint = "name at least one destination; `[hangup]` ends the call";
        problems.push(Diagnostic::error(Code::EmptyRoute, "the list of targets is empty", place).hint(hint));
    }
    destination::check::read_at_asterisk("queue", &items, names, problems)
}

/// Reads what callers hear while they wait.
fn announce(keys: Option<At<file::Announce>>, names: &Names<'_>) -> (Option<u32>, Option<Announcement>) {
    let Some(file::Announce { position, every }) = keys.and_then(|at| at.value) else { return (None, None) };
    let position = position.and_then(|at| Some((at.place, at.value?.0)));
    if let Some((place, _)) = position {
        position_prompts().for_each(|prompt| names.note_host_name(prompt, place));
    }
    let every = every.and_then(|at| at.value).and_then(|every| {
        let prompt = every.prompt.value?;
        names.note_host_name(HostName::Prompt(prompt.clone()), every.prompt.place);
        Some(Announcement { prompt, each: every.each.value?.0 })
    });
    (position.map(|(_, seconds)| seconds), every)
}

/// Reads the members, each once.
fn members(
    queue: &ObjectName,
    list: At<Vec<At<file::AgentName>>>,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<UserKey> {
    let Some(items) = list.value else { return Vec::new() };
    if items.is_empty() {
        let message = format!("the queue `{queue}` has no members");
        problems.push(Diagnostic::error(Code::EmptyRoute, message, list.place).hint("name at least one user or phone"));
    }
    if items.len() > MOST {
        let message = format!("the queue `{queue}` has {} members", items.len());
        let hint = format!("a queue has at most {MOST}");
        problems.push(Diagnostic::error(Code::OutOfBounds, message, list.place).hint(hint));
    }
    let (mut members, mut seen) = (Vec::new(), BTreeSet::new());
    for item in &items {
        let Some(member) = member(item, names, problems) else { continue };
        if !seen.insert(member.clone()) {
            let message = format!("`{member}` is a member twice");
            problems.push(Diagnostic::error(Code::DuplicateTarget, message, item.place).hint("keep one of them"));
            continue;
        }
        members.push(member);
    }
    members
}

/// Reads one member, if it was not refused.
fn member(item: &At<file::AgentName>, names: &Names<'_>, problems: &mut Vec<Diagnostic>) -> Option<UserKey> {
    let text = item.value.as_ref()?.as_str();
    let found = user(text, item.place, names, problems).map(|(user, _)| user);
    // The name may be the id of a user who could not be read.
    if found.is_none() && names.users.all {
        problems.push(no_member(text, item.place, names));
    }
    found
}

/// Reports a member that is neither a user nor a phone.
fn no_member(text: &str, place: Place, names: &Names<'_>) -> Diagnostic {
    let phones = names.phones.keys().map(UserKey::as_str);
    let problem = unknown("user or phone", text, place, phones, names.users);
    if text.parse().is_ok_and(|name| names.objects.names.contains(&name)) {
        return problem.hint("a queue has users and phones as members: name them here");
    }
    problem
}

/// Finds queues to which a call comes back although the caller chose nothing, and chains that are too long.
pub(in crate::objects) fn loops(routes: &Routes, places: &Places, problems: &mut Vec<Diagnostic>) {
    for (name, queue) in &routes.queues {
        let Some(place) = places.get(&(ObjectKind::Queue, name.to_string())).copied() else { continue };
        if destination::check::comes_back(routes, name) {
            let message = format!("a call that leaves the queue `{name}` comes back to it");
            let hint = "change `timeout`, `empty` or `full`, or where these lead to, so that none of them leads back";
            problems.push(Diagnostic::error(Code::QueueLoop, message, place).hint(hint));
        }
        let mut lists = queue.lists().into_iter();
        problems.extend(lists.find_map(|list| destination::check::too_long(routes, list, place)));
    }
}

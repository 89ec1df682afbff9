//! Groups: who is a member, and where calls go that no member answers.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        check::{KnownNames, Names, named, refer, unknown},
        destination::{self, check::user},
        namespace::reserved,
    },
    DEFAULT_TIME, Member, file,
};
use crate::{
    model::{At, Code, Diagnostic, E164, Leg, Named, Node, ObjectName, Place, UserKey},
    objects::{Called, Group, ObjectKind, Places, Routes, Target, dialer},
};

/// The most members of a group: Asterisk cuts what is dialled at 4,091 bytes.
const MOST: usize = 50;

/// Reads the groups.
pub(in crate::objects) fn check(
    keys: Option<At<Named<file::Group>>>,
    trunks: &KnownNames<ObjectName>,
    names: &Names<'_>,
    places: &mut Places,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<ObjectName, Group> {
    let mut groups = BTreeMap::new();
    for (place, name, group, meant) in named(keys, problems) {
        problems.extend(reserved("group", name.as_str(), place));
        let members = members(&name, group.members, names, problems);
        let number = members.iter().find(|(_, member)| matches!(member, Member::Number(_)));
        // As for dialers: over Twilio a number needs no trunk.
        let by_asterisk = match (names.has_trunks, &group.extension) {
            (true, _) => Some("that comes over a trunk"),
            (false, Some(_)) => Some("of a phone"),
            (false, None) => None,
        };
        if let (Some((place, number)), None, Some(calls)) =
            (number, &group.trunk, by_asterisk.filter(|_| !meant.may_be("trunk")))
        {
            let message = format!("a call {calls} does not ring {number}: the group has no trunk");
            let hint = "add `trunk:` to the group; without a trunk, Asterisk cannot dial an outside number";
            problems.push(Diagnostic::warning(Code::UnreachableDialer, message, *place).hint(hint));
        }
        let trunk = group.trunk.and_then(|at| refer("trunk", &at, trunks, problems));
        let no_answer = group.no_answer.map(|list| destination::check::read(Some(list), names, problems));
        let members = members.into_iter().map(|(_, member)| member).collect();
        if let Some(at) = &group.extension {
            places.extensions.insert((ObjectKind::Group, name.to_string()), at.place);
        }
        groups.insert(
            name,
            Group {
                members,
                ring: group.ring.and_then(|at| at.value).unwrap_or_default(),
                time: group.time.and_then(|at| at.value).map_or(DEFAULT_TIME, |time| time.0),
                extension: group.extension.and_then(|at| at.value).map(|key| key.0),
                caller_name: group.caller_name.and_then(|at| at.value),
                trunk,
                caller_id: dialer::check::caller_id(group.caller_id),
                no_answer: no_answer.unwrap_or_default(),
            },
        );
    }
    groups
}

/// Reads the members, each once.
fn members(
    group: &ObjectName,
    list: At<Vec<At<file::MemberName>>>,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<(Place, Member)> {
    let Some(items) = list.value else { return Vec::new() };
    if items.is_empty() {
        let message = format!("the group `{group}` has no members");
        let hint = "name at least one user, phone or outside number";
        problems.push(Diagnostic::error(Code::EmptyRoute, message, list.place).hint(hint));
    }
    if items.len() > MOST {
        let message = format!("the group `{group}` has {} members", items.len());
        let hint =
            format!("a group has at most {MOST}; put the others into a second group, and name it in `no_answer`");
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
        members.push((item.place, member));
    }
    members
}

/// Reads one member, if it was not refused.
fn member(item: &At<file::MemberName>, names: &Names<'_>, problems: &mut Vec<Diagnostic>) -> Option<Member> {
    let text = item.value.as_ref()?.as_str();
    if let Ok(number) = text.parse::<E164>() {
        return Some(Member::Number(number));
    }
    let Some((user, declared)) = user(text, item.place, names, problems) else {
        let is_object = text.parse().is_ok_and(|name| names.objects.names.contains(&name));
        // The name may be the id of a user who could not be read.
        if !is_object && !names.users.all {
            return None;
        }
        let phones = names.phones.keys().map(UserKey::as_str);
        let problem = unknown("user or phone", text, item.place, phones, names.users);
        problems.push(if is_object {
            problem.hint("a group has users, phones and outside numbers as members: name them here")
        } else {
            problem
        });
        return None;
    };
    if declared {
        problems.extend(destination::check::unreachable_user(text, item.place, names));
    }
    Some(Member::User(user))
}

/// Finds calls that come back to their own group, members that are numbers of ours, and chains that are too long.
pub(in crate::objects) fn loops(routes: &Routes, places: &Places, problems: &mut Vec<Diagnostic>) {
    if routes.groups.is_empty() {
        return;
    }
    for (name, group) in &routes.groups {
        let place = places.get(&(ObjectKind::Group, name.to_string())).copied();
        if comes_back(routes, name) {
            let message = format!("a call to the group `{name}` that nobody answers comes back to it");
            let hint = "change `no_answer` of one of these groups so that it does not lead back";
            problems.push(Diagnostic::error(Code::GroupLoop, message, place).hint(hint));
        }
        for (rule, number) in dials_ours(routes, group) {
            let message = format!("the group `{name}` dials {number}, whose calls are routed back to this rule");
            let problem = Diagnostic::error(Code::RouteLoop, message, places.rule(rule).copied());
            let problem = problem.hint("name the users behind that number as members instead");
            problems.push(place.into_iter().fold(problem, |problem, place| problem.also(place, "the group")));
        }
    }
    let rules = routes.rules.iter().zip(&places.rules).flat_map(|(rule, place)| {
        [Some((&rule.route, *place)), rule.otherwise.as_ref().map(|targets| (targets, *place))]
    });
    let default_place = places.get(&(ObjectKind::DefaultRoute, String::new()));
    let default = default_place.map(|place| (&routes.default_route.0, *place));
    for (targets, place) in rules.flatten().chain(default) {
        problems.extend(destination::check::too_long(routes, targets, place));
    }
    // A colleague's call begins at the group itself.
    for name in routes.groups.keys() {
        let place = places.extensions.get(&(ObjectKind::Group, name.to_string()));
        let begins = [Target::Object(name.clone())];
        problems.extend(place.and_then(|place| destination::check::too_long(routes, &begins, *place)));
    }
}

/// Tells whether a call to a group that nobody answers may be sent to the same group again.
fn comes_back(routes: &Routes, name: &ObjectName) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![name]);
    while let Some(group) = next.pop().and_then(|name| routes.groups.get(name)) {
        for target in &group.no_answer {
            let Target::Object(to) = target else { continue };
            if to == name {
                return true;
            }
            if routes.groups.contains_key(to) && seen.insert(to) {
                next.push(to);
            }
        }
    }
    false
}

/// Lists the members whose number is one of ours, each with the first rule for it.
fn dials_ours<'a>(routes: &'a Routes, group: &'a Group) -> Vec<(usize, &'a E164)> {
    let numbers = group.members.iter().filter_map(|member| match member {
        Member::Number(number) => Some(number),
        Member::User(_) => None,
    });
    let rule = |number: &E164| routes.rules.iter().position(|rule| rule.to == Called::Did(number.clone()));
    numbers.filter_map(|number| Some((rule(number)?, number))).collect()
}

/// Tells whether a group has a public number as a member, and no trunk over which Asterisk reaches it.
pub(in crate::objects) fn have_number_without_trunk(keys: Option<&At<Named<file::Group>>>) -> bool {
    let groups = keys.and_then(|at| at.value.as_ref()).map(|named| named.0.as_slice()).unwrap_or_default();
    groups.iter().any(|(_, _, at)| {
        let Some(group) = at.value.as_ref().filter(|group| group.trunk.is_none() && !at.meant.may_be("trunk")) else {
            return false;
        };
        let members = group.members.value.iter().flatten().filter_map(|at| at.value.as_ref());
        members.map(file::MemberName::as_str).any(|text| text.parse::<E164>().is_ok())
    })
}

/// Lists the groups in which Asterisk can ring nobody, also not behind them.
pub(in crate::objects) fn without_trunk(routes: &Routes) -> BTreeSet<ObjectName> {
    let rings_nobody = |node: &Node| match node {
        Node::Ring(ring) => ring.who.legs().iter().all(Leg::has_no_trunk),
        Node::End(_) => true,
        Node::Box(_) | Node::Room(_) | Node::Menu(_) | Node::Queue(_) | Node::Dialplan(_) | Node::Missing(_) => false,
    };
    let are_without = |name: &&ObjectName| routes.chain(&[Target::Object((*name).clone())]).0.iter().all(rings_nobody);
    routes.groups.keys().filter(are_without).cloned().collect()
}

/// Lists the groups behind which nothing is tried, because a call that nobody answers ends there.
pub(in crate::objects) fn ending(routes: &Routes) -> BTreeSet<ObjectName> {
    let ends = |name: &ObjectName| routes.chain(&[Target::Object(name.clone())]).0.iter().any(Node::is_last);
    routes.groups.keys().filter(|name| ends(name)).cloned().collect()
}

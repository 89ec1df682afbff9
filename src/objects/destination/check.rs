//! Targets: who gets a call, tried in turn.

use std::collections::BTreeSet;

use super::{
    super::check::{Names, unknown, unknown_with},
    file,
};
use crate::{
    model::{At, Code, Diagnostic, E164, Email, ObjectName, Place, UserKey},
    objects::{Routes, Target},
};

/// Reads who gets a call, tried in turn.
pub(in crate::objects) fn read(
    list: Option<At<Vec<At<file::TargetName>>>>,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Target> {
    let Some(At { place, value: Some(items), .. }) = list else { return Vec::new() };
    if items.is_empty() {
        let hint = "name at least one dialer or user; `[hangup]` ends the call";
        problems.push(Diagnostic::error(Code::EmptyRoute, "the list of targets is empty", place).hint(hint));
    }
    let by_sip = |target: &Target, item: &At<file::TargetName>| {
        let written = match target {
            Target::User(_) => item.value.as_ref().and_then(|named| named.text().map(str::to_owned)),
            Target::Object(name) => names.keeping.contains(name).then(|| name.to_string()),
            Target::Voicemail(_) | Target::Dialplan(_) => Some(target.to_string()),
            Target::Hangup | Target::Busy => None,
        };
        unreachable_user(&written?, item.place, names)
    };
    let targets = in_turn(&items, names, &by_sip, problems);
    problems.extend(unreachable_dialers(&targets, names, place));
    targets
}

/// Reads who gets the calls to a user that nobody answers, tried in turn. The list may be empty.
pub(in crate::objects) fn read_of_user(
    user: &UserKey,
    list: &[At<file::TargetName>],
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Target> {
    let from_phone = |target: &Target, item: &At<file::TargetName>| match target {
        Target::User(other) if other == user => {
            let message = format!("`{target}` is tried twice: the user's own phone rings first");
            let hint = "remove it: `no_answer` lists who gets the call after that";
            Some(Diagnostic::error(Code::DuplicateTarget, message, item.place).hint(hint))
        }
        Target::Object(name) if names.unreachable_by_asterisk.contains(name) => {
            let message = format!("a call from a phone cannot reach `{target}`: it has no trunk");
            let hint = "add `trunk:` to it; without a trunk, Asterisk cannot dial an outside number";
            Some(Diagnostic::warning(Code::UnreachableDialer, message, item.place).hint(hint))
        }
        _ => None,
    };
    in_turn(list, names, &from_phone, problems)
}

/// Reads who gets a call of a menu or a queue, as `kind` says, tried in turn. Asterisk has the call already.
pub(in crate::objects) fn read_at_asterisk(
    kind: &str,
    list: &[At<file::TargetName>],
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Target> {
    let from_there = |target: &Target, item: &At<file::TargetName>| match target {
        Target::Object(name) if names.unreachable_by_asterisk.contains(name) => {
            let message = format!("a call from a {kind} cannot reach `{target}`: it has no trunk");
            let hint = "add `trunk:` to it; without a trunk, Asterisk cannot dial an outside number";
            Some(Diagnostic::warning(Code::UnreachableDialer, message, item.place).hint(hint))
        }
        _ => None,
    };
    in_turn(list, names, &from_there, problems)
}

/// Reads destinations that are tried in turn. `note` finds what is wrong with one that is declared.
fn in_turn(
    items: &[At<file::TargetName>],
    names: &Names<'_>,
    note: &dyn Fn(&Target, &At<file::TargetName>) -> Option<Diagnostic>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::with_capacity(items.len());
    let mut seen = BTreeSet::new();
    for (at, item) in items.iter().enumerate() {
        let Some((target, declared)) = target(item, names, problems) else { continue };
        if declared {
            problems.extend(note(&target, item));
        }
        names.note_host_names(&target, item.place);
        let ends = match &target {
            Target::Hangup | Target::Busy | Target::Voicemail(_) | Target::Dialplan(_) => true,
            Target::Object(name) => names.ending.contains(name),
            Target::User(_) => false,
        };
        if ends && at + 1 < items.len() {
            let message = format!("no target after `{target}` is ever tried");
            let hint = match &target {
                Target::Object(name) if !names.keeping.contains(name) => {
                    "put it last: its own `no_answer` ends the call"
                }
                _ => "put it last",
            };
            problems.push(Diagnostic::error(Code::UnreachableRoute, message, item.place).hint(hint));
        }
        if !seen.insert(target.clone()) {
            let message = format!("`{target}` is tried twice");
            problems.push(Diagnostic::error(Code::DuplicateTarget, message, item.place).hint("keep one of them"));
        }
        targets.push(target);
    }
    targets
}

/// Rejects a list that leads to more destinations than a call is sent to.
pub(in crate::objects) fn too_long(routes: &Routes, targets: &[Target], place: Place) -> Option<Diagnostic> {
    (routes.chain(targets).0.len() >= Routes::LONGEST).then(|| {
        let message = format!("a call would be sent to more than {} destinations in turn", Routes::LONGEST - 1);
        let hint = "shorten this list or `no_answer` of its groups, or let the members of groups ring at once";
        Diagnostic::error(Code::LongRoute, message, place).hint(hint)
    })
}

/// Tells whether a call to an object comes to the same object again although the caller chooses nothing and nobody answers.
pub(in crate::objects) fn comes_back(routes: &Routes, name: &ObjectName) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![name]);
    while let Some(at) = next.pop() {
        let Some((object, _)) = routes.called(at) else { continue };
        for target in object.goes_on().into_iter().chain([object.unanswered()]).flatten() {
            let Target::Object(to) = target else { continue };
            if to == name {
                return true;
            }
            if seen.insert(to) {
                next.push(to);
            }
        }
    }
    false
}

/// Reads one target, unless it was rejected, and whether its name is declared.
pub(crate) fn target(
    item: &At<file::TargetName>,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<(Target, bool)> {
    let text = match item.value.as_ref()? {
        file::TargetName::Name(text) => text.as_str(),
        file::TargetName::Voicemail(text) => return own_box(text.as_str(), item.place, names, problems),
        file::TargetName::Dialplan(at) => return Some((Target::Dialplan(at.clone()), true)),
    };
    match text {
        "hangup" => return Some((Target::Hangup, true)),
        "busy" => return Some((Target::Busy, true)),
        _ => {}
    }
    if let Some((key, declared)) = user(text, item.place, names, problems) {
        return Some((Target::User(key), declared));
    }
    let name: ObjectName = text.parse().ok()?;
    // Where a user could not be read, the name may be the id of that one.
    let declared = !names.objects.lacks(&name) || !names.users.all;
    if !declared {
        problems.push(unknown_name(text, item.place, names));
    }
    Some((Target::Object(name), declared))
}

/// Reads the user whose voicemail box gets a call, and tells whether there is such a box.
fn own_box(text: &str, place: Place, names: &Names<'_>, problems: &mut Vec<Diagnostic>) -> Option<(Target, bool)> {
    let Some((key, declared)) = user(text, place, names, problems) else {
        if names.boxes.iter().any(|shared| shared.as_str() == text) {
            let message = format!("no such user or phone: `{text}`");
            let hint = format!("`{text}` is a shared voicemail box: a route names it as `{text}` alone");
            problems.push(Diagnostic::error(Code::UnknownReference, message, place).hint(hint));
        } else if names.users.all {
            let phones = names.phones.keys().map(UserKey::as_str);
            problems.push(unknown("user or phone", text, place, phones, names.users));
        }
        return None;
    };
    if declared && names.own_boxes.as_ref().is_some_and(|own| !own.contains(&key)) {
        let message = format!("`{text}` has no voicemail box");
        let hint = "set `voicemail: true` at the user, or `users: true` in `voicemail:`";
        problems.push(Diagnostic::error(Code::NoVoicemail, message, place).hint(hint));
    }
    Some((Target::Voicemail(key), declared))
}

/// Reads the e-mail of a user or the id of a phone, and tells whether it is declared. `None` if it can be neither.
pub(in crate::objects) fn user(
    text: &str,
    place: Place,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<(UserKey, bool)> {
    let Ok(email) = text.parse::<Email>() else {
        let key = UserKey::of(text);
        return names.phones.contains_key(&key).then_some((key, true));
    };
    let key = email.key();
    let declared = !names.users.lacks(&key);
    if !declared {
        let all = &names.users.names;
        let similar = || names.users.is_looked_for(all.len()).then(|| similar(&key, all)).flatten();
        let near = names.renamed.get(&key).or_else(similar);
        let users = all.iter().map(UserKey::as_str);
        problems.push(unknown_with(near.map(UserKey::as_str), "user", text, place, users));
    }
    Some((key, declared))
}

/// Reports a name that no object that takes calls and no phone has. It may be another way to name a user, or a word of the format.
fn unknown_name(text: &str, place: Place, names: &Names<'_>) -> Diagnostic {
    let phone = (!names.phones.is_empty()).then_some("phone");
    let what = any_of(&names.kinds.iter().copied().chain(phone).collect::<Vec<_>>());
    let what = what.as_str();
    let called = names.called.iter().map(String::as_str);
    let problem = match names.renamed.get(&UserKey::of(text)) {
        Some(renamed) => unknown_with(Some(renamed.as_str()), what, text, place, called),
        None => unknown(what, text, place, called, &names.objects),
    };
    if text.parse::<E164>().is_ok() {
        return problem.hint("a route names an outside number by its dialer: declare one with this number");
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return problem.hint("a route names users by their e-mail, not by number");
    }
    let user = format!("{}@", text.to_ascii_lowercase());
    let is_user = |key: &&UserKey| key.as_str().starts_with(&user);
    let users = &names.users.names;
    let user = names.users.is_looked_for(users.len()).then(|| users.iter().find(is_user)).flatten();
    match (user, ["hangup", "busy"].into_iter().find(|word| text.eq_ignore_ascii_case(word))) {
        (Some(user), _) => problem.hint(format!("did you mean `{user}`? a route names users by their e-mail")),
        (None, Some(word)) => problem.hint(format!("did you mean `{word}`?")),
        (None, None) => problem,
    }
}

/// Lists what a name could be: `dialer, group or phone`.
fn any_of(kinds: &[&str]) -> String {
    match kinds {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        only => only.concat(),
    }
}

/// Finds the address that a misspelt one was meant to be. Compares names and domains apart: a common domain alone makes
/// whole addresses near each other. At most half of a part may differ.
fn similar<'a>(key: &UserKey, users: &'a BTreeSet<UserKey>) -> Option<&'a UserKey> {
    let (name, domain) = key.as_str().split_once('@')?;
    let distance = |one: &str, other: &str| {
        let distance = strsim::damerau_levenshtein(one, other);
        (2 * distance <= one.len().max(other.len())).then_some(distance)
    };
    let near = |other: &'a UserKey| {
        let (other_name, other_domain) = other.as_str().split_once('@')?;
        let distance = match (other_name == name, other_domain == domain) {
            (_, true) => distance(name, other_name)?,
            (true, false) => distance(domain, other_domain)?,
            (false, false) => return None,
        };
        Some((distance, other))
    };
    users.iter().filter_map(near).min().map(|(_, user)| user)
}

/// Warns of a user whom a call through Twilio does not reach; `written` is how the file names the user.
pub(in crate::objects) fn unreachable_user(written: &str, place: Place, names: &Names<'_>) -> Option<Diagnostic> {
    names.twilio_without_host.then(|| {
        let message = format!("a call through Twilio cannot reach `{written}`, and goes to the next target");
        let hint = "add `public_sip_host:`, the name under which the phones are reached from outside";
        Diagnostic::warning(Code::UnreachableUser, message, place).hint(hint)
    })
}

/// Finds a route in which Asterisk has nobody to dial, in a file whose trunks bring it calls.
fn unreachable_dialers(targets: &[Target], names: &Names<'_>, place: Place) -> Option<Diagnostic> {
    let dialers: Vec<&ObjectName> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Object(name) => Some(name),
            _ => None,
        })
        .collect();
    let others =
        targets.iter().any(|target| matches!(target, Target::User(_) | Target::Voicemail(_) | Target::Dialplan(_)));
    let nobody = !others && !dialers.is_empty() && dialers.iter().all(|name| names.without_trunk.contains(*name));
    nobody.then(|| {
        let message = "a call over a trunk reaches no target of this list: none of them has a trunk";
        let hint = "add `trunk:` to one of them; without a trunk, Asterisk cannot dial an outside number";
        Diagnostic::warning(Code::UnreachableDialer, message, place).hint(hint)
    })
}

//! The names that calls can be sent to: a route must never be able to mean two things by one name.

use std::collections::BTreeMap;

use super::keys::NamesOfKind;
use crate::model::{Code, Diagnostic, ObjectName, Place, UserKey};

/// Words that a route has for something else.
const RESERVED: [&str; 3] = ["hangup", "busy", "default"];

/// Rejects a name that is a word of routes. `what` is the kind of thing that has the name.
pub(super) fn reserved(what: &str, name: &str, place: Place) -> Option<Diagnostic> {
    RESERVED.contains(&name).then(|| {
        let message = format!("a {what} cannot be called `{name}`");
        Diagnostic::error(Code::ReservedName, message, place).hint("choose another name")
    })
}

/// How long a name may be. Asterisk cuts the name of a room or a context at 79 bytes, and the slug of the tenant stands
/// before it.
const NAME_BYTES: usize = 40;

/// Rejects the name of a room, a menu or a queue that Asterisk may take for that of another one: it compares rooms without
/// regard to case (measured), and extensions without regard to hyphens. `more` is added to the hint.
pub(super) fn misread(what: &str, name: &ObjectName, place: Place, more: &str) -> Option<Diagnostic> {
    let text = name.as_str();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
    (!begins || !text.bytes().all(plain) || text.len() > NAME_BYTES).then(|| {
        let message = format!("a {what} cannot be called `{name}`");
        let hint = format!(
            "use lower-case letters, digits and `_`, starting with a letter, at most {NAME_BYTES} characters{more}"
        );
        Diagnostic::error(Code::InvalidObjectName, message, place).hint(hint)
    })
}

/// Rejects names that a route could not name: words of routes, and what two of those have that take calls. `objects` are
/// the objects by kind.
pub(super) fn check(
    phones: &BTreeMap<UserKey, Place>,
    objects: &[(&str, &NamesOfKind)],
    problems: &mut Vec<Diagnostic>,
) {
    problems.extend(phones.iter().filter_map(|(id, place)| reserved("phone", id.as_str(), *place)));
    let mut known: BTreeMap<&ObjectName, (&str, Place)> = BTreeMap::new();
    for (kind, objects) in objects {
        for (name, place) in &objects.places {
            if let Some((other, first)) = known.get(name) {
                let message = format!("`{name}` is a {other} and a {kind}");
                let problem = Diagnostic::error(Code::DuplicateName, message, *place);
                let hint = "rename one of them: a route that names it could mean either";
                problems.push(problem.also(*first, format!("the {other}")).hint(hint));
                continue;
            }
            known.insert(name, (kind, *place));
            // Ids are compared without regard to case.
            let Some(phone) = phones.get(&UserKey::of(name.as_str())) else { continue };
            let message = format!("`{name}` is a phone and a {kind}");
            let hint =
                "rename one of them: a route that names it could mean either; upper and lower case do not matter";
            let problem = Diagnostic::error(Code::DuplicateName, message, *phone);
            problems.push(problem.also(*place, format!("the {kind}")).hint(hint));
        }
    }
}

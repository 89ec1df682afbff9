//! The names that calls can be sent to: a route must never be able to mean two things by one name.

use std::collections::BTreeMap;

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

/// Rejects ids of phones that a route could not name: words of routes, and names of objects that take calls.
pub(super) fn check(
    phones: &BTreeMap<UserKey, Place>,
    objects: &BTreeMap<ObjectName, Place>,
    problems: &mut Vec<Diagnostic>,
) {
    problems.extend(phones.iter().filter_map(|(id, place)| reserved("phone", id.as_str(), *place)));
    for (name, first) in objects {
        // Ids are compared without regard to case.
        let Some(place) = phones.get(&UserKey::of(name.as_str())) else { continue };
        problems.push(
            Diagnostic::error(Code::DuplicateName, format!("`{name}` is a phone and a dialer"), *place)
                .also(*first, "the dialer")
                .hint(
                    "rename one of them: a route that names it could mean either; upper and lower case do not matter",
                ),
        );
    }
}

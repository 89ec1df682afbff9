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

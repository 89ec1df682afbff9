//! Which conference rooms there are.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    super::{check::named, namespace::reserved},
    DEFAULT_MAX, Room, file,
};
use crate::{
    model::{At, Code, Diagnostic, Named, ObjectName, Place},
    objects::{ObjectKind, Places},
};

/// How many callers a room may hold: Asterisk mixes what each of them says for all others.
const MAX: RangeInclusive<u32> = 2..=100;

/// How long a name may be. Asterisk cuts the name of a room at 79 bytes, and the slug of the tenant stands before it.
const NAME_BYTES: usize = 40;

/// Reads the rooms.
pub(in crate::objects) fn check(
    keys: Option<At<Named<file::Room>>>,
    places: &mut Places,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<ObjectName, Room> {
    let mut rooms = BTreeMap::new();
    for (place, name, room, _) in named(keys, problems) {
        problems.extend(reserved("room", name.as_str(), place).or_else(|| misread(&name, place)));
        if let Some(at) = &room.extension {
            places.extensions.insert((ObjectKind::Room, name.to_string()), at.place);
        }
        let max = room.max.and_then(|at| Some((at.place, at.value?)));
        if let Some((place, max)) = max.filter(|(_, max)| !MAX.contains(max)) {
            let message = format!("a room does not hold {max} callers");
            let hint = format!("`max` goes from {} to {}", MAX.start(), MAX.end());
            problems.push(Diagnostic::error(Code::OutOfBounds, message, place).hint(hint));
        }
        rooms.insert(
            name,
            Room {
                title: room.name.and_then(|at| at.value),
                extension: room.extension.and_then(|at| at.value).map(|key| key.0),
                max: max.map_or(DEFAULT_MAX, |(_, max)| max),
            },
        );
    }
    rooms
}

/// Rejects a name that Asterisk may take for that of another room: it compares rooms without regard to case
/// (measured), and extensions without regard to hyphens.
fn misread(name: &ObjectName, place: Place) -> Option<Diagnostic> {
    let text = name.as_str();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
    (!begins || !text.bytes().all(plain) || text.len() > NAME_BYTES).then(|| {
        let message = format!("a room cannot be called `{name}`");
        let hint = format!(
            "use lower-case letters, digits and `_`, starting with a letter, at most {NAME_BYTES} characters; `name:` \
             takes any text"
        );
        Diagnostic::error(Code::InvalidObjectName, message, place).hint(hint)
    })
}

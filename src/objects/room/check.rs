//! Which conference rooms there are.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    super::{
        check::named,
        namespace::{misread, reserved},
    },
    DEFAULT_MAX, Room, file,
};
use crate::{
    model::{At, Code, Diagnostic, Named, ObjectName},
    objects::{ObjectKind, Places},
};

/// How many callers a room may hold: Asterisk mixes what each of them says for all others.
const MAX: RangeInclusive<u32> = 2..=100;

/// Reads the rooms.
pub(in crate::objects) fn check(
    keys: Option<At<Named<file::Room>>>,
    places: &mut Places,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<ObjectName, Room> {
    let mut rooms = BTreeMap::new();
    for (place, name, room, _) in named(keys, problems) {
        problems.extend(
            reserved("room", name.as_str(), place)
                .or_else(|| misread("room", &name, place, "; `name:` takes any text")),
        );
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

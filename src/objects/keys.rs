//! What the keys of the kinds name in a file.

use std::collections::BTreeMap;

use super::{ObjectKind, TargetName, rule::file::InboundRule, voicemail::file::Voicemail};
use crate::model::{At, Host, Named, ObjectName, Place};

/// What the key of a kind names in a file.
#[derive(Debug)]
pub(crate) struct NamesOfKind {
    pub(super) kind: ObjectKind,
    /// Where each object that has a name is declared.
    pub(super) places: BTreeMap<ObjectName, Place>,
    /// Whether these are all names of the kind.
    pub(super) all: bool,
    /// Where the only object of the kind is declared, if the kind has no names.
    pub(super) single: Option<Place>,
}

impl NamesOfKind {
    /// Reads the names. `is_lost` says whether the key may be there though it is missing.
    pub(super) fn of<K: Key>(kind: ObjectKind, key: Option<&At<K>>, is_lost: bool) -> Self {
        let (places, all) = key.map_or((BTreeMap::new(), !is_lost), K::names);
        Self { kind, places, all, single: key.filter(|_| K::IS_SINGLE).map(|at| at.place) }
    }
}

/// The value of the key of a kind.
pub(super) trait Key: Sized {
    /// Whether it is an object, of which there is one at most.
    const IS_SINGLE: bool = false;

    /// Finds where each name stands, and tells whether these are all. Objects of some kinds have none.
    fn names(_at: &At<Self>) -> (BTreeMap<ObjectName, Place>, bool) {
        (BTreeMap::new(), true)
    }
}

impl<T> Key for Named<T> {
    fn names(at: &At<Self>) -> (BTreeMap<ObjectName, Place>, bool) {
        let pairs = at.value.as_ref().map(|named| named.0.as_slice()).unwrap_or_default();
        let places = pairs.iter().filter_map(|(place, name, _)| Some((name.parse().ok()?, *place))).collect();
        (places, at.value.is_some())
    }
}

/// The boxes of users have no names.
impl Key for Voicemail {
    fn names(at: &At<Self>) -> (BTreeMap<ObjectName, Place>, bool) {
        let Some(keys) = &at.value else { return (BTreeMap::new(), false) };
        keys.boxes.as_ref().map_or_else(|| (BTreeMap::new(), !at.meant.may_be("boxes")), Key::names)
    }
}

impl Key for Vec<At<InboundRule>> {}

impl Key for Vec<At<TargetName>> {
    const IS_SINGLE: bool = true;
}

impl Key for Host {
    const IS_SINGLE: bool = true;
}

//! The numbers that boxes had.

use serde::{Deserialize, Serialize};

use crate::{
    model::BoxNumber,
    objects::object::{Fields, Object, without_users},
};

/// The highest number that a box of the tenant ever had. It stays when the box goes, so that no other box gets the
/// messages that Asterisk keeps under the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastBox(pub u32);

impl LastBox {
    /// Takes a number that a box has.
    pub(super) fn of(number: &BoxNumber) -> Self {
        Self(number.as_str().parse().unwrap_or_default())
    }

    /// Takes the next number.
    pub(super) fn next(last: &mut Option<Self>) -> BoxNumber {
        let number = last.map_or(1, |last| last.0.saturating_add(1));
        *last = Some(Self(number));
        BoxNumber::of(number)
    }
}

impl Object for LastBox {
    fn fields(&self) -> Fields {
        vec![("last_box", Some(self.0.to_string()))]
    }
}

without_users!(LastBox);

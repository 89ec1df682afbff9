//! The numbers of boxes.

use serde::{Deserialize, Serialize};

use crate::{
    model::{Code, Invalid, quoted, text_type},
    objects::object::{Fields, Object, without_users},
};

text_type! {
    /// The number of a voicemail box. It is no extension: nobody dials it.
    BoxNumber,
    |text| {
        if (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0') {
            return Ok(text.to_owned());
        }
        let message = format!("{} is not the number of a voicemail box", quoted(text));
        Err(Invalid::new(Code::InvalidObjectName, message, "it has 1 to 9 digits"))
    },
    { "type": "string", "pattern": "^[1-9][0-9]{0,8}$" }
}

impl BoxNumber {
    fn of(number: u32) -> Self {
        Self(number.to_string())
    }
}

/// The highest number that a box of the tenant ever had. It stays when the box goes, so that no other box gets the
/// messages that Asterisk keeps under the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastBox(pub u32);

impl LastBox {
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

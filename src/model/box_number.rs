//! The numbers of voicemail boxes.

use super::{Code, Invalid, quoted, text_type};

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
    /// Names the box to a provider that sends a call there by SIP.
    pub(crate) fn sip_user(&self) -> String {
        format!("voicemail-{self}")
    }

    /// Takes a number.
    pub(crate) fn of(number: u32) -> Self {
        Self(number.to_string())
    }
}

//! How a destination is written.

use serde::{Deserialize, Deserializer, de};

use crate::model::{Code, Email, Invalid, ObjectName, Word, quoted, text_type};

text_type! {
    /// Who gets a call, by name: a dialer, a group, a user's e-mail, a phone's `id`, `hangup` or `busy`.
    TargetText,
    |text| {
        if text.parse::<Email>().is_ok() || text.parse::<ObjectName>().is_ok() {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                Code::InvalidTarget,
                format!("{} names nobody who gets calls", quoted(text)),
                "name a dialer, a group, a user by e-mail, a phone by id, `hangup` or `busy`",
            ))
        }
    },
    { "type": "string", "minLength": 1, "maxLength": 254 }
}

/// A [`TargetText`] as it is read: a number is taken as text, so that the message is about what a route names
/// instead of quotes.
#[derive(Debug, Clone)]
pub(crate) struct TargetName(TargetText);

impl TargetName {
    /// Returns the text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<'de> Deserialize<'de> for TargetName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Word(text) = Word::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

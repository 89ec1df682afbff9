//! How a destination is written.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use crate::model::{Code, Email, Invalid, ObjectName, WORD_OR_MAP, Word, quoted, text_type};

text_type! {
    /// Who gets a call, by name: a dialer, a group, a voicemail box, a room, a user's e-mail, a phone's `id`, `hangup` or `busy`.
    TargetText,
    |text| {
        if text.parse::<Email>().is_ok() || text.parse::<ObjectName>().is_ok() {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                Code::InvalidTarget,
                format!("{} is not a destination for calls", quoted(text)),
                "name a dialer, a group, a room, a user by e-mail, a phone by id, `hangup` or `busy`",
            ))
        }
    },
    { "type": "string", "minLength": 1, "maxLength": 254 }
}

/// A destination as it is read: a number is taken as text, so that the message is about what a route names
/// instead of quotes.
#[derive(Debug, Clone)]
pub(crate) enum TargetName {
    /// Somebody or something that has a name.
    Name(TargetText),
    /// The voicemail box of a user.
    Voicemail(TargetText),
}

impl TargetName {
    /// Returns the text that names it.
    pub(crate) fn as_str(&self) -> &str {
        let (Self::Name(text) | Self::Voicemail(text)) = self;
        text.as_str()
    }
}

/// The key of a user's box.
const VOICEMAIL: &str = "voicemail";

struct TargetVisitor;

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = TargetName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TargetName, E> {
        text.parse().map(TargetName::Name).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TargetName, A::Error> {
        let bad = || {
            let hint = "the voicemail box of a user is `{ voicemail: ana@example.com }`";
            de::Error::custom(Invalid::new(Code::InvalidTarget, "this is not a destination for calls", hint))
        };
        if map.next_key::<Cow<'_, str>>()?.as_deref() != Some(VOICEMAIL) {
            return Err(bad());
        }
        let Word(text) = map.next_value()?;
        if map.next_key::<Cow<'_, str>>()?.is_some() {
            return Err(bad());
        }
        text.parse().map(TargetName::Voicemail).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for TargetName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(WORD_OR_MAP, TargetVisitor)
    }
}

/// The form of a destination.
pub(crate) struct TargetForm;

impl JsonSchema for TargetForm {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "TargetForm".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<TargetText>();
        json_schema!({ "oneOf": [
            text,
            {
                "type": "object", "properties": { VOICEMAIL: text }, "required": [VOICEMAIL],
                "additionalProperties": false
            }
        ] })
    }
}

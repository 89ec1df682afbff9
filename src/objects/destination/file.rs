//! How a destination is written.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use crate::model::{
    Code, Email, ExtensionName, Invalid, ObjectName, OperatorsExtension, WORD_OR_MAP, Word, quoted, text_type,
};

text_type! {
    /// Who gets a call, by name: a dialer, a group, a voicemail box, a room, a menu, a queue, a user's e-mail, a phone's `id`, `hangup` or `busy`.
    TargetText,
    |text| {
        if text.parse::<Email>().is_ok() || text.parse::<ObjectName>().is_ok() {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                Code::InvalidTarget,
                format!("{} is not a destination for calls", quoted(text)),
                "name a dialer, a group, a room, a menu, a queue, a user by e-mail, a phone by id, `hangup` or `busy`",
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
    /// An extension of the operator's own dialplan.
    Dialplan(OperatorsExtension),
}

impl TargetName {
    /// Returns the text that names it. `None` for an extension of a dialplan.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Name(text) | Self::Voicemail(text) => Some(text.as_str()),
            Self::Dialplan(_) => None,
        }
    }
}

/// The key of a user's box.
const VOICEMAIL: &str = "voicemail";

/// The keys of an extension of a dialplan.
const CONTEXT: &str = "context";
const EXTENSION: &str = "extension";

/// Reports a mapping that is no destination.
fn no_destination<E: de::Error>(hint: &str) -> E {
    E::custom(Invalid::new(Code::InvalidTarget, "this is not a destination for calls", hint))
}

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
        let (mut voicemail, mut context, mut extension) = (None, None, None);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let value = match key.as_ref() {
                VOICEMAIL => &mut voicemail,
                CONTEXT => &mut context,
                EXTENSION => &mut extension,
                _ => {
                    return Err(no_destination(
                        "write the voicemail box of a user as `{ voicemail: ana@example.com }`, and an extension of your \
                         own dialplan as `{ context: ivr, extension: s }`",
                    ));
                }
            };
            let Word(text) = map.next_value()?;
            *value = Some(text);
        }
        match (voicemail, context, extension) {
            (Some(user), None, None) => user.parse().map(TargetName::Voicemail).map_err(de::Error::custom),
            (None, Some(context), Some(extension)) => {
                let context = context.parse::<ObjectName>().map_err(de::Error::custom)?;
                let extension = extension.parse::<ExtensionName>().map_err(de::Error::custom)?;
                Ok(TargetName::Dialplan(OperatorsExtension { context, extension }))
            }
            (None, Some(_), None) => Err(no_destination("add `extension:`, such as `{ context: ivr, extension: s }`")),
            (None, None, Some(_)) => Err(no_destination("add `context:`, such as `{ context: ivr, extension: s }`")),
            _ => Err(no_destination("a user's voicemail box and an extension of a dialplan are two destinations")),
        }
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
        let context = generator.subschema_for::<ObjectName>();
        let extension = generator.subschema_for::<ExtensionName>();
        json_schema!({ "oneOf": [
            text,
            {
                "type": "object", "properties": { VOICEMAIL: text }, "required": [VOICEMAIL],
                "additionalProperties": false
            },
            {
                "type": "object", "properties": { CONTEXT: context, EXTENSION: extension },
                "required": [CONTEXT, EXTENSION], "additionalProperties": false
            }
        ] })
    }
}

//! The keys of voicemail.

use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::model::{At, Code, DisplayName, Email, Invalid, Named, PhoneId, Token, quoted, text_type};

/// Voicemail boxes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Voicemail {
    /// Whether every user with an e-mail has a box. A user's own `voicemail` says otherwise. Default: false.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub(crate) users: Option<At<bool>>,
    /// Whether and how messages are mailed. Asterisk mails them as the operator's `voicemail.conf` says.
    #[serde(default)]
    pub(crate) mail: Option<At<Mail>>,
    /// The longest message, such as `3m` or `90s`; 10 seconds to 60 minutes. Default: 3m.
    #[serde(default)]
    pub(crate) max: Option<At<Length>>,
    /// Boxes that belong to no user, by name.
    #[serde(default)]
    pub(crate) boxes: Option<At<Named<SharedBox>>>,
}

/// How messages are mailed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mail {
    /// Whether messages in the boxes of users are mailed to their addresses. Default: true.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub(crate) users: Option<At<bool>>,
    /// Whether a mail has the recording. Default: true.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub(crate) attach: Option<At<bool>>,
    /// Whether a message is deleted once it was handed to the mail program of `voicemail.conf`. Asterisk does not look
    /// whether that worked: if the program fails or is missing, the message is lost. Default: false.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub(crate) delete: Option<At<bool>>,
}

/// A box that belongs to no user.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SharedBox {
    /// Its name for people, which stands in mails.
    pub(crate) name: At<DisplayName>,
    /// Where messages are mailed to. Default: nowhere.
    #[serde(default)]
    pub(crate) mail: Option<At<Email>>,
    /// The users and phones that show new messages. A phone shows those of 40 boxes at most.
    #[serde(default)]
    pub(crate) lamps: Option<At<Vec<At<LampName>>>>,
}

text_type! {
    /// A phone that shows messages: a user's e-mail, or a phone's `id`.
    LampName,
    |text| {
        if text.parse::<Email>().is_ok() || text.parse::<PhoneId>().is_ok() {
            return Ok(text.to_owned());
        }
        let hint = "name users by e-mail, and phones by id";
        Err(Invalid::new(Code::InvalidTarget, format!("{} has no lamp", quoted(text)), hint))
    },
    { "type": "string", "minLength": 1, "maxLength": 254 }
}

/// The length of a message, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length(pub(crate) u32);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As written: the unit is easily forgotten, and then it is a number.
        let Token(text) = Token::deserialize(deserializer)?;
        text.trim_matches('"').parse().map_err(de::Error::custom)
    }
}

impl FromStr for Length {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let seconds = |unit: char, each: u32| text.strip_suffix(unit)?.parse::<u32>().ok()?.checked_mul(each);
        let found = seconds('s', 1).or_else(|| seconds('m', 60));
        found.filter(|seconds| (10..=3600).contains(seconds)).map(Self).ok_or_else(|| {
            let hint = "write whole minutes or seconds, such as `3m` or `90s`, from `10s` to `60m`";
            Invalid::new(Code::InvalidLength, format!("{} is not the length of a message", quoted(text)), hint)
        })
    }
}

impl JsonSchema for Length {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Length".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,4}[sm]$" })
    }
}

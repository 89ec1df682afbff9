//! The keys of a group.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::Strategy;
use crate::{
    model::{At, Code, E164, Email, Invalid, NamePrefix, ObjectName, PhoneId, Word, quoted, text_type},
    objects::{
        destination::file::{TargetForm, TargetName},
        dialer::file::{CallerIdText, RingTimeout},
        extension::ExtensionKey,
    },
};

/// Several who get the same calls.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// Who rings: users' e-mails, ids of phones, and outside numbers, where the person who answers must press 1. The
    /// phone that makes the call does not ring.
    #[schemars(with = "Vec<MemberText>")]
    pub(crate) members: At<Vec<At<MemberName>>>,
    /// Whether all members ring at once (`all`), or one after the other (`in-turn`). Default: all.
    #[serde(default)]
    pub(crate) ring: Option<At<Strategy>>,
    /// How long all of them ring, or each one `in-turn`, such as `20s`; 5 to 600 seconds. Default: 30s.
    #[serde(default)]
    pub(crate) time: Option<At<RingTimeout>>,
    /// The internal number under which phones reach the group, inside `extensions.range`: a number, or `auto` for the
    /// lowest free one, which the group then keeps. Default: none.
    #[serde(default)]
    pub(crate) extension: Option<At<ExtensionKey>>,
    /// What stands before the caller's name on the members' phones, such as `"Sales: "`. Calls that come through Twilio
    /// show the number alone.
    #[serde(default)]
    pub(crate) caller_name: Option<At<NamePrefix>>,
    /// The trunk over which Asterisk reaches the outside numbers.
    #[serde(default)]
    pub(crate) trunk: Option<At<ObjectName>>,
    /// The caller ID that outside numbers see: `called`, `caller`, or a number. Default: as for a dialer.
    #[serde(default)]
    pub(crate) caller_id: Option<At<CallerIdText>>,
    /// Who gets a call that no member answers, tried in turn.
    #[serde(default)]
    #[schemars(with = "Option<Vec<TargetForm>>")]
    pub(crate) no_answer: Option<At<Vec<At<TargetName>>>>,
}

text_type! {
    /// A member of a group: a user's e-mail, a phone's `id`, or an outside number.
    MemberText,
    |text| {
        if text.parse::<Email>().is_ok() || text.parse::<PhoneId>().is_ok() || text.parse::<E164>().is_ok() {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                Code::InvalidTarget,
                format!("{} cannot be a member of a group", quoted(text)),
                "name a user by e-mail, a phone by id, or an outside number in E.164 form, such as \"+15559876543\"",
            ))
        }
    },
    { "type": "string", "minLength": 1, "maxLength": 254 }
}

/// A [`MemberText`] as it is read: a number without quotes is taken as text, so that the message is about members.
#[derive(Debug, Clone)]
pub(crate) struct MemberName(MemberText);

impl MemberName {
    /// Returns the text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<'de> Deserialize<'de> for MemberName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Word(text) = Word::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

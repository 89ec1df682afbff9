//! The shape of the desired-state file: its keys, their types and their documentation.
//!
//! The JSON schema, the reader's known keys and the diagnostics all come from these types. What
//! the values mean together is checked in `check.rs`.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};

mod expect;

pub(super) use expect::Expectation;

use super::keys::keys_of;
use crate::{
    model::{
        At, Code, Codec, Country, DisplayName, Email, EndpointNames, Extension, ExtensionRange, Identity, Invalid,
        Mode, ObjectName, OperatorsBox, PhoneId, Place, SecretSource, Tenant, Token, WORD_OR_LIST, quoted,
    },
    objects::{self, TargetForm, TargetList},
};

/// A company's phones, as they shall be.
//
// The keys of objects stand in `objects::Keys`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DesiredState {
    /// The version of this format: 1.
    #[schemars(with = "FormatVersion")]
    pub(super) version: At<u32>,
    /// The tenant's slug; it names the include folders and the dialplan contexts.
    pub(super) tenant: At<Tenant>,
    /// What `apply` does: `observe` lets it change nothing, while plans, states and history are shown. Default: apply.
    #[serde(default)]
    #[schemars(with = "Option<Mode>")]
    pub(super) mode: Option<At<Mode>>,
    /// The country (ISO 3166-1 code, such as `DE`), whose emergency numbers are left to the operator's
    /// contexts. Default: none, which leaves 112 and 911 to them.
    #[serde(default)]
    pub(super) country: Option<At<Country>>,
    /// Which numbers there are.
    #[serde(default)]
    pub(super) extensions: Option<At<Extensions>>,
    /// How endpoint, AOR and auth are named: after the extension, or with the tenant before it. Default: `extension`.
    #[serde(default)]
    #[schemars(with = "Option<EndpointNames>")]
    pub(super) endpoint_names: Option<At<EndpointNames>>,
    /// The profile of every phone; a user may override any key under `phone`.
    #[serde(default)]
    pub(super) phones: Option<At<Phone>>,
    /// The dialplan around ours.
    #[serde(default)]
    pub(super) dialplan: Option<At<Dialplan>>,
    /// What an apply may do without being told twice.
    #[serde(default)]
    pub(super) rails: Option<At<Rails>>,
    /// The people who have a phone, and the phones that belong to nobody. The order carries no meaning.
    pub(super) users: At<Vec<At<User>>>,
    /// Tests of the routes, run by `check` and `plan`.
    #[serde(default)]
    pub(super) expect: Option<At<Vec<At<Expectation>>>>,
}

/// Which numbers there are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Extensions {
    /// Where numbers are allocated from, inclusive: a range, or several in the order in which they are
    /// filled, as a list or with commas. Default: 1000-1999.
    #[serde(default)]
    #[schemars(with = "Option<RangesSchema>")]
    pub(super) range: Option<At<Ranges>>,
    /// Numbers that are never allocated by themselves; a user may still be pinned to one. As long as no
    /// user has it, dialling it reaches the operator's contexts.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Extension>>")]
    pub(super) reserved: Option<At<Vec<At<Digits>>>>,
    /// How long a freed number is kept from somebody else, in days, such as `30d`. Default: `0d`.
    #[serde(default)]
    pub(super) hold: Option<At<Hold>>,
}

/// The properties of a phone.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Phone {
    /// Codecs in order of preference. Default: opus, g722, ulaw, alaw.
    #[serde(default)]
    pub(super) codecs: Option<At<Vec<At<Codec>>>>,
    /// How many devices may register at once, 1 to 15. Default: 1.
    #[serde(default)]
    #[schemars(with = "Option<Devices>")]
    pub(super) devices: Option<At<u32>>,
    /// The operator's own transport. Default: Asterisk chooses.
    #[serde(default)]
    pub(super) transport: Option<At<ObjectName>>,
    /// The digest realm; must equal Asterisk's `default_realm`. Default: asterisk.
    #[serde(default)]
    pub(super) realm: Option<At<ObjectName>>,
}

/// The properties of a user's phone: those of `phones`, and what only one phone has.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserPhone {
    /// Codecs in order of preference. Default: those of `phones`.
    #[serde(default)]
    pub(super) codecs: Option<At<Vec<At<Codec>>>>,
    /// How many devices may register at once, 1 to 15. Default: that of `phones`.
    #[serde(default)]
    #[schemars(with = "Option<Devices>")]
    pub(super) devices: Option<At<u32>>,
    /// The operator's own transport. Default: that of `phones`.
    #[serde(default)]
    pub(super) transport: Option<At<ObjectName>>,
    /// The digest realm; must equal Asterisk's `default_realm`. Default: that of `phones`.
    #[serde(default)]
    pub(super) realm: Option<At<ObjectName>>,
    /// The operator's own context that the phone dials in, instead of the generated one. Calls to its number go on as to
    /// any other phone. Default: the generated context.
    #[serde(default)]
    pub(super) context: Option<At<ObjectName>>,
    /// The user name that the phone authenticates with, if it is another one than that of its endpoint. The phone still
    /// registers under the name of its endpoint. Default: the name of the endpoint.
    #[serde(default)]
    pub(super) login: Option<At<ObjectName>>,
    /// A voicemail box of the operator's own, such as `1001@default`, whose messages the phone shows. Default: none.
    #[serde(default)]
    pub(super) mailbox: Option<At<OperatorsBox>>,
}

/// The dialplan around ours.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Dialplan {
    /// The operator's own contexts, tried after ours in this order: how phones dial out.
    #[serde(default)]
    pub(super) include: Option<At<Vec<At<ObjectName>>>>,
}

/// What an apply may do without being told twice.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rails {
    /// Users deleted by one apply; as many voicemail boxes, and as many public numbers, may end.
    #[serde(default)]
    pub(super) deletes: Option<At<Limit>>,
    /// Phones that must log in again after one apply: number, realm or secret changed.
    #[serde(default)]
    pub(super) relogins: Option<At<Limit>>,
}

/// A limit: the smaller of both counts, the share rounded up, and never below 1.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    /// The absolute limit. Default: 5.
    #[serde(default)]
    #[schemars(with = "Option<u32>")]
    pub(super) max: Option<At<u32>>,
    /// The limit in percent: a share of the file-managed users, or of what else is counted. Default: 20.
    #[serde(default)]
    #[schemars(with = "Option<Percent>")]
    pub(super) percent: Option<At<u32>>,
}

/// One person with a phone, or one phone that belongs to nobody.
//
// What few users have is boxed: there may be 100,000 of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["email"] }, { "required": ["id"] }]))]
pub(super) struct User {
    /// The identity of a person: unique in the tenant, compared case-insensitively. Default: none, but then there is
    /// `id`.
    #[serde(default)]
    pub(super) email: Option<At<Email>>,
    /// The identity of a phone that belongs to nobody, in place of `email`: a letter, then letters, digits and
    /// `_ . -`. It is unique among all names that calls can be sent to, compared case-insensitively.
    #[serde(default)]
    pub(super) id: Option<At<PhoneId>>,
    /// The name the callee sees.
    pub(super) name: At<DisplayName>,
    /// The number, where it must be this one; otherwise one is allocated and kept for life.
    #[serde(default)]
    #[schemars(with = "Option<Extension>")]
    pub(super) extension: Option<At<Digits>>,
    /// The former e-mail or id: the user keeps row, number and secret.
    #[serde(default)]
    pub(super) previously: Option<Box<At<Identity>>>,
    /// Where the SIP secret comes from; otherwise one is generated and kept.
    #[serde(default)]
    pub(super) secret: Option<Box<At<SecretSource>>>,
    /// Refuses deletion and renumbering until this was set to false and applied.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub(super) protected: Option<At<bool>>,
    /// Whether the user has a voicemail box. Default: `voicemail.users`, and none for a phone that belongs to nobody.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub(super) voicemail: Option<Box<At<bool>>>,
    /// Who gets the calls to the user's extension that nobody answers, tried in turn: the same destinations as in a
    /// `route`. It is for calls while the user is busy or no phone is registered, too, and for those that the user turns
    /// away. `[]` ends the call. Calls to a route or a group that names the user do not come here. Default: the user's
    /// own voicemail box, if there is one.
    #[serde(default)]
    #[schemars(with = "Option<Vec<TargetForm>>")]
    pub(super) no_answer: Option<Box<TargetList>>,
    /// What this user's phone has differently.
    #[serde(default)]
    pub(super) phone: Option<Box<At<UserPhone>>>,
}

impl User {
    /// Returns what identifies the user, with its place, unless it was rejected or there is not exactly one.
    pub(super) fn identity(&self) -> Option<(Identity, Place)> {
        match (&self.email, &self.id) {
            (Some(At { place, value: Some(email), .. }), None) => Some((email.clone().into(), *place)),
            (None, Some(At { place, value: Some(id), .. })) => Some((Identity::Phone(id.clone()), *place)),
            _ => None,
        }
    }
}

/// An extension as it must be written: plain digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digits(pub(super) Extension);

impl<'de> Deserialize<'de> for Digits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Token(text) = Token::deserialize(deserializer)?;
        Extension::from_str(&text).map(Self).map_err(de::Error::custom)
    }
}

/// The ranges of numbers as they are written.
#[derive(Debug)]
pub(super) enum Ranges {
    /// One or several in one text, separated by commas.
    Text(Vec<ExtensionRange>),
    /// A list, each with its place.
    List(Vec<At<ExtensionRange>>),
}

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RangesVisitor;
        impl<'de> Visitor<'de> for RangesVisitor {
            type Value = Ranges;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a range such as `1000-1999`, or a list of them")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ranges, E> {
                let ranges = text.split(',').map(|part| part.trim().parse());
                ranges.collect::<Result<_, Invalid>>().map(Ranges::Text).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ranges, A::Error> {
                let mut ranges = Vec::new();
                while let Some(range) = items.next_element::<At<RangeText>>()? {
                    let At { place, value, whole, meant } = range;
                    ranges.push(At { place, value: value.map(|text| text.0), whole, meant });
                }
                Ok(Ranges::List(ranges))
            }
        }
        deserializer.deserialize_newtype_struct(WORD_OR_LIST, RangesVisitor)
    }
}

/// One range of a list.
struct RangeText(ExtensionRange);

impl<'de> Deserialize<'de> for RangeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As written: a single number is taken for one.
        let Token(text) = Token::deserialize(deserializer)?;
        text.trim_matches(['"', '\'']).trim().parse().map(Self).map_err(de::Error::custom)
    }
}

/// A number of days, written `30d`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold(pub(super) u32);

impl<'de> Deserialize<'de> for Hold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As written: a number whose unit was forgotten is not text.
        let Token(text) = Token::deserialize(deserializer)?;
        text.trim_matches(['"', '\'']).parse().map_err(de::Error::custom)
    }
}

impl FromStr for Hold {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let days = |text: &str| text.parse().ok().filter(|days| *days <= 3650);
        let digits = text.strip_suffix('d').unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match days(digits).filter(|_| plain) {
            Some(days) if digits.len() < text.len() => Ok(Self(days)),
            found => Err(Invalid::new(
                Code::InvalidHold,
                format!("{} is not a number of days with its unit", quoted(text)),
                &found.map_or_else(
                    || "write whole days, such as `30d`, at most `3650d`".to_owned(),
                    |days| format!("write it as `{days}d`"),
                ),
            )),
        }
    }
}

/// Makes a type that exists only to describe a value in the JSON schema.
macro_rules! schema_of {
    ($(#[$doc:meta])* $name:ident, $schema:tt) => {
        $(#[$doc])*
        struct $name;
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

schema_of!(FormatVersion, { "const": 1 });
schema_of!(RangesSchema, { "oneOf": [
    { "type": "string", "pattern": "^[1-9][0-9]{0,7} *- *[1-9][0-9]{0,7}( *, *[1-9][0-9]{0,7} *- *[1-9][0-9]{0,7})*$" },
    {
        "type": "array", "minItems": 1, "maxItems": 100,
        "items": { "type": "string", "pattern": "^[1-9][0-9]{0,7} *- *[1-9][0-9]{0,7}$" }
    }
] });
schema_of!(Devices, { "type": "integer", "minimum": 1, "maximum": 15 });
schema_of!(Percent, { "type": "integer", "minimum": 0, "maximum": 100 });

impl JsonSchema for Hold {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hold".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,4}d$" })
    }
}

/// Writes the JSON schema of the desired-state file (draft 2020-12), as `reconcile schema` does.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn schema() -> serde_json::Result<String> {
    let (mut schema, objects) = (schemars::schema_for!(DesiredState), schemars::schema_for!(objects::Keys));
    for part in ["properties", "$defs"] {
        let all = schema.get_mut(part).and_then(serde_json::Value::as_object_mut);
        if let Some((all, more)) = all.zip(objects.get(part).and_then(serde_json::Value::as_object)) {
            all.extend(more.clone());
        }
    }
    let mut text = serde_json::to_string_pretty(&schema)?;
    text.push('\n');
    Ok(text)
}

/// Lists the keys of the file.
pub(super) fn keys() -> Vec<&'static str> {
    [keys_of::<DesiredState>(), keys_of::<objects::Keys>()].concat()
}

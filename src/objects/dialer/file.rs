//! The keys of a dialer.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use super::NumberSource;
use crate::model::{At, Code, E164, Host, Invalid, ObjectName, SourceName, Token, quoted, text_type};

/// Somewhere calls can be sent to: a public number or a SIP address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dialer {
    /// The public number.
    #[serde(default)]
    #[schemars(with = "Option<NumberSchema>")]
    pub(crate) number: Option<At<Number>>,
    /// The SIP address.
    #[serde(default)]
    pub(crate) sip: Option<At<SipAddress>>,
    /// The caller ID it sees: `called`, `caller`, or a number. Default: `TWILIO_PHONE_NUMBER` of the
    /// environment where it is set, otherwise the called number.
    #[serde(default)]
    pub(crate) caller_id: Option<At<CallerIdText>>,
    /// How long it rings, such as `30s`; 5 to 600 seconds. Default: 30s.
    #[serde(default)]
    pub(crate) ring: Option<At<RingTimeout>>,
    /// The trunk over which Asterisk reaches it.
    #[serde(default)]
    pub(crate) trunk: Option<At<ObjectName>>,
}

/// A public number, or where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Number(pub(crate) NumberSource);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl<'de> Visitor<'de> for NumberVisitor {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a public number, or `{ env: NAME }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(|number| Number(NumberSource::Given(number))).map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
                let bad = || {
                    let hint = "write the number in quotes, or `{ env: DIALFIRE_PHONE_NUMBER }`";
                    de::Error::custom(Invalid::new(
                        Code::InvalidNumber,
                        "this does not name the source of a number",
                        hint,
                    ))
                };
                if map.next_key::<String>()?.as_deref() != Some("env") {
                    return Err(bad());
                }
                let name: SourceName = map.next_value()?;
                if map.next_key::<String>()?.is_some() {
                    return Err(bad());
                }
                Ok(Number(NumberSource::Env(name.as_str().to_owned())))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// Describes [`Number`].
struct NumberSchema;

impl JsonSchema for NumberSchema {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let given = E164::json_schema(generator);
        json_schema!({ "oneOf": [given, {
            "type": "object", "required": ["env"], "additionalProperties": false,
            "properties": { "env": { "type": "string" } }
        }] })
    }
}

text_type! {
    /// A SIP address: `sip:` or `sips:`, a user and a host.
    SipAddress,
    |text| {
        let rest = text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:")).unwrap_or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.+-".contains(&b);
        match rest.split_once('@') {
            Some((user, host))
                if (1..=64).contains(&user.len()) && user.bytes().all(plain) && host.parse::<Host>().is_ok() =>
            {
                Ok(text.to_owned())
            }
            _ => Err(Invalid::new(
                Code::InvalidSip,
                format!("{} is not a SIP address", quoted(text)),
                "write it as `sip:user@host`, without parameters",
            )),
        }
    },
    { "type": "string", "pattern": "^sips?:[A-Za-z0-9_.+-]{1,64}@" }
}

text_type! {
    /// The caller ID that a dialer sees.
    CallerIdText,
    |text| {
        if ["called", "caller"].contains(&text) || text.parse::<E164>().is_ok() {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                Code::InvalidNumber,
                format!("{} is no caller ID", quoted(text)),
                "write `called`, `caller`, or a number in E.164 form, in quotes",
            ))
        }
    },
    { "type": "string", "pattern": "^(called|caller|\\+[1-9][0-9]{6,14})$" }
}

/// How long something rings, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingTimeout(pub(crate) u32);

impl<'de> Deserialize<'de> for RingTimeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As written: the unit is easily forgotten, and then it is a number.
        let Token(text) = Token::deserialize(deserializer)?;
        text.trim_matches('"').parse().map_err(de::Error::custom)
    }
}

impl FromStr for RingTimeout {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let good = |seconds: &u32| (5..=600).contains(seconds);
        let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
        seconds.filter(good).map(Self).ok_or_else(|| {
            let hint = match text.parse().ok().filter(good) {
                Some(seconds) => format!("write it with its unit: `{seconds}s`"),
                None => "write whole seconds, such as `30s`, from `5s` to `600s`".to_owned(),
            };
            Invalid::new(Code::InvalidRing, format!("{} is not a time to ring", quoted(text)), &hint)
        })
    }
}

impl JsonSchema for RingTimeout {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ring".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,3}s$" })
    }
}

//! The keys about inbound calls: trunks, dialers, hours, rules and expectations.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::Date};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor},
};

use super::{At, Host, SecretSource, SourceName, Token, Word};
use crate::{
    calls::{E164, NumberSource, OpenRange, Prefix, Timezone},
    model::{Email, Invalid, ObjectName, nearest, quoted, text_type},
};

/// A SIP carrier.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::desired) struct Trunk {
    /// Where the carrier is reached.
    pub(in crate::desired) host: At<Host>,
    /// The addresses its calls come from, single or as networks. Default: the host.
    #[serde(default)]
    pub(in crate::desired) identify: Option<At<Vec<At<Network>>>>,
    /// The user name at the carrier.
    #[serde(default)]
    pub(in crate::desired) username: Option<At<ObjectName>>,
    /// Where the secret at the carrier comes from.
    #[serde(default)]
    pub(in crate::desired) secret: Option<At<SecretSource>>,
    /// The carrier's digest realm; with it, the file holds no plain secret.
    #[serde(default)]
    pub(in crate::desired) realm: Option<At<ObjectName>>,
    /// Whether to register at the carrier. Default: false.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub(in crate::desired) register: Option<At<bool>>,
}

/// Somewhere calls can be sent to: a public number or a SIP address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::desired) struct Dialer {
    /// The public number.
    #[serde(default)]
    #[schemars(with = "Option<NumberSchema>")]
    pub(in crate::desired) number: Option<At<Number>>,
    /// The SIP address.
    #[serde(default)]
    pub(in crate::desired) sip: Option<At<SipAddress>>,
    /// The caller ID it sees: `called`, `caller`, or a number. Default: `TWILIO_PHONE_NUMBER` of the
    /// environment where it is set, otherwise the called number.
    #[serde(default)]
    pub(in crate::desired) caller_id: Option<At<CallerIdText>>,
    /// How long it rings, such as `30s`; 5 to 600 seconds. Default: 30s.
    #[serde(default)]
    pub(in crate::desired) ring: Option<At<Ring>>,
    /// The trunk over which Asterisk reaches it.
    #[serde(default)]
    pub(in crate::desired) trunk: Option<At<ObjectName>>,
}

/// When somebody is there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::desired) struct OpeningHours {
    /// The IANA time zone.
    #[schemars(with = "String")]
    pub(in crate::desired) timezone: At<Timezone>,
    /// Weekly ranges, such as `mon-fri 09:00-18:00`; the end is exclusive, and may lie on the next day.
    #[schemars(with = "Vec<String>")]
    pub(in crate::desired) open: At<Vec<At<OpenRange>>>,
    /// Dates that are closed all day, such as `2026-12-25`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    pub(in crate::desired) closed: Option<At<Vec<At<ClosedDate>>>>,
}

/// Who gets the calls to a number.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::desired) struct InboundRule {
    /// The number that is called, in E.164 form, or `default` for every other one.
    pub(in crate::desired) to: At<CalledName>,
    /// The callers it is for: beginnings of their numbers, such as `+49*`, or `withheld`. Default: all.
    #[serde(default)]
    pub(in crate::desired) from: Option<At<Vec<At<CallerName>>>>,
    /// The hours it is for.
    #[serde(default)]
    pub(in crate::desired) when: Option<At<ObjectName>>,
    /// Who gets the call, tried in turn until one answers.
    #[schemars(with = "Vec<TargetText>")]
    pub(in crate::desired) route: At<Vec<At<TargetName>>>,
    /// Who gets it outside those hours; without it, the next rule has its say.
    #[serde(default)]
    #[schemars(with = "Option<Vec<TargetText>>")]
    pub(in crate::desired) otherwise: Option<At<Vec<At<TargetName>>>>,
    /// Refuses its removal until this was set to false and applied.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub(in crate::desired) protected: Option<At<bool>>,
}

/// A test of the routes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::desired) struct Expectation {
    /// The call.
    pub(in crate::desired) call: At<ExpectedCall>,
    /// Who gets it first.
    #[schemars(with = "TargetText")]
    pub(in crate::desired) reaches: At<TargetName>,
}

/// A call that is thought of.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::desired) struct ExpectedCall {
    /// The number that is called.
    pub(in crate::desired) to: At<E164>,
    /// Whoever calls: a number, or `withheld`. Default: somebody no rule is for in particular.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(in crate::desired) from: Option<At<String>>,
    /// When, with the offset from UTC, such as `2026-12-24T22:00+01:00`.
    #[schemars(with = "String")]
    pub(in crate::desired) at: At<Instant>,
}

/// A public number, or where it comes from.
#[derive(Debug, Clone)]
pub(in crate::desired) struct Number(pub(in crate::desired) NumberSource);

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
                        "invalid-number",
                        "this does not say where the number comes from",
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
                "invalid-sip",
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
                "invalid-number",
                format!("{} is no caller ID", quoted(text)),
                "write `called`, `caller`, or a number in E.164 form, in quotes",
            ))
        }
    },
    { "type": "string", "pattern": "^(called|caller|\\+[1-9][0-9]{6,14})$" }
}

/// Offers the word that is possible in place of a number, where it was probably meant.
fn or_word(number: Result<String, Invalid>, text: &str, word: &str) -> Result<String, Invalid> {
    number.map_err(|invalid| match nearest(&text.to_ascii_lowercase(), [word].into_iter()) {
        Some(word) => Invalid { hint: Some(format!("did you mean `{word}`?")), ..invalid },
        None => invalid,
    })
}

text_type! {
    /// The called numbers that a rule is for.
    CalledName,
    |text| {
        if text == "default" { Ok(text.to_owned()) } else { or_word(text.parse::<E164>().map(String::from), text, "default") }
    },
    { "type": "string", "pattern": "^(default|\\+[1-9][0-9]{6,14})$" }
}

text_type! {
    /// The callers that a rule is for.
    CallerName,
    |text| {
        if text == "withheld" { Ok(text.to_owned()) } else { or_word(text.parse::<Prefix>().map(String::from), text, "withheld") }
    },
    { "type": "string", "pattern": "^(withheld|\\+[1-9][0-9]{0,14}\\*)$" }
}

text_type! {
    /// Who gets a call, by name: a dialer, a user's e-mail, `hangup` or `busy`.
    TargetText,
    |text| {
        if text.parse::<Email>().is_ok() || text.parse::<ObjectName>().is_ok() {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                "invalid-target",
                format!("{} names nobody who gets calls", quoted(text)),
                "name a dialer, a user by e-mail, `hangup` or `busy`",
            ))
        }
    },
    { "type": "string", "minLength": 1, "maxLength": 254 }
}

/// A [`TargetText`] as it is read: a number is taken as text, so that the message is about what a route names
/// instead of quotes.
#[derive(Debug, Clone)]
pub(in crate::desired) struct TargetName(TargetText);

impl TargetName {
    /// Returns the text.
    pub(in crate::desired) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<'de> Deserialize<'de> for TargetName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Word(text) = Word::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

text_type! {
    /// An address, or a network such as `203.0.113.0/28`.
    Network,
    |text| {
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let most = match address.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(_)) => Some(32),
            Ok(std::net::IpAddr::V6(_)) => Some(128),
            Err(_) => None,
        };
        let whole = !text.contains('/') || bits.parse::<u8>().ok().zip(most).is_some_and(|(bits, most)| bits <= most);
        if most.is_some() && whole {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                "invalid-host",
                format!("{} is not an address or a network", quoted(text)),
                "write it as `203.0.113.7` or `203.0.113.0/28`",
            ))
        }
    },
    { "type": "string", "minLength": 2, "maxLength": 43 }
}

/// How long something rings, in seconds.
#[derive(Debug, Clone, Copy)]
pub(in crate::desired) struct Ring(pub(in crate::desired) u32);

impl<'de> Deserialize<'de> for Ring {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As written: the unit is easily forgotten, and then it is a number.
        let Token(text) = Token::deserialize(deserializer)?;
        text.trim_matches('"').parse().map_err(de::Error::custom)
    }
}

impl FromStr for Ring {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let good = |seconds: &u32| (5..=600).contains(seconds);
        let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
        seconds.filter(good).map(Self).ok_or_else(|| {
            let hint = match text.parse().ok().filter(good) {
                Some(seconds) => format!("write it with its unit: `{seconds}s`"),
                None => "write whole seconds, such as `30s`, from `5s` to `600s`".to_owned(),
            };
            Invalid::new("invalid-ring", format!("{} is not a time to ring", quoted(text)), &hint)
        })
    }
}

impl JsonSchema for Ring {
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

/// A date, written `2026-12-25`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::desired) struct ClosedDate(pub(in crate::desired) Date);

impl TryFrom<String> for ClosedDate {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let date = (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
        date.map(Self).ok_or_else(|| {
            Invalid::new(
                "invalid-date",
                format!("{} is not a date", quoted(&text)),
                "write year, month and day in quotes, such as \"2026-12-25\"",
            )
        })
    }
}

/// A moment, with its offset from UTC.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::desired) struct Instant(pub(in crate::desired) Timestamp);

impl TryFrom<String> for Instant {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse::<Timestamp>().map(Self).map_err(|_| {
            Invalid::new(
                "invalid-time",
                format!("{} is not a moment", quoted(&text)),
                "write date, time and offset in quotes, such as \"2026-12-24T22:00+01:00\"",
            )
        })
    }
}

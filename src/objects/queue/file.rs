//! The keys of a queue.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::QueueStrategy;
use crate::{
    model::{At, Code, Email, Invalid, PhoneId, Prompt, Token, quoted, text_type},
    objects::{
        destination::file::{TargetForm, TargetName},
        dialer::file::RingTimeout,
        extension::ExtensionKey,
    },
};

/// A queue: callers wait, with music, until one of its members is free.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Queue {
    /// The internal number under which phones reach the queue, inside `extensions.range`: a number, or `auto` for the
    /// lowest free one, which the queue then keeps. Default: none.
    #[serde(default)]
    pub(crate) extension: Option<At<ExtensionKey>>,
    /// Who takes the calls: users' e-mails and ids of phones. Who is in a call is not called.
    #[schemars(with = "Vec<AgentName>")]
    pub(crate) members: At<Vec<At<AgentName>>>,
    /// Who is called next. Default: round-robin.
    #[serde(default)]
    pub(crate) strategy: Option<At<QueueStrategy>>,
    /// How long a member's phones ring before the next one is called, such as `15s`; 5 to 600 seconds. Default: 15s.
    #[serde(default)]
    pub(crate) ring: Option<At<RingTimeout>>,
    /// How long a member gets no further call of this queue after one, such as `10s`; 1 second to 60 minutes. Default: none.
    #[serde(default)]
    pub(crate) wrap_up: Option<At<Time>>,
    /// How many callers may wait, 1 to 1000. Default: any number.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) max_callers: Option<At<u32>>,
    /// How long a caller waits at most, and who gets the call then. Default: until a member answers.
    #[serde(default)]
    pub(crate) timeout: Option<At<Timeout>>,
    /// Who gets a call while no member can take one, tried in turn: none has a phone that is registered. Without it, the
    /// call ends. The call is answered by then, so that `busy` only ends it.
    #[serde(default)]
    #[schemars(with = "Option<Vec<TargetForm>>")]
    pub(crate) empty: Option<At<Vec<At<TargetName>>>>,
    /// Who gets a call while `max_callers` wait, tried in turn. Without it, the call ends. The call is answered by then, so
    /// that `busy` only ends it.
    #[serde(default)]
    #[schemars(with = "Option<Vec<TargetForm>>")]
    pub(crate) full: Option<At<Vec<At<TargetName>>>>,
    /// What callers hear while they wait, beside music. Default: nothing.
    #[serde(default)]
    pub(crate) announce: Option<At<Announce>>,
}

/// How long a caller waits at most.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timeout {
    /// How long, such as `5m`; 1 second to 60 minutes.
    pub(crate) after: At<Time>,
    /// Who gets the call then, tried in turn. Without it, the call ends.
    #[serde(default)]
    #[schemars(with = "Option<Vec<TargetForm>>")]
    pub(crate) to: Option<At<Vec<At<TargetName>>>>,
}

/// What callers hear while they wait.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Announce {
    /// How often callers are told their place in the queue, and at once when it changes, such as `60s`; 1 second to 60
    /// minutes, but never more often than each 15 seconds. Default: never.
    #[serde(default)]
    pub(crate) position: Option<At<Time>>,
    /// A prompt that is played again and again. Default: none.
    #[serde(default)]
    pub(crate) every: Option<At<Every>>,
}

/// A prompt that is played again and again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Every {
    /// What callers hear: a sound file below Asterisk's `sounds` folder, without language and ending. It must exist.
    #[schemars(with = "Prompt")]
    pub(crate) prompt: At<Prompt>,
    /// How often, such as `45s`; 1 second to 60 minutes.
    pub(crate) each: At<Time>,
}

text_type! {
    /// A member of a queue: a user's e-mail, or a phone's `id`.
    AgentName,
    |text| {
        if text.parse::<Email>().is_ok() || text.parse::<PhoneId>().is_ok() {
            return Ok(text.to_owned());
        }
        let hint = "name users by e-mail, and phones by id; a member of a queue has a phone of this Asterisk";
        Err(Invalid::new(Code::InvalidTarget, format!("{} cannot be a member of a queue", quoted(text)), hint))
    },
    { "type": "string", "minLength": 1, "maxLength": 254 }
}

/// A time, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) u32);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As written: the unit is easily forgotten, and then it is a number.
        let Token(text) = Token::deserialize(deserializer)?;
        let text = text.trim_matches('"');
        let seconds = |unit: char, each: u32| {
            let number = text.strip_suffix(unit).filter(|number| number.bytes().all(|b| b.is_ascii_digit()))?;
            number.parse::<u32>().ok()?.checked_mul(each)
        };
        let found = seconds('s', 1).or_else(|| seconds('m', 60));
        found.filter(|seconds| (1..=3600).contains(seconds)).map(Self).ok_or_else(|| {
            let hint = "write whole seconds or minutes with their unit, such as `45s` or `5m`, from `1s` to `60m`";
            de::Error::custom(Invalid::new(Code::InvalidWait, format!("{} is not a time to wait", quoted(text)), hint))
        })
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,4}[sm]$" })
    }
}

//! The keys of a menu.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::{
    model::{At, Code, Invalid, Named, Prompt, Token, quoted},
    objects::{
        destination::file::{TargetForm, TargetName},
        extension::ExtensionKey,
    },
};

/// A menu: the caller hears a prompt and presses a key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Menu {
    /// The internal number under which phones reach the menu, inside `extensions.range`: a number, or `auto` for the
    /// lowest free one, which the menu then keeps. Default: none.
    #[serde(default)]
    pub(crate) extension: Option<At<ExtensionKey>>,
    /// What the caller hears: a sound file below Asterisk's `sounds` folder, without language and ending. It must exist.
    #[schemars(with = "Prompt")]
    pub(crate) prompt: At<Prompt>,
    /// Who gets the call if the caller presses this key, tried in turn: `0` to `9`, `"*"`, `"#"`.
    #[schemars(with = "BTreeMap<String, Vec<TargetForm>>")]
    pub(crate) digits: At<Named<Vec<At<TargetName>>>>,
    /// How long a key is waited for once the prompt has ended, such as `5s`; 1 to 60 seconds. Default: 5s.
    #[serde(default)]
    pub(crate) wait: Option<At<Wait>>,
    /// How often the prompt is played to a caller who presses nothing, or a key that is not listed; 1 to 10. Default: 3.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10))]
    pub(crate) tries: Option<At<u32>>,
    /// Who gets the call after that, tried in turn. Without it, the call ends.
    #[serde(default)]
    #[schemars(with = "Option<Vec<TargetForm>>")]
    pub(crate) otherwise: Option<At<Vec<At<TargetName>>>>,
}

/// How long a key is waited for, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait(pub(crate) u32);

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Token(text) = Token::deserialize(deserializer)?;
        let text = text.trim_matches('"');
        let good = |seconds: &u32| (1..=60).contains(seconds);
        let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok()).filter(good);
        seconds.map(Self).ok_or_else(|| {
            let hint = "write whole seconds with their unit, from `1s` to `60s`, such as `5s`";
            de::Error::custom(Invalid::new(Code::InvalidWait, format!("{} is not a time to wait", quoted(text)), hint))
        })
    }
}

impl JsonSchema for Wait {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Wait".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,2}s$" })
    }
}

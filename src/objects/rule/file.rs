//! The keys of a rule.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    model::{At, E164, Invalid, ObjectName, Prefix, nearest, text_type},
    objects::destination::file::{TargetForm, TargetName},
};

/// Who gets the calls to a number.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InboundRule {
    /// The number that is called, in E.164 form, or `default` for every other one.
    pub(crate) to: At<CalledName>,
    /// The callers it is for: beginnings of their numbers, such as `+49*`, or `withheld`. Default: all.
    #[serde(default)]
    pub(crate) from: Option<At<Vec<At<CallerName>>>>,
    /// The hours it is for.
    #[serde(default)]
    pub(crate) when: Option<At<ObjectName>>,
    /// Who gets the call, tried in turn until one answers.
    #[schemars(with = "Vec<TargetForm>")]
    pub(crate) route: At<Vec<At<TargetName>>>,
    /// Who gets it outside those hours; without it, the next rule has its say.
    #[serde(default)]
    #[schemars(with = "Option<Vec<TargetForm>>")]
    pub(crate) otherwise: Option<At<Vec<At<TargetName>>>>,
    /// Refuses its removal until this was set to false and applied.
    #[serde(default)]
    #[schemars(with = "Option<bool>")]
    pub(crate) protected: Option<At<bool>>,
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

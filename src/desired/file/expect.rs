//! The keys of expectations: tests of the routes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    model::{At, Code, E164, Invalid, quoted},
    objects::{TargetForm, TargetName},
};

/// A test of the routes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::desired) struct Expectation {
    /// The call.
    pub(in crate::desired) call: At<ExpectedCall>,
    /// Who gets it first.
    #[schemars(with = "TargetForm")]
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

/// A moment, with its offset from UTC.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::desired) struct Instant(pub(in crate::desired) Timestamp);

impl TryFrom<String> for Instant {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse::<Timestamp>().map(Self).map_err(|_| {
            Invalid::new(
                Code::InvalidTime,
                format!("{} is not a date and time", quoted(&text)),
                "write date, time and offset in quotes, such as \"2026-12-24T22:00+01:00\"",
            )
        })
    }
}

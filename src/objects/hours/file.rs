//! The keys of opening hours.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{OpenRange, Timezone};
use crate::model::{At, Invalid, quoted};

/// When somebody is there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpeningHours {
    /// The IANA time zone.
    #[schemars(with = "String")]
    pub(crate) timezone: At<Timezone>,
    /// Weekly ranges, such as `mon-fri 09:00-18:00`; the end is exclusive, and may lie on the next day.
    #[schemars(with = "Vec<String>")]
    pub(crate) open: At<Vec<At<OpenRange>>>,
    /// Dates that are closed all day, such as `2026-12-25`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) closed: Option<At<Vec<At<ClosedDate>>>>,
}

/// A date, written `2026-12-25`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ClosedDate(pub(crate) Date);

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

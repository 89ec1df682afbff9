//! Internal numbers, and ranges of them.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Invalid, quoted};

/// An internal number: 1 to 8 digits, no leading zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extension(u32);

impl Extension {
    /// The largest number there is.
    pub const MAX: u32 = 99_999_999;

    /// Returns the number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Extension {
    type Error = Invalid;

    fn try_from(number: u32) -> Result<Self, Invalid> {
        if (1..=Self::MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Invalid::new(
                "invalid-extension",
                format!("{number} is not an extension"),
                "an extension is a whole number from 1 to 99999999",
            ))
        }
    }
}

impl FromStr for Extension {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let plain =
            !text.is_empty() && text.len() <= 8 && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        text.parse().ok().filter(|_| plain).map(Self).ok_or_else(|| {
            Invalid::new(
                "invalid-extension",
                format!("{} is not an extension", quoted(text)),
                "write plain digits without quotes, sign, dot or leading zero, such as `1010`",
            )
        })
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl JsonSchema for Extension {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Extension".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": Self::MAX })
    }
}

/// An inclusive range of extensions, written `1000-1999`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExtensionRange {
    first: Extension,
    last: Extension,
}

impl ExtensionRange {
    /// The range used where the file names none: 1000-1999.
    pub const DEFAULT: Self = Self { first: Extension(1000), last: Extension(1999) };

    /// Returns the lowest number.
    pub fn first(self) -> Extension {
        self.first
    }

    /// Returns the highest number.
    pub fn last(self) -> Extension {
        self.last
    }

    /// Tells whether a number lies in the range.
    pub fn contains(self, extension: Extension) -> bool {
        (self.first..=self.last).contains(&extension)
    }

    /// Counts the numbers in the range.
    pub fn size(self) -> u32 {
        self.last.0 - self.first.0 + 1
    }

    /// Returns the plain numbers of the range.
    pub fn numbers(self) -> RangeInclusive<u32> {
        self.first.0..=self.last.0
    }
}

impl FromStr for ExtensionRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |message: String| {
            Invalid::new("invalid-range", message, "write the lowest and the highest number, such as `1000-1999`")
        };
        let (first, last) = text.split_once('-').ok_or_else(|| bad(format!("{} is not a range", quoted(text))))?;
        let end =
            |part: &str| part.trim().parse::<Extension>().map_err(|_| bad(format!("{} is not a range", quoted(text))));
        let (first, last) = (end(first)?, end(last)?);
        if first > last {
            return Err(Invalid::new(
                "backwards-range",
                format!("the range {} runs backwards", quoted(text)),
                &format!("write `{last}-{first}`"),
            ));
        }
        Ok(Self { first, last })
    }
}

impl TryFrom<String> for ExtensionRange {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<ExtensionRange> for String {
    fn from(range: ExtensionRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for ExtensionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

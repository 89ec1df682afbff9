//! Telephone numbers: ours, which are checked, and callers', which never are.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Code, Invalid, invisible_hint, quoted, text_type};

text_type! {
    /// A public number in E.164 form: `+`, then 7 to 15 digits, the first of them not 0.
    E164,
    |text| {
        let digits = text.strip_prefix('+').unwrap_or_default();
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if plain && (7..=15).contains(&digits.len()) {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                Code::InvalidNumber,
                format!("{} is not a public number", quoted(text)),
                &invisible_hint(text).unwrap_or_else(|| {
                    "write it in E.164 form: `+`, country code and number without spaces, in quotes, such as \
                     \"+15559876543\""
                        .to_owned()
                }),
            ))
        }
    },
    { "type": "string", "pattern": "^\\+[1-9][0-9]{6,14}$" }
}

text_type! {
    /// The beginning of callers' numbers: `+`, at least one digit, and a closing `*`.
    Prefix,
    |text| {
        let digits = text.strip_prefix('+').and_then(|text| text.strip_suffix('*')).unwrap_or_default();
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if plain && (1..=15).contains(&digits.len()) {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(
                Code::InvalidPrefix,
                format!("{} is not a prefix of callers' numbers", quoted(text)),
                "write `+`, the first digits and `*`, in quotes, such as \"+49*\"; or `withheld`",
            ))
        }
    },
    { "type": "string", "pattern": "^\\+[1-9][0-9]{0,14}\\*$" }
}

impl Prefix {
    /// Returns the digits that callers' numbers begin with, `+` included.
    pub fn start(&self) -> &str {
        self.as_str().trim_end_matches('*')
    }
}

/// What kind of caller it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerClass {
    /// A number in E.164 form.
    E164,
    /// A caller who does not show a number.
    Withheld,
    /// A Twilio client.
    Client,
    /// A SIP address.
    Sip,
    /// Anything else: national digits, short codes, other channels. Routed, never refused.
    Irregular,
}

impl CallerClass {
    /// Returns the word in records and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::E164 => "e164",
            Self::Withheld => "withheld",
            Self::Client => "client",
            Self::Sip => "sip",
            Self::Irregular => "irregular",
        }
    }
}

/// Words that carriers send for a withheld number, and the digits that such words become on a
/// telephone's keys (<https://www.twilio.com/en-us/changelog>, 2022-11-16; none is a valid number).
pub(crate) const WITHHELD: &[&str] = &[
    "anonymous",
    "restricted",
    "unknown",
    "unavailable",
    "blocked",
    "private",
    "withheld",
    "266696687",
    "7378742833",
    "2562533",
    "8656696",
    "86282452253",
];

/// The caller: the number as it was sent, and its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    text: String,
    class: CallerClass,
}

impl Caller {
    /// Classifies what a carrier sent as the caller.
    pub fn new(text: &str) -> Self {
        // The blanks that Asterisk's regular expressions know, so that the dialplan decides alike.
        let text = text.trim_matches(|c: char| c.is_ascii() && c.is_whitespace());
        let begins = |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
        let word = text.trim_start_matches('+');
        let class = if text.is_empty() || WITHHELD.iter().any(|known| word.eq_ignore_ascii_case(known)) {
            CallerClass::Withheld
        } else if begins("client:") {
            CallerClass::Client
        } else if begins("sip:") || begins("sips:") {
            CallerClass::Sip
        } else if is_e164(text) {
            CallerClass::E164
        } else {
            CallerClass::Irregular
        };
        Self { text: text.to_owned(), class }
    }

    /// Returns the text as it came.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns what kind of caller it is.
    pub(crate) fn class(&self) -> CallerClass {
        self.class
    }
}

/// Writes a caller for people who may not see whole numbers: the last four digits.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: String = self.text.chars().filter(char::is_ascii_digit).collect();
        match self.class {
            CallerClass::E164 | CallerClass::Irregular if digits.len() >= 8 => {
                write!(f, "***{}", &digits[digits.len() - 4..])
            }
            CallerClass::E164 | CallerClass::Irregular => f.write_str("***"),
            class => f.write_str(class.word()),
        }
    }
}

/// Callers' numbers may be as short as E.164 allows.
fn is_e164(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
}

//! What a phone system or a list of people already holds, as a desired-state file.
//!
//! Pure: text in, text out. `csv` reads lists of people, `conf` reads configuration files, `running` reads what Asterisk
//! answers, and all give candidates.
//! `judge` makes users of them, and says what cannot be carried over. `settings` lists what changes for the phones. `write` writes
//! the file. Nobody else is asked, and
//! no secret stands in the file or in a message.

pub(crate) mod answers;
mod candidate;
pub(crate) mod conf;
mod csv;
mod generated;
mod judge;
mod left_out;
pub(crate) mod patch;
mod range;
pub(crate) mod running;
mod settings;
mod write;

pub(crate) use candidate::{Candidate, Found};
pub(crate) use csv::{KEYS, Kind, Mapping, read_csv};
pub(crate) use generated::{read_generated, read_rendered};
pub(crate) use judge::{Imported, Options, judge};
pub(crate) use left_out::{LeftOut, Rank, count_things, listed};
pub(crate) use settings::changes;

/// What is said of a phone in a browser.
const BROWSER_PHONE: &str = "a browser phone: it has no sound without WebRTC, which is not carried over";

/// A source that cannot be imported at all, and the next step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What is wrong, and where.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: String,
}

impl Refused {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

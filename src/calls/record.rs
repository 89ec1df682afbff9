//! What becomes known about a call, as it is written down: a line of the spool at a time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{CallerClass, Document, Tenant};

/// Something that became known about a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The call, by the provider's id.
    pub call_sid: String,
    /// The tenant of the call, or `None` if no tenant takes it.
    pub tenant: Option<Tenant>,
    /// When it became known.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

impl Document for Event {}

/// What became known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It came in, and was answered.
    Answered(Box<Answer>),
    /// A step of its chain ended, and perhaps the next one began.
    Step {
        /// Which step, from 0.
        step: u32,
        /// How it ended.
        outcome: Outcome,
        /// How long the two talked, in seconds.
        duration: Option<u32>,
        /// The SIP answer, if the provider reports one.
        sip_code: Option<u16>,
        /// The step that follows.
        next: Option<Started>,
    },
    /// The provider told how the call stands.
    Status {
        /// How.
        status: Status,
        /// How long it took, in seconds.
        duration: Option<u32>,
    },
}

/// A call that was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The caller, as sent.
    pub from: String,
    /// The number that was called, as sent.
    pub to: String,
    /// The direction, as sent.
    pub direction: String,
    /// What kind of caller it was.
    pub caller_class: CallerClass,
    /// When the request was there.
    pub received_at: Timestamp,
    /// When it was decided.
    pub routed_at: Timestamp,
    /// From when the request was read to the answer, in milliseconds. Where calls come one after the other,
    /// it may have waited some milliseconds before.
    pub response_ms: f64,
    /// The rule that decided; none for the default route.
    pub rule: Option<String>,
    /// Why, in words.
    pub reason: String,
    /// Who gets the call, tried in turn.
    pub targets: Vec<String>,
    /// The first step, or `None` if the call dials no one.
    pub first: Option<Started>,
    /// Whether it is a request that came again.
    #[serde(default)]
    pub retry: bool,
    /// What was not as it should be, where the call was answered all the same.
    pub degraded: Option<String>,
    /// Where the fallback was asked, as an answer did not arrive: the step at which its chain begins.
    /// The step before is the one that answer would have begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<u32>,
}

/// A step that began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Which step, from 0.
    pub step: u32,
    /// Who is dialled: a dialer, a user's e-mail, or a phone's id.
    pub target: String,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// The line was busy.
    Busy,
    /// It was not answered in time.
    NoAnswer,
    /// It could not be reached.
    Failed,
    /// The caller gave up.
    Canceled,
}

impl Outcome {
    /// Returns the word in the table and in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// The state of a call. A later state never goes back to an earlier one, in whatever order the provider reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It came in.
    Received,
    /// It was sent to a destination.
    Routed,
    /// It rings.
    Ringing,
    /// The two talk.
    InProgress,
    /// It ended before it was answered.
    Canceled,
    /// It was not answered.
    NoAnswer,
    /// All were busy.
    Busy,
    /// It could not be carried.
    Failed,
    /// It ended.
    Completed,
}

impl Status {
    /// Returns the word in the table and in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Routed => "routed",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Canceled => "canceled",
            Self::NoAnswer => "no-answer",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Completed => "completed",
        }
    }
}

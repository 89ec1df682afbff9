//! How a call goes: one closed model. Each kind of object that calls can be sent to makes it. The dialplan, `TwiML` and
//! `trace` walk it, and none of them knows a kind.

use serde::{Deserialize, Serialize};

use super::{E164, ObjectName, UserKey};

/// Destinations that are tried in turn until one answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain(pub Vec<Node>);

/// One step of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Rings somebody.
    Ring(Ring),
    /// Ends the call. What stands behind it is never tried.
    End(Cause),
    /// Reaches nobody: the object of this name is not declared. The next destination is tried.
    Missing(ObjectName),
}

/// Those who ring, all at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// Who rings, in one word: the name of the object, the user's e-mail, or the phone's id.
    pub name: String,
    /// Who rings.
    pub leg: Leg,
    /// How long, in seconds.
    pub seconds: u32,
}

/// One who rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leg {
    /// All devices of a user.
    Phone(UserKey),
    /// A number or an address outside.
    Outside(Outside),
}

/// A number or an address outside, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// Whom the call goes to.
    pub line: OutsideLine,
    /// The trunk over which Asterisk reaches it. Without one, only Twilio does.
    pub trunk: Option<ObjectName>,
    /// Which number is shown as the caller's.
    pub caller_id: CallerId,
}

/// How a call ends that nobody gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The caller hears that the line is busy.
    Busy,
    /// The call is rejected.
    Rejected,
}

/// A number that stands in the file, or in a variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberSource {
    /// The number itself.
    Given(E164),
    /// The variable.
    Env(String),
}

/// Whom a call outside goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutsideLine {
    /// A public number.
    Number(NumberSource),
    /// A SIP address.
    Sip(String),
}

/// Which number is shown as the caller's.
///
/// What is recorded as `called` has always meant the default; the called number has a word of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerId {
    /// The default caller ID where there is one; otherwise the one that was called.
    #[default]
    #[serde(rename = "called")]
    Default,
    /// The one that was called.
    #[serde(rename = "always-called")]
    Called,
    /// The caller's own, where it is a number; otherwise the one that was called.
    Caller,
    /// This one.
    Number(E164),
}

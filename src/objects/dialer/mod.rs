//! Dialers: public numbers and SIP addresses outside that calls can be sent to.

pub(super) mod check;
pub(crate) mod file;

use serde::{Deserialize, Serialize};

use crate::model::{E164, ObjectName};

/// A number that stands in the file, or in a variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberSource {
    /// The number itself.
    Given(E164),
    /// The variable.
    Env(String),
}

/// What a dialer dials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DialerTarget {
    /// A public number.
    Number(NumberSource),
    /// A SIP address.
    Sip(String),
}

/// Which number the dialer sees as the caller's.
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

/// Somewhere calls can be sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialer {
    /// What it dials.
    pub target: DialerTarget,
    /// The caller ID it shows.
    #[serde(default)]
    pub caller_id: CallerId,
    /// How long it rings, in seconds.
    #[serde(default = "Dialer::default_ring")]
    pub ring: u32,
    /// The trunk over which Asterisk reaches it.
    pub trunk: Option<ObjectName>,
}

impl Dialer {
    /// How long a dialer rings whose file does not say so, in seconds.
    pub(crate) const DEFAULT_RING: u32 = 30;

    fn default_ring() -> u32 {
        Self::DEFAULT_RING
    }
}

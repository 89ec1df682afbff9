//! Destinations: who gets a call.

pub(super) mod check;
pub(crate) mod file;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{EmailKey, ObjectName};

/// Who gets a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A dialer.
    Dialer(ObjectName),
    /// A user's phone.
    User(EmailKey),
    /// Nobody: the call ends.
    Hangup,
    /// Nobody: the caller hears that the line is busy.
    Busy,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dialer(name) => write!(f, "{name}"),
            Self::User(email) => write!(f, "{email}"),
            Self::Hangup => f.write_str("hangup"),
            Self::Busy => f.write_str("busy"),
        }
    }
}

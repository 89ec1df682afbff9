//! Destinations: who gets a call.

pub(super) mod check;
pub(crate) mod file;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::object::{Fields, Listed, Object, Store};
use crate::model::{E164, EmailKey, ObjectName};

/// Who gets a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// An object that takes calls.
    #[serde(rename = "dialer")]
    Object(ObjectName),
    /// A user's phone, or one that belongs to nobody.
    User(EmailKey),
    /// Nobody: the call ends.
    Hangup,
    /// Nobody: the caller hears that the line is busy.
    Busy,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(name) => write!(f, "{name}"),
            Self::User(email) => write!(f, "{email}"),
            Self::Hangup => f.write_str("hangup"),
            Self::Busy => f.write_str("busy"),
        }
    }
}

/// Writes who gets a call: `dialfire, then zendesk_talk`.
pub(super) fn in_turn(targets: &[Target]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", then ")
}

/// The default route. There is none if it is empty.
impl Object for Vec<Target> {
    fn fields(&self) -> Fields {
        vec![("default_route", Some(in_turn(self)))]
    }
}

impl Store for Vec<Target> {
    fn list(&self) -> Vec<Listed<'_>> {
        let one = (!self.is_empty()).then(|| Listed { name: String::new(), object: self });
        one.into_iter().collect()
    }
}

/// The public SIP host.
impl Object for String {
    fn fields(&self) -> Fields {
        vec![("public_sip_host", Some(self.clone()))]
    }
}

/// The default caller ID.
impl Object for E164 {
    fn fields(&self) -> Fields {
        vec![("caller_id", Some(self.to_string()))]
    }
}

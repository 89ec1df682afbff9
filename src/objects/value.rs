//! Objects that are one value, of which there is one at most.

use serde::{Deserialize, Serialize};

use super::{
    ObjectKind,
    object::{Fields, Object, without_users},
};
use crate::model::E164;

/// The variable from which the default caller ID comes.
pub(crate) const CALLER_ID: &str = "TWILIO_PHONE_NUMBER";

impl ObjectKind {
    /// Returns the variable that declares the object of this kind. `None` if the file does.
    pub(crate) fn variable(self) -> Option<&'static str> {
        (self == Self::CallerId).then_some(CALLER_ID)
    }
}

/// The host at which users' phones are reached from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicSipHost(pub String);

impl Object for PublicSipHost {
    fn fields(&self) -> Fields {
        vec![("public_sip_host", Some(self.0.clone()))]
    }
}

/// The caller ID that dialers see by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DefaultCallerId(pub E164);

impl Object for DefaultCallerId {
    fn fields(&self) -> Fields {
        vec![("caller_id", Some(self.0.to_string()))]
    }
}

without_users!(PublicSipHost, DefaultCallerId);

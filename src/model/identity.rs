//! What identifies a user.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The identity of a user within a tenant: the e-mail address in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailKey(String);

impl EmailKey {
    /// Takes an address that is recorded, or stands in a file of ours, as it is compared.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.to_ascii_lowercase())
    }

    /// Returns the lower-case address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

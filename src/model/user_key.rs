//! What tells the users of a tenant apart.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The identity of a user within a tenant: the e-mail address or the id of the phone, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserKey(String);

impl UserKey {
    /// Takes an address or an id that is recorded, or stands in a file of ours, as it is compared.
    pub(crate) fn of(text: &str) -> Self {
        Self(text.to_ascii_lowercase())
    }

    /// Returns the text in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

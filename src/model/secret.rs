//! Secrets as a type: nothing prints them.

use std::fmt;

use serde::Serialize;
use zeroize::Zeroizing;

use super::{Code, Invalid};

/// Stands for a secret in all output.
pub(crate) const SENSITIVE: &str = "(sensitive)";

/// Words in Asterisk's configuration, in lower case, behind which a secret stands.
pub(crate) const TELLING: [&str; 5] = ["password", "secret", "md5_cred", "digest", "token"];

/// A SIP secret: `Debug`, `Display` and `Serialize` print `(sensitive)`; memory is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret as a phone would have to type it: 1 to 128 printable ASCII characters.
    ///
    /// # Errors
    /// When it is empty, too long or holds anything else; the value is never quoted.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let why = if text.is_empty() {
            "it is empty"
        } else if text.bytes().any(|b| b.is_ascii_whitespace()) {
            "it holds a space or a line break"
        } else if !text.bytes().all(|b| b.is_ascii_graphic()) {
            "it holds a character that is not printable ASCII"
        } else if text.len() > 128 {
            "it is longer than 128 characters"
        } else {
            return Ok(Self(Zeroizing::new(text.to_owned())));
        };
        Err(Invalid::new(
            Code::InvalidSecret,
            format!("the value is not usable as a SIP secret: {why}"),
            "a secret has 1 to 128 printable ASCII characters without spaces; use 20 random characters",
        ))
    }

    /// Returns the plain text, for the one place that seals, digests or hands it out.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SENSITIVE)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SENSITIVE)
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(SENSITIVE)
    }
}

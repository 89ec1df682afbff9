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
pub struct Secret {
    text: Zeroizing<String>,
    /// Whether the text is the digest of a secret that nobody knows any more.
    is_digest: bool,
}

/// Begins a digest where it is sealed. No secret begins with a space.
const DIGEST: char = ' ';

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
            return Ok(Self { text: Zeroizing::new(text.to_owned()), is_digest: false });
        };
        Err(Invalid::new(
            Code::InvalidSecret,
            format!("the value is not usable as a SIP secret: {why}"),
            "a secret has 1 to 128 printable ASCII characters without spaces; use 20 random characters",
        ))
    }

    /// Takes the digest of a secret that nobody knows any more: 32 hex digits in lower case. It holds as long as user
    /// name and realm stay.
    ///
    /// # Errors
    /// If it is anything else. The value is never quoted.
    pub fn of_digest(text: &str) -> Result<Self, Invalid> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 32 && text.bytes().all(is_hex) {
            return Ok(Self { text: Zeroizing::new(text.to_owned()), is_digest: true });
        }
        Err(Invalid::new(
            Code::InvalidSecret,
            "the value is not the digest of a SIP secret".to_owned(),
            "a digest has 32 hex digits in lower case",
        ))
    }

    /// Tells whether only the digest of the secret is known.
    pub fn is_digest(&self) -> bool {
        self.is_digest
    }

    /// Returns what is sealed.
    pub(crate) fn to_sealed(&self) -> Zeroizing<String> {
        if self.is_digest { Zeroizing::new(format!("{DIGEST}{}", self.text.as_str())) } else { self.text.clone() }
    }

    /// Takes what was sealed.
    pub(crate) fn of_sealed(text: &str) -> Result<Self, Invalid> {
        text.strip_prefix(DIGEST).map_or_else(|| Self::new(text), Self::of_digest)
    }

    /// Returns the plain text, for the one place that seals, digests or hands it out.
    pub fn reveal(&self) -> &str {
        &self.text
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

//! Digests and fingerprints of secrets.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{PhoneOverride, SENSITIVE, Secret, Settings};

/// A digest (HA1): what the phone proves to know. As good as the secret for its realm.
#[derive(Clone, PartialEq, Eq)]
pub struct Ha1(Zeroizing<String>);

impl Ha1 {
    /// Computes `MD5(username:realm:secret)` in lower-case hex (RFC 2617, 3.2.2.2).
    pub fn new(username: &str, realm: &str, secret: &Secret) -> Self {
        let mut md5 = Md5::new();
        for part in [username, ":", realm, ":", secret.reveal()] {
            md5.update(part.as_bytes());
        }
        Self(Zeroizing::new(hex(&md5.finalize())))
    }

    /// Computes what a phone's auth holds.
    pub(crate) fn of_phone(settings: &Settings, phone: &PhoneOverride, name: &str, secret: &Secret) -> Self {
        let realm = phone.realm.as_ref().unwrap_or(&settings.phones.realm);
        if secret.is_digest() {
            return Self(Zeroizing::new(secret.reveal().to_owned()));
        }
        Self::new(phone.login_of(name), realm.as_str(), secret)
    }

    /// Returns the 32 hex digits, for the one place that renders them.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SENSITIVE)
    }
}

/// A salted fingerprint of a secret and of its digest, kept beside the row: who reads the row can
/// tell that a secret changed, without a key and without learning it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prints {
    /// The salt of both.
    pub salt: Vec<u8>,
    /// Of the secret.
    pub secret: Vec<u8>,
    /// Of the digest, for the endpoint's name and realm of that time.
    pub digest: Vec<u8>,
}

impl Prints {
    /// Takes the fingerprints of a secret and its digest.
    pub fn new(salt: &[u8], secret: &Secret, digest: &Ha1) -> Self {
        Self {
            salt: salt.to_vec(),
            secret: print(salt, "secret", secret.reveal()),
            digest: print(salt, "digest", digest.reveal()),
        }
    }

    /// Tells whether a secret is the recorded one.
    pub(crate) fn is_secret(&self, secret: &Secret) -> bool {
        print(&self.salt, "secret", secret.reveal()) == self.secret
    }

    /// Tells whether a digest found in a file is the recorded one.
    pub(crate) fn is_digest(&self, hex: &str) -> bool {
        print(&self.salt, "digest", hex) == self.digest
    }
}

/// Takes a salted fingerprint of a value that serves a purpose.
pub(crate) fn print(salt: &[u8], purpose: &str, value: &str) -> Vec<u8> {
    // A key of any length is taken: longer ones are hashed first (RFC 2104).
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(salt) else { return Vec::new() };
    mac.update(purpose.as_bytes());
    mac.update(b":");
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Writes bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_of_rfc_2617() {
        let secret = Secret::new("CircleOfLife").unwrap();
        let ha1 = Ha1::new("Mufasa", "testrealm@host.com", &secret);
        assert_eq!(ha1.reveal(), "4945ecf42b1bb868634058a845bedde8");
    }

    #[test]
    fn secrets_are_never_printed() {
        let secret = Secret::new("canary-secret").unwrap();
        let ha1 = Ha1::new("1001", "asterisk", &secret);
        let shown = format!("{secret:?} {secret} {ha1:?} {}", serde_json::to_string(&secret).unwrap());
        assert_eq!(shown, r#"(sensitive) (sensitive) (sensitive) "(sensitive)""#);
    }
}

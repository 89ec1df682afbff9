//! Secrets at rest: keys, seals and the fingerprints of objects' secrets.
//!
//! Pure but for nothing: randomness and keys come in as arguments. Which secret belongs to whom,
//! and where the bytes are kept, is not decided here.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    model::{Hints, SENSITIVE, Secret, hex, print},
    objects::{Login, ObjectKind},
};

/// Random bytes for sealing one secret: its nonce.
pub type Nonce = [u8; 24];

/// Random bytes that make two equal secrets look different.
pub(crate) type Salt = [u8; 16];

/// The first byte of a sealed secret: this layout.
const LAYOUT: u8 = 1;

/// A key cannot be used, or a seal cannot be opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// The text is no key.
    #[error("the secret key is not 32 bytes in base64")]
    BadKey,
    /// No key at all.
    #[error("no secret key was given")]
    NoKey,
    /// The seal names a key that is not on the ring.
    #[error("a recorded secret was sealed with the key {0}, which is not among those given")]
    UnknownKey(String),
    /// No key on the ring sealed any of the directory's secrets.
    #[error("the database's secrets were sealed with the key {0}, which is not among those given")]
    OtherDirectory(String),
    /// The bytes were changed, or belong to another user.
    #[error("a recorded secret cannot be opened: another program changed the row")]
    Broken,
}

impl Hints for SealError {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::UnknownKey(_) => "add the former key to RECONCILE_SECRET_KEY, behind the current one and a comma",
            Self::OtherDirectory(_) => {
                "give the database's own key in RECONCILE_SECRET_KEY or RECONCILE_SECRET_KEY_FILE; a new one may stand \
                 before it, separated by a comma"
            }
            Self::BadKey | Self::NoKey | Self::Broken => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

/// The keys that open seals; the first one makes them.
pub struct Keyring(Vec<(KeyId, Zeroizing<[u8; 32]>)>);

type KeyId = [u8; 8];

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SENSITIVE)
    }
}

impl Keyring {
    /// Reads keys of 32 bytes in base64, separated by commas or blanks, the current one first.
    ///
    /// # Errors
    /// When there is none, or one is not a key.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let keys: Vec<_> = text
            .split([',', ' ', '\n', '\r', '\t'])
            .filter(|part| !part.is_empty())
            .map(|part| {
                let bytes = Zeroizing::new(BASE64_STANDARD.decode(part).map_err(|_| SealError::BadKey)?);
                let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| SealError::BadKey)?;
                let id: KeyId = Sha256::digest(key)[..8].try_into().map_err(|_| SealError::BadKey)?;
                Ok((id, Zeroizing::new(key)))
            })
            .collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(SealError::NoKey) } else { Ok(Self(keys)) }
    }

    /// Tells whether the key with an id is on the ring.
    pub(crate) fn knows(&self, id: &[u8]) -> bool {
        self.0.iter().any(|(known, _)| known == id)
    }

    /// Lists the ids of the keys on the ring.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|(id, _)| id.as_slice())
    }

    /// Makes sure that one of the keys is among those that sealed a directory's secrets, if it has any.
    ///
    /// # Errors
    /// When none is.
    pub(crate) fn open_some(&self, sealed_with: &[Vec<u8>]) -> Result<(), SealError> {
        if sealed_with.is_empty() || sealed_with.iter().any(|id| self.knows(id)) {
            return Ok(());
        }
        let ids: Vec<String> = sealed_with.iter().map(|id| hex(id)).collect();
        Err(SealError::OtherDirectory(ids.join(", ")))
    }

    /// Returns the id of the key that seals: the first one.
    ///
    /// # Errors
    /// When there is no key.
    pub fn current(&self) -> Result<[u8; 8], SealError> {
        self.0.first().map(|(id, _)| *id).ok_or(SealError::NoKey)
    }

    /// Seals a secret for one user or object of one tenant.
    ///
    /// # Errors
    /// Never in practice: the cipher refuses only messages of many gigabytes.
    pub fn seal(&self, secret: &Secret, owner: Owner, nonce: &Nonce) -> Result<Vec<u8>, SealError> {
        self.seal_bytes(secret.to_sealed().as_bytes(), &owner.bytes(), nonce)
    }

    /// Seals bytes for one place: they open only where the same is said about it.
    ///
    /// # Errors
    /// Never in practice: the cipher refuses only messages of many gigabytes.
    pub(crate) fn seal_bytes(&self, bytes: &[u8], place: &[u8], nonce: &Nonce) -> Result<Vec<u8>, SealError> {
        let (id, key) = self.0.first().ok_or(SealError::NoKey)?;
        let message = Payload { msg: bytes, aad: place };
        let sealed = cipher(key).encrypt(&XNonce::from(*nonce), message).map_err(|_| SealError::Broken)?;
        Ok([&[LAYOUT], id.as_slice(), nonce.as_slice(), &sealed].concat())
    }

    /// Opens a seal.
    ///
    /// # Errors
    /// When the key is missing, or the bytes are not what was sealed for this owner.
    pub fn open(&self, sealed: &[u8], owner: Owner) -> Result<Secret, SealError> {
        let opened = self.open_bytes(sealed, &owner.bytes())?;
        std::str::from_utf8(&opened).ok().and_then(|text| Secret::of_sealed(text).ok()).ok_or(SealError::Broken)
    }

    /// Opens sealed bytes.
    ///
    /// # Errors
    /// When the key is missing, or the bytes are not what was sealed for this place.
    pub(crate) fn open_bytes(&self, sealed: &[u8], place: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (head, message) = sealed.split_at_checked(33).ok_or(SealError::Broken)?;
        let (layout, id, nonce) = (head[0], &head[1..9], &head[9..33]);
        if layout != LAYOUT {
            return Err(SealError::Broken);
        }
        let (_, key) = self.0.iter().find(|(known, _)| known == id).ok_or_else(|| SealError::UnknownKey(hex(id)))?;
        let nonce: Nonce = nonce.try_into().map_err(|_| SealError::Broken)?;
        let message = Payload { msg: message, aad: place };
        cipher(key).decrypt(&XNonce::from(nonce), message).map(Zeroizing::new).map_err(|_| SealError::Broken)
    }
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

/// Whose secret it is: a seal moved to another row does not open.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    /// The tenant's row.
    pub tenant: Uuid,
    /// The row of the user, or of the object.
    pub user: Uuid,
}

impl Owner {
    /// Returns what a secret's seal is bound to.
    pub(crate) fn bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(self.tenant.as_bytes());
        bytes[16..].copy_from_slice(self.user.as_bytes());
        bytes
    }
}

/// A salted fingerprint of an object's secret as the endpoint file shows it, kept beside the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPrint {
    /// The kind of the object, part of the fingerprint.
    pub kind: ObjectKind,
    /// The salt.
    pub salt: Vec<u8>,
    /// Of what the file shows.
    pub shown: Vec<u8>,
}

impl ObjectPrint {
    /// Takes the fingerprint of the secret of an object.
    pub fn new(kind: ObjectKind, salt: &[u8], login: &Login<'_>, secret: &Secret) -> Self {
        Self { kind, salt: salt.to_vec(), shown: print(salt, kind.word(), &login.shown(secret)) }
    }

    /// Tells whether a secret is the recorded one of an object with this login.
    pub(crate) fn is_secret(&self, login: &Login<'_>, secret: &Secret) -> bool {
        self.is_shown(&login.shown(secret))
    }

    /// Tells whether a digest or secret found in a file is the recorded one.
    pub(crate) fn is_shown(&self, text: &str) -> bool {
        print(&self.salt, self.kind.word(), text) == self.shown
    }
}

/// Letters and digits that are not mistaken for one another on a phone's keypad.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Makes a secret of 24 characters (120 bits) out of random bytes.
pub(crate) fn generate(random: &[u8; 24]) -> Secret {
    let text: Zeroizing<String> =
        Zeroizing::new(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect());
    match Secret::new(&text) {
        Ok(secret) => secret,
        Err(_) => unreachable!("the alphabet is printable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "//////////////////////////////////////////8=";

    fn owner(user: u128) -> Owner {
        Owner { tenant: Uuid::from_u128(1), user: Uuid::from_u128(user) }
    }

    #[test]
    fn a_seal_opens_only_for_its_owner_and_with_its_key() {
        let secret = Secret::new("canary-secret").unwrap();
        let ring = Keyring::parse(KEY).unwrap();
        let sealed = ring.seal(&secret, owner(7), &[9; 24]).unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"canary"));
        assert_eq!(ring.open(&sealed, owner(7)).unwrap().reveal(), "canary-secret");
        assert_eq!(ring.open(&sealed, owner(8)), Err(SealError::Broken));
        let rotated = Keyring::parse(&format!("{OTHER},{KEY}")).unwrap();
        assert_eq!(rotated.open(&sealed, owner(7)).unwrap().reveal(), "canary-secret");
        let wrong = Keyring::parse(OTHER).unwrap();
        assert!(matches!(wrong.open(&sealed, owner(7)), Err(SealError::UnknownKey(_))));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(ring.open(&changed, owner(7)).is_err(), "byte {at}");
            assert!(ring.open(&sealed[..at], owner(7)).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn keys_must_be_keys() {
        assert_eq!(Keyring::parse(" ").err(), Some(SealError::NoKey));
        assert_eq!(Keyring::parse("c2hvcnQ=").err(), Some(SealError::BadKey));
        assert_eq!(Keyring::parse("not base64!").err(), Some(SealError::BadKey));
    }
}

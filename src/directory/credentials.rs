//! New secrets on their way into rows.

use uuid::Uuid;

use super::{
    NewSecret,
    seal::{Keyring, Owner, Salt, SealError},
};
use crate::model::{Ha1, Prints, Secret};

/// A row with a secret cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A seal cannot be made or opened.
    #[error("the secret of `{whose}`: {source}")]
    Seal {
        /// A user's or a trunk's.
        whose: String,
        /// Why.
        source: SealError,
    },
    /// The machine has no randomness.
    #[error("the operating system returned no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// An answer that is kept for a client which asks again cannot be written as JSON.
    #[error("the answer cannot be kept: {0}")]
    Answer(#[from] serde_json::Error),
    /// An object cannot be written as a document.
    #[error("the objects cannot be recorded: {0}")]
    Object(serde_json::Error),
    /// A secret that the plan takes or keeps is not there.
    #[error("the secret of `{0}` is missing")]
    NoSecret(String),
}

/// Takes random bytes from the machine.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], PrepareError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn new_id() -> Result<Uuid, PrepareError> {
    Ok(uuid::Builder::from_random_bytes(random()?).into_uuid())
}

/// Seals a secret for the row that it belongs to. `whose` names the user or the trunk in the error.
pub(crate) fn seal_secret(
    keys: &Keyring,
    secret: &Secret,
    owner: Owner,
    whose: &impl ToString,
) -> Result<NewSecret, PrepareError> {
    let sealed = keys.seal(secret, owner, &random()?);
    sealed.map_err(|source| PrepareError::Seal { whose: whose.to_string(), source })
}

/// Takes the fingerprints that a row keeps beside its sealed secret, with a salt of their own.
pub(crate) fn prints(secret: &Secret, digest: &Ha1) -> Result<Prints, PrepareError> {
    Ok(Prints::new(&random::<{ size_of::<Salt>() }>()?, secret, digest))
}

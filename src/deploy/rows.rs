//! From a plan to rows and digests: secrets are taken, made, sealed and digested here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    directory::{
        Recorded, Row, RowChanges,
        seal::{Ha1, Keyring, Nonce, Owner, Prints, Salt, SealError, generate},
    },
    model::{EmailKey, Extension, PhoneOverride, Secret, Settings},
    plan::{Plan, SecretPlan},
    render::endpoint_name,
};

/// A plan's rows cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A seal cannot be made or opened.
    #[error("the secret of `{email}`: {source}")]
    Seal {
        /// Whose.
        email: String,
        /// Why.
        source: SealError,
    },
    /// The machine has no randomness.
    #[error("the machine gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// A secret that the plan takes or keeps is not there.
    #[error("the secret of `{0}` is not there")]
    NoSecret(String),
}

/// What an apply writes.
#[derive(Debug)]
pub struct Prepared {
    /// The rows.
    pub rows: RowChanges,
    /// The digest of every phone, by number.
    pub digests: BTreeMap<Extension, Ha1>,
}

/// Prepares the rows of a plan and the digests of all its phones.
///
/// # Errors
/// When a recorded secret does not open, or randomness is missing.
pub fn prepare(
    plan: &Plan,
    recorded: &Recorded,
    secrets: &BTreeMap<EmailKey, Result<Secret, String>>,
    sealed: &BTreeMap<Uuid, Vec<u8>>,
    keys: &Keyring,
    now: Timestamp,
) -> Result<Prepared, PrepareError> {
    let tenant = match &recorded.tenant {
        Some(tenant) => tenant.id,
        None => new_id()?,
    };
    let mut rows = Vec::new();
    let mut digests = BTreeMap::new();
    for user in plan.users.values() {
        let failed = |source| PrepareError::Seal { email: user.email.to_string(), source };
        let id = match user.id {
            Some(id) => id,
            None => new_id()?,
        };
        let owner = Owner { tenant, user: id };
        let secret = match user.secret {
            SecretPlan::Keep => {
                let bytes = sealed.get(&id).ok_or_else(|| PrepareError::NoSecret(user.email.to_string()))?;
                keys.open(bytes, owner).map_err(failed)?
            }
            SecretPlan::Generate => generate(&random()?),
            SecretPlan::Take => match secrets.get(&user.email.key()) {
                Some(Ok(secret)) => secret.clone(),
                _ => return Err(PrepareError::NoSecret(user.email.to_string())),
            },
        };
        let name = endpoint_name(&plan.tenant, plan.settings.endpoint_names, user.extension);
        let digest = digest(&plan.settings, &user.phone, &name, &secret);
        if user.write {
            let nonce: Nonce = random()?;
            let sealed = match user.secret {
                SecretPlan::Keep => None,
                _ => Some(keys.seal(&secret, owner, &nonce).map_err(failed)?),
            };
            let prints = match &user.digest {
                Some(prints) => prints.clone(),
                None => Prints::new(&random::<{ size_of::<Salt>() }>()?, &secret, &digest),
            };
            rows.push(Row {
                id,
                email: user.email.clone(),
                name: user.name.clone(),
                managed_by: user.managed_by,
                protected: user.protected,
                phone: user.phone.clone(),
                extension: user.extension,
                secret_declared: user.secret_declared,
                sealed,
                prints,
            });
        }
        digests.insert(user.extension, digest);
    }
    let settings = (recorded.tenant.is_none() || !plan.settings_changes.is_empty()).then(|| plan.settings.clone());
    let rows = RowChanges {
        tenant,
        slug: plan.tenant.clone(),
        settings,
        deletes: plan.deletes.clone(),
        holds: plan.holds.clone(),
        rows,
        now,
    };
    Ok(Prepared { rows, digests })
}

/// Computes what a phone's auth holds.
pub(super) fn digest(settings: &Settings, phone: &PhoneOverride, name: &str, secret: &Secret) -> Ha1 {
    let realm = phone.realm.as_ref().unwrap_or(&settings.phones.realm);
    Ha1::new(name, realm.as_str(), secret)
}

/// Takes random bytes from the machine.
pub(super) fn random<const N: usize>() -> Result<[u8; N], PrepareError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn new_id() -> Result<Uuid, PrepareError> {
    Ok(uuid::Builder::from_random_bytes(random()?).into_uuid())
}

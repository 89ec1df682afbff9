//! From a plan to rows and digests: secrets are taken, made, sealed and digested here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    directory::{
        InboundRows, Recorded, Row, RowChanges, TrunkRow,
        seal::{Keyring, Nonce, Owner, Salt, SealError, TrunkPrint, generate},
    },
    model::{EmailKey, Extension, Ha1, ObjectName, PhoneOverride, Prints, Secret, Settings},
    plan::{Plan, SecretPlan},
    render::endpoint_name,
};

/// A plan's rows cannot be prepared.
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
    #[error("the machine gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// An answer that is kept for a client which asks again cannot be written as JSON.
    #[error("the answer cannot be kept: {0}")]
    Answer(#[from] serde_json::Error),
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
    /// The secrets of the trunks that have one.
    pub trunk_secrets: BTreeMap<ObjectName, Secret>,
}

/// Prepares the rows of a plan, the digests of all its phones and the secrets of its trunks.
///
/// # Errors
/// When a recorded secret does not open, or randomness is missing.
pub fn prepare(
    plan: &Plan,
    recorded: &Recorded,
    secrets: &BTreeMap<EmailKey, Result<Secret, String>>,
    trunk_secrets: &BTreeMap<ObjectName, Result<Secret, String>>,
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
        let failed = |source| PrepareError::Seal { whose: user.email.to_string(), source };
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
                previous: user.previous.clone(),
            });
        }
        digests.insert(user.extension, digest);
    }
    let trunks = Trunks { plan, recorded, declared: trunk_secrets, sealed, keys };
    let (inbound, trunk_secrets) = trunks.rows(tenant)?;
    let settings = (recorded.tenant.is_none() || !plan.settings_changes.is_empty()).then(|| plan.settings.clone());
    let rows = RowChanges {
        tenant,
        slug: plan.tenant.clone(),
        settings,
        deletes: plan.deletes.clone(),
        holds: plan.holds.clone(),
        rows,
        inbound,
        now,
    };
    Ok(Prepared { rows, digests, trunk_secrets })
}

/// What the rows about inbound calls are made from.
struct Trunks<'a> {
    plan: &'a Plan,
    recorded: &'a Recorded,
    declared: &'a BTreeMap<ObjectName, Result<Secret, String>>,
    sealed: &'a BTreeMap<Uuid, Vec<u8>>,
    keys: &'a Keyring,
}

impl Trunks<'_> {
    /// Prepares the rows about inbound calls; opens or takes the secrets of all trunks.
    fn rows(&self, tenant: Uuid) -> Result<(InboundRows, BTreeMap<ObjectName, Secret>), PrepareError> {
        let Self { plan, recorded, declared, sealed, keys } = self;
        let mut rows = InboundRows {
            routes: (plan.routes != recorded.routes).then(|| plan.routes.clone()),
            forgotten: recorded
                .trunk_secrets
                .keys()
                .filter(|name| !plan.trunk_secrets.contains_key(name))
                .cloned()
                .collect(),
            secrets: Vec::new(),
        };
        let mut secrets = BTreeMap::new();
        for (name, planned) in &plan.trunk_secrets {
            let failed = |source| PrepareError::Seal { whose: name.to_string(), source };
            let missing = || PrepareError::NoSecret(name.to_string());
            let row = recorded.trunk_secrets.get(name);
            let secret = if planned.secret == SecretPlan::Keep {
                let row = row.ok_or_else(missing)?;
                let bytes = sealed.get(&row.id).ok_or_else(missing)?;
                keys.open(bytes, Owner { tenant, user: row.id }).map_err(failed)?
            } else {
                let Some(Ok(secret)) = declared.get(name) else { return Err(missing()) };
                secret.clone()
            };
            if planned.print.is_none() {
                let trunk = plan.routes.trunks.get(name).ok_or_else(missing)?;
                let id = row.map_or_else(new_id, |row| Ok(row.id))?;
                rows.secrets.push(TrunkRow {
                    trunk: name.clone(),
                    id,
                    sealed: keys.seal(&secret, Owner { tenant, user: id }, &random()?).map_err(failed)?,
                    print: TrunkPrint::new(&random::<{ size_of::<Salt>() }>()?, trunk, &secret),
                });
            }
            secrets.insert(name.clone(), secret);
        }
        Ok((rows, secrets))
    }
}

/// Computes what a phone's auth holds.
pub(crate) fn digest(settings: &Settings, phone: &PhoneOverride, name: &str, secret: &Secret) -> Ha1 {
    let realm = phone.realm.as_ref().unwrap_or(&settings.phones.realm);
    Ha1::new(name, realm.as_str(), secret)
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

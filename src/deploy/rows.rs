//! From a plan to rows and digests: secrets are taken, made, sealed and digested here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    directory::{
        InboundRows, PrepareError, Recorded, Row, RowChanges, TrunkRow, new_id, prints, random,
        seal::{Keyring, Owner, Salt, TrunkPrint, generate},
        seal_secret,
    },
    model::{EmailKey, Extension, Ha1, ObjectName, Secret},
    plan::{Plan, SecretPlan},
    render::endpoint_name,
};

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
        let digest = Ha1::of_phone(&plan.settings, &user.phone, &name, &secret);
        if user.write {
            let sealed = match user.secret {
                SecretPlan::Keep => None,
                _ => Some(seal_secret(keys, &secret, owner, &user.email)?),
            };
            let prints = match &user.digest {
                Some(known) => known.clone(),
                None => prints(&secret, &digest)?,
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
                    sealed: seal_secret(keys, &secret, Owner { tenant, user: id }, name)?,
                    print: TrunkPrint::new(&random::<{ size_of::<Salt>() }>()?, trunk, &secret),
                });
            }
            secrets.insert(name.clone(), secret);
        }
        Ok((rows, secrets))
    }
}

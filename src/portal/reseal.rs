//! Every stored secret sealed anew with the current key, so that a former one can be retired.

use std::collections::BTreeMap;

use super::users;
use crate::{
    directory::{
        Directory, DirectoryError, PrepareError, Sealed, SealedPlace,
        audit::AuditEntry,
        random,
        seal::{Keyring, Owner},
    },
    model::{Hints, Tenant, hex},
};

/// Secrets were not sealed anew; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// The directory failed, or a former key is not given.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A secret could not be sealed.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
}

impl Hints for ResealError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Directory(error) => error.hints(),
            Self::Prepare(_) => Vec::new(),
        }
    }
}

/// Seals all that was sealed with another key with the first one, of all tenants, in one transaction. Returns how many
/// secrets that were, by tenant. What they are stays the same: no phone must log in again.
///
/// # Errors
/// When a key is missing that sealed one of them, or the directory fails. Nothing was changed then.
pub(crate) fn reseal(
    keys: &Keyring,
    host: &str,
    actor: &str,
    directory: &mut Directory,
) -> Result<BTreeMap<Tenant, usize>, ResealError> {
    let mut writer = directory.write_all()?;
    writer.require_keys(keys)?;
    let current = keys.current().map_err(DirectoryError::from)?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut resealed = Vec::new();
    for Sealed { tenant, tenant_id, place, bytes } in writer.sealed_otherwise(&current)? {
        let bound_to = match &place {
            SealedPlace::User(id) | SealedPlace::Object(id) | SealedPlace::Former(id) => {
                Owner { tenant: tenant_id, user: *id }.bytes().to_vec()
            }
            SealedPlace::Answer(token, key) => users::place(*token, key),
        };
        let opened = keys.open_bytes(&bytes, &bound_to).map_err(DirectoryError::from)?;
        let sealed = keys.seal_bytes(&opened, &bound_to, &random()?).map_err(DirectoryError::from)?;
        resealed.push((place, tenant_id, sealed));
        *counts.entry(tenant).or_default() += 1;
    }
    writer.write_sealed(&resealed)?;
    let mut by_tenant = BTreeMap::new();
    for (slug, count) in counts {
        let bad = |error: crate::model::Invalid| DirectoryError::BadRow { what: "tenant", reason: error.message };
        let tenant: Tenant = slug.parse().map_err(bad)?;
        let change = format!("{count} secrets were sealed anew, with the key {}\n", hex(&current));
        writer.add_audit_entries(&tenant, host, ("secret reseal", "reseal"), &[AuditEntry { actor, change }])?;
        by_tenant.insert(tenant, count);
    }
    writer.commit()?;
    Ok(by_tenant)
}

//! Weak secrets: whose they are, and new ones for all of them at once.

use std::collections::BTreeMap;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::rotate::{RotateError, Rotation, record, renewed};
use crate::{
    directory::{
        Directory, Recorded, RecordedUser, RowChanges,
        seal::{Keyring, Owner, SealError},
    },
    model::{Extension, Guessable, Identity, Tenant, weaknesses},
    plan::{Allowance, rotation_stop},
    render::endpoint_name,
};

/// A user whose secret is weak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weak {
    /// The user.
    pub(crate) email: Identity,
    /// The number.
    pub(crate) extension: Extension,
    /// Whether the file says where the secret comes from.
    pub(crate) declared: bool,
    /// Why it is weak; never the secret.
    pub(crate) why: String,
}

/// Lists the users of a tenant whose secrets are weak, in the order of their numbers.
///
/// # Errors
/// If a secret cannot be opened.
pub(crate) fn weak(
    tenant: &Tenant,
    recorded: &Recorded,
    sealed: &BTreeMap<Uuid, Vec<u8>>,
    keys: &Keyring,
) -> Result<Vec<Weak>, SealError> {
    let Some(row) = &recorded.tenant else { return Ok(Vec::new()) };
    let mut users: Vec<&RecordedUser> = recorded.users.values().collect();
    users.sort_by_key(|user| user.extension);
    let mut opened = Vec::with_capacity(users.len());
    for user in users {
        let Some(bytes) = sealed.get(&user.id) else { continue };
        let secret = keys.open(bytes, Owner { tenant: row.id, user: user.id })?;
        if secret.is_digest() {
            continue;
        }
        let name = endpoint_name(tenant, row.settings.endpoint_names, user.extension);
        let login = user.phone.login_of(&name).to_owned();
        opened.push((user, Zeroizing::new(secret.reveal().to_owned()), [user.extension.to_string(), name, login]));
    }
    let guessable: Vec<Guessable<'_>> = opened
        .iter()
        .map(|(_, secret, names)| Guessable { secret, names: names.iter().map(String::as_str).collect() })
        .collect();
    let found = weaknesses(&guessable);
    let weak = opened.iter().zip(found).filter_map(|((user, ..), why)| {
        let (email, extension, declared) = (user.email.clone(), user.extension, user.secret_declared);
        Some(Weak { email, extension, declared, why: why? })
    });
    Ok(weak.collect())
}

/// Records a new secret for each user whose secret is weak and generated or imported. Returns those users and the audit
/// row; none if nobody has a weak one.
///
/// # Errors
/// If more phones would have to log in again than the rail allows, or the directory fails. Nothing was changed then.
pub(crate) fn rotate_weak(
    request: &Rotation<'_>,
    allowance: &Allowance,
    directory: &mut Directory,
) -> Result<(Vec<Weak>, Option<i64>), RotateError> {
    let Rotation { tenant, keys, .. } = *request;
    let mut writer = directory.write(tenant)?;
    let recorded = writer.read(tenant)?;
    let Some(row) = recorded.tenant.as_ref() else { return Ok((Vec::new(), None)) };
    writer.require_keys(keys)?;
    let sealed = writer.sealed(row.id)?;
    let mut found = weak(tenant, &recorded, &sealed, keys).map_err(crate::directory::DirectoryError::from)?;
    found.retain(|weak| !weak.declared);
    if found.is_empty() {
        return Ok((found, None));
    }
    if let Some(stop) = rotation_stop(&recorded, found.len(), allowance) {
        return Err(RotateError::Rail(stop));
    }
    let users = found.iter().filter_map(|weak| recorded.users.get(&weak.email.key()));
    let changed = users.map(|user| renewed(request, &recorded, user)).collect::<Result<Vec<_>, _>>()?;
    writer.change(&RowChanges { changed, ..RowChanges::by_portal(row.id, tenant, request.now) })?;
    let line = |weak: &Weak| format!("~ {}  extension {}; another secret\n", weak.email, weak.extension);
    let change: String = found.iter().map(line).collect();
    let run = record(writer, request, BTreeMap::from([("update", found.len())]), change)?;
    Ok((found, Some(run)))
}

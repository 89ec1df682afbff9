//! From a plan to rows and digests: secrets are taken, made, sealed and digested here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::ser::Error;
use uuid::Uuid;

use crate::{
    directory::{
        ManagedBy, NumberChanges, ObjectChanges, PrepareError, Recorded, Row, RowChanges, SecretRow, new_id, prints,
        random,
        seal::{Keyring, ObjectPrint, Owner, Salt, generate},
        seal_secret,
    },
    model::{E164, Extension, Ha1, Prints, Secret, UserKey, tagged},
    objects::{ObjectId, ObjectRow, RowsOfUsers, UserOfRow, with_users},
    plan::{Plan, SecretPlan},
    render::endpoint_name,
};

/// What an apply writes.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) rows: RowChanges,
    /// The digest of every phone, by number.
    pub(crate) digests: BTreeMap<Extension, Ha1>,
    /// The secrets of the objects that have one.
    pub(crate) object_secrets: BTreeMap<ObjectId, Secret>,
}

/// Prepares the rows of a plan, the digests of all its phones and the secrets of its objects.
///
/// # Errors
/// When a recorded secret does not open, or randomness is missing.
pub(crate) fn prepare(
    plan: &Plan,
    recorded: &Recorded,
    secrets: &BTreeMap<UserKey, Result<Secret, String>>,
    object_secrets: &BTreeMap<ObjectId, Result<Secret, String>>,
    sealed: &BTreeMap<Uuid, Vec<u8>>,
    keys: &Keyring,
    now: Timestamp,
) -> Result<Prepared, PrepareError> {
    let tenant = match &recorded.tenant {
        Some(tenant) => tenant.id,
        None => new_id()?,
    };
    let (mut created, mut changed) = (Vec::new(), Vec::new());
    let (mut digests, mut ids) = (BTreeMap::new(), BTreeMap::new());
    for user in plan.users.values() {
        let former = if let SecretPlan::Return(row) = user.secret { Some(row) } else { None };
        ids.insert(user.email.key(), user.id.or(former).map_or_else(new_id, Ok)?);
    }
    let of_user = |user: &UserKey| {
        let row = ids.get(user).map(|id| UserOfRow::Row(*id));
        row.ok_or_else(|| serde_json::Error::custom(format!("`{user}` has no row")))
    };
    for user in plan.users.values() {
        let failed = |source| PrepareError::Seal { whose: user.email.to_string(), source };
        let id = ids[&user.email.key()];
        let owner = Owner { tenant, user: id };
        let (secret, is_new) = match user.secret {
            SecretPlan::Keep | SecretPlan::Return(_) => {
                let bytes = sealed.get(&id).ok_or_else(|| PrepareError::NoSecret(user.email.to_string()))?;
                let secret = keys.open(bytes, owner).map_err(failed)?;
                // A digest holds for one user name and realm, and the phone must log in again in any case.
                let is_useless = secret.is_digest() && user.digest.is_none();
                // A secret that returns is sealed for the row that is made anew.
                let returns = user.secret != SecretPlan::Keep;
                if is_useless { (generate(&random()?), true) } else { (secret, returns) }
            }
            SecretPlan::Generate => (generate(&random()?), true),
            SecretPlan::Take => match secrets.get(&user.email.key()) {
                Some(Ok(secret)) => (secret.clone(), true),
                _ => return Err(PrepareError::NoSecret(user.email.to_string())),
            },
        };
        let name = endpoint_name(&plan.tenant, plan.settings.endpoint_names, user.extension);
        let digest = Ha1::of_phone(&plan.settings, &user.phone, &name, &secret);
        if user.write {
            let sealed = if is_new { Some(seal_secret(keys, &secret, owner, &user.email)?) } else { None };
            let prints = match &user.digest {
                Some(known) => Prints::clone(known),
                None => prints(&secret, &digest)?,
            };
            let no_answer = user.no_answer.as_ref().map(|list| with_users(list.to_vec(), &|named| of_user(&named)));
            let rows = if user.id.is_some() { &mut changed } else { &mut created };
            rows.push(Row {
                id,
                email: user.email.clone(),
                name: user.name.clone(),
                managed_by: user.managed_by,
                protected: user.protected,
                phone: user.phone.clone(),
                pinned: user.pinned,
                no_answer: no_answer.transpose().map_err(PrepareError::Object)?,
                extension: user.extension,
                secret_declared: user.secret_declared,
                sealed,
                prints,
                previous: user.previous.clone(),
            });
        }
        digests.insert(user.extension, digest);
    }
    let mut objects = object_changes(plan, recorded, &of_user)?;
    let object_secrets =
        Secrets { plan, recorded, declared: object_secrets, sealed, keys }.prepare(tenant, &mut objects)?;
    let settings =
        (recorded.tenant.is_none() || plan.changes.of_settings().next().is_some()).then(|| plan.settings.clone());
    let rows = RowChanges {
        tenant,
        slug: plan.tenant.clone(),
        settings,
        by: ManagedBy::File,
        deletes: plan.deletes.clone(),
        freed: plan.freed.clone(),
        hold: plan.settings.hold_days > 0,
        created,
        changed,
        objects: objects.changes,
        now,
    };
    Ok(Prepared { rows, digests, object_secrets })
}

/// The rows of objects that change, and which row each object has.
struct Objects {
    changes: ObjectChanges,
    rows: BTreeMap<ObjectId, Uuid>,
}

/// Compares the rows of objects as they are and as they shall be.
fn object_changes(plan: &Plan, recorded: &Recorded, of_user: &RowsOfUsers<'_>) -> Result<Objects, PrepareError> {
    let was_of_user = |email: &UserKey| {
        let row = recorded.users.get(email).map(|user| UserOfRow::Row(user.id));
        Ok(row.unwrap_or_else(|| UserOfRow::Former { former: email.clone() }))
    };
    let by_id = |rows: Vec<ObjectRow>| rows.into_iter().map(|row| ((row.kind, row.name.clone()), row));
    let before: BTreeMap<ObjectId, ObjectRow> =
        by_id(recorded.routes.rows(&was_of_user).map_err(PrepareError::Object)?).collect();
    let mut changes = ObjectChanges::default();
    let mut rows = BTreeMap::new();
    for (object, row) in by_id(plan.routes.rows(of_user).map_err(PrepareError::Object)?) {
        let known = recorded.object_rows.get(&object).copied();
        let id = known.map_or_else(new_id, Ok)?;
        if known.is_none() || before.get(&object) != Some(&row) {
            changes.rows.push((id, row));
        }
        rows.insert(object, id);
    }
    let gone = recorded.object_rows.iter().filter(|(object, _)| !rows.contains_key(*object));
    changes.gone = gone.map(|(_, id)| *id).collect();
    changes.extensions = extensions(plan, recorded, &rows);
    let all: BTreeSet<E164> = plan.routes.numbers().into_iter().cloned().collect();
    let ours = recorded.numbers();
    let new: BTreeSet<E164> = all.iter().filter(|number| !ours.contains(*number)).cloned().collect();
    changes.numbers = (all != recorded.own_numbers).then_some(NumberChanges { all, new });
    Ok(Objects { changes, rows })
}

/// Lists the internal numbers that change, by the rows of their objects.
fn extensions(plan: &Plan, recorded: &Recorded, rows: &BTreeMap<ObjectId, Uuid>) -> Vec<(Uuid, Option<Extension>)> {
    let (before, after) = (recorded.routes.extensions(), plan.routes.extensions());
    let left = before.keys().filter(|id| !after.contains_key(*id));
    let left = left.filter_map(|id| Some((*recorded.object_rows.get(id)?, None)));
    let given = after.iter().filter(|(id, number)| before.get(*id) != Some(*number));
    let given = given.filter_map(|(id, number)| Some((*rows.get(id)?, Some(*number))));
    left.chain(given).collect()
}

/// What the rows of objects' secrets are made from.
struct Secrets<'a> {
    plan: &'a Plan,
    recorded: &'a Recorded,
    declared: &'a BTreeMap<ObjectId, Result<Secret, String>>,
    sealed: &'a BTreeMap<Uuid, Vec<u8>>,
    keys: &'a Keyring,
}

impl Secrets<'_> {
    /// Opens or takes the secrets of all objects, and adds the rows that change.
    fn prepare(&self, tenant: Uuid, objects: &mut Objects) -> Result<BTreeMap<ObjectId, Secret>, PrepareError> {
        let Self { plan, recorded, declared, sealed, keys } = self;
        let without = recorded.secrets.iter().filter(|(id, _)| !plan.secrets.contains_key(*id));
        objects.changes.forgotten =
            without.filter(|(id, _)| objects.rows.contains_key(*id)).map(|(_, row)| row.id).collect();
        let mut secrets = BTreeMap::new();
        if plan.secrets.is_empty() {
            return Ok(secrets);
        }
        let (logins, of_routes) = (plan.routes.logins(), plan.routes.objects());
        for (id, planned) in &plan.secrets {
            let failed = |source| PrepareError::Seal { whose: id.1.clone(), source };
            let missing = || PrepareError::NoSecret(id.1.clone());
            let secret = match planned.secret {
                SecretPlan::Keep | SecretPlan::Return(_) => {
                    let row = recorded.secrets.get(id).ok_or_else(missing)?;
                    let bytes = sealed.get(&row.id).ok_or_else(missing)?;
                    keys.open(bytes, Owner { tenant, user: row.id }).map_err(failed)?
                }
                SecretPlan::Take => match declared.get(id) {
                    Some(Ok(secret)) => secret.clone(),
                    _ => return Err(missing()),
                },
                SecretPlan::Generate => {
                    let make = of_routes.get(id).and_then(|object| object.generates()).ok_or_else(missing)?;
                    make(&random()?)
                }
            };
            let is_pin = of_routes.get(id).is_some_and(|object| object.generates().is_some());
            let secret = if is_pin { tagged(&secret, &random()?) } else { secret };
            if planned.print.is_none() {
                let login = logins.get(id).ok_or_else(missing)?;
                let row = objects.rows.get(id).copied().ok_or_else(missing)?;
                objects.changes.secrets.push(SecretRow {
                    object: id.clone(),
                    row,
                    sealed: seal_secret(keys, &secret, Owner { tenant, user: row }, &id.1)?,
                    print: ObjectPrint::new(id.0, &random::<{ size_of::<Salt>() }>()?, login, &secret),
                });
            }
            secrets.insert(id.clone(), secret);
        }
        Ok(secrets)
    }
}

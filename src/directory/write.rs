//! The statements that change a tenant: set-based, a handful whatever the number of users.

use jiff::Timestamp;
use postgres::{
    GenericClient,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{DirectoryError, failed, seal::Prints, types::ManagedBy};
use crate::model::{DisplayName, Email, EmailKey, Extension, PhoneOverride, Settings, Tenant};

/// All that a sync or apply writes about one tenant.
#[derive(Debug)]
pub struct RowChanges {
    /// The tenant's row; made where it is missing.
    pub tenant: Uuid,
    /// The tenant's slug.
    pub slug: Tenant,
    /// The settings to record, where they changed.
    pub settings: Option<Settings>,
    /// Users to delete.
    pub deletes: Vec<Uuid>,
    /// Numbers to keep for their former users.
    pub holds: Vec<(Extension, EmailKey)>,
    /// Users to create or change: whole rows.
    pub rows: Vec<Row>,
    /// The time of the run: freed numbers are held from then on.
    pub now: Timestamp,
}

/// A user's row as it shall be.
#[derive(Debug)]
pub struct Row {
    /// The row's identity.
    pub id: Uuid,
    /// The address.
    pub email: Email,
    /// The display name.
    pub name: DisplayName,
    /// Who changes the row.
    pub managed_by: ManagedBy,
    /// Whether deletion and renumbering are refused.
    pub protected: bool,
    /// What this user's phone has differently.
    pub phone: PhoneOverride,
    /// The number.
    pub extension: Extension,
    /// Whether the secret is a declared one.
    pub secret_declared: bool,
    /// A new secret; none keeps the recorded one.
    pub sealed: Option<NewSecret>,
    /// The fingerprints that belong to the row's secret, number and realm.
    pub prints: Prints,
}

/// A sealed secret on its way into a row.
pub type NewSecret = Vec<u8>;

/// Writes the changes.
pub(super) fn change(db: &mut impl GenericClient, changes: &RowChanges) -> Result<(), DirectoryError> {
    let tenant = &changes.tenant;
    if let Some(settings) = &changes.settings {
        let settings = serde_json::to_string(settings).unwrap_or_default();
        run(
            db,
            "record the tenant",
            "insert into tenants (id, slug, settings) values ($1, $2, $3::jsonb)
             on conflict (id) do update set settings = excluded.settings, updated_at = now()",
            &[(tenant, Type::UUID), (&changes.slug.as_str(), Type::TEXT), (&settings, Type::TEXT)],
        )?;
    }
    leave(db, changes)?;
    if !changes.deletes.is_empty() {
        run(
            db,
            "delete users",
            "delete from users where tenant_id = $1 and id = any ($2)",
            &[(tenant, Type::UUID), (&changes.deletes, Type::UUID_ARRAY)],
        )?;
    }
    if !changes.rows.is_empty() {
        write_rows(db, changes)?;
    }
    hold(db, changes)
}

/// Remembers the addresses that are left by deleted and renamed users.
fn leave(db: &mut impl GenericClient, changes: &RowChanges) -> Result<(), DirectoryError> {
    let ids: Vec<Uuid> = changes.deletes.iter().copied().chain(changes.rows.iter().map(|row| row.id)).collect();
    let keys: Vec<String> = changes.rows.iter().map(|row| row.email.key().to_string()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    run(
        db,
        "remember former users",
        "insert into former_users (tenant_id, email_key)
         select tenant_id, email_key from users
         where tenant_id = $1 and id = any ($2) and email_key <> all ($3)
         on conflict (tenant_id, email_key) do update set left_at = now()",
        &[(&changes.tenant, Type::UUID), (&ids, Type::UUID_ARRAY), (&keys, Type::TEXT_ARRAY)],
    )
}

fn write_rows(db: &mut impl GenericClient, changes: &RowChanges) -> Result<(), DirectoryError> {
    let rows = &changes.rows;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    // Renamed users first leave their old address, so that one address can pass to another row.
    run(
        db,
        "make room for renamed users",
        "update users set email_key = id::text where tenant_id = $1 and id = any ($2)",
        &[(&changes.tenant, Type::UUID), (&ids, Type::UUID_ARRAY)],
    )?;
    // Before any number is given, so that users can swap them: all leave before any arrives.
    run(
        db,
        "free extensions",
        "delete from extensions where tenant_id = $1 and (user_id = any ($2) or (user_id is null and number = any ($3)))",
        &[(&changes.tenant, Type::UUID), (&ids, Type::UUID_ARRAY), (&numbers(rows), Type::INT4_ARRAY)],
    )?;
    record(db, changes.tenant, rows)
}

/// Ends what holds these users' numbers for others.
pub(super) fn release(db: &mut impl GenericClient, tenant: Uuid, rows: &[Row]) -> Result<(), DirectoryError> {
    run(
        db,
        "free extensions",
        "delete from extensions where tenant_id = $1 and user_id is null and number = any ($2)",
        &[(&tenant, Type::UUID), (&numbers(rows), Type::INT4_ARRAY)],
    )
}

fn numbers(rows: &[Row]) -> Vec<i32> {
    rows.iter().map(|row| i32::try_from(row.extension.number()).unwrap_or(i32::MAX)).collect()
}

/// Writes the rows of users, whose addresses and numbers are nobody else's any more.
pub(super) fn record(db: &mut impl GenericClient, tenant: Uuid, rows: &[Row]) -> Result<(), DirectoryError> {
    let column = |pick: fn(&Row) -> String| rows.iter().map(pick).collect::<Vec<String>>();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let emails = column(|row| row.email.to_string());
    let keys = column(|row| row.email.key().to_string());
    let names = column(|row| row.name.to_string());
    let managers = column(|row| row.managed_by.to_string());
    let phones = column(|row| serde_json::to_string(&row.phone).unwrap_or_else(|_| "{}".to_owned()));
    let protected: Vec<bool> = rows.iter().map(|row| row.protected).collect();
    let declared: Vec<bool> = rows.iter().map(|row| row.secret_declared).collect();
    let sealed: Vec<Option<&[u8]>> = rows.iter().map(|row| row.sealed.as_deref()).collect();
    let salts: Vec<&[u8]> = rows.iter().map(|row| row.prints.salt.as_slice()).collect();
    let secrets: Vec<&[u8]> = rows.iter().map(|row| row.prints.secret.as_slice()).collect();
    let digests: Vec<&[u8]> = rows.iter().map(|row| row.prints.digest.as_slice()).collect();
    run(
        db,
        "record users",
        "with recorded as (
         insert into users as u (id, tenant_id, email, email_key, name, managed_by, protected, phone,
                secret_sealed, secret_declared, secret_salt, secret_fingerprint, digest_fingerprint)
         select n.id, $1, n.email, n.email_key, n.name, n.managed_by, n.protected, n.phone::jsonb,
                coalesce(n.sealed, old.secret_sealed), n.declared, n.salt, n.secret, n.digest
         from unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
              as n (id, email, email_key, name, managed_by, protected, phone, sealed, declared, salt, secret, digest)
         left join users old on old.id = n.id
         on conflict (id) do update set
            email = excluded.email, email_key = excluded.email_key, name = excluded.name,
            managed_by = excluded.managed_by, protected = excluded.protected, phone = excluded.phone,
            secret_sealed = excluded.secret_sealed, secret_declared = excluded.secret_declared,
            secret_salt = excluded.secret_salt, secret_fingerprint = excluded.secret_fingerprint,
            digest_fingerprint = excluded.digest_fingerprint, updated_at = now())
         insert into extensions (tenant_id, number, user_id)
         select $1, n.number, n.id from unnest($2, $14) as n (id, number)",
        &[
            (&tenant, Type::UUID),
            (&ids, Type::UUID_ARRAY),
            (&emails, Type::TEXT_ARRAY),
            (&keys, Type::TEXT_ARRAY),
            (&names, Type::TEXT_ARRAY),
            (&managers, Type::TEXT_ARRAY),
            (&protected, Type::BOOL_ARRAY),
            (&phones, Type::TEXT_ARRAY),
            (&sealed, Type::BYTEA_ARRAY),
            (&declared, Type::BOOL_ARRAY),
            (&salts, Type::BYTEA_ARRAY),
            (&secrets, Type::BYTEA_ARRAY),
            (&digests, Type::BYTEA_ARRAY),
            (&numbers(rows), Type::INT4_ARRAY),
        ],
    )
}

fn hold(db: &mut impl GenericClient, changes: &RowChanges) -> Result<(), DirectoryError> {
    if changes.holds.is_empty() {
        return Ok(());
    }
    let numbers: Vec<i32> =
        changes.holds.iter().map(|(number, _)| i32::try_from(number.number()).unwrap_or(i32::MAX)).collect();
    let emails: Vec<&str> = changes.holds.iter().map(|(_, email)| email.as_str()).collect();
    run(
        db,
        "hold freed extensions",
        "insert into extensions (tenant_id, number, held_for, freed_at)
         select $1, n.number, n.email, $4 from unnest($2, $3) as n (number, email)
         on conflict (tenant_id, number) do nothing",
        &[
            (&changes.tenant, Type::UUID),
            (&numbers, Type::INT4_ARRAY),
            (&emails, Type::TEXT_ARRAY),
            (&changes.now, Type::TIMESTAMPTZ),
        ],
    )
}

fn run(
    db: &mut impl GenericClient,
    action: &'static str,
    statement: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<(), DirectoryError> {
    db.query_typed(statement, parameters).map_err(failed(action))?;
    Ok(())
}

//! The statements that change a tenant: set-based, a handful whatever the number of users.

use jiff::{SignedDuration, Timestamp};
use postgres::{
    GenericClient,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{
    DirectoryError, FREED_DAYS, IdempotencyKey, NewUserContext, Row, RowChanges, Writer,
    audit::{self, AuditEntry},
    document, idempotency, objects,
    sql::{execute, int},
    undo, user_document,
};
use crate::model::{Extension, Tenant};

/// Writes the changes.
pub(super) fn change(db: &mut impl GenericClient, changes: &RowChanges) -> Result<(), DirectoryError> {
    let tenant = &changes.tenant;
    if let Some(settings) = &changes.settings {
        let action = "record the tenant";
        let settings = document::write(action, settings)?;
        execute(
            db,
            action,
            "insert into tenants (id, slug, settings) values ($1, $2, $3::jsonb)
             on conflict (id) do update set settings = excluded.settings, updated_at = now()",
            &[(tenant, Type::UUID), (&changes.slug.as_str(), Type::TEXT), (&settings, Type::TEXT)],
        )?;
    }
    remember_former_users(db, changes)?;
    let created: Vec<String> = changes.created.iter().map(|row| row.email.key().to_string()).collect();
    undo::keep_secrets(db, *tenant, &changes.deletes, &created)?;
    hold_extensions(db, changes)?;
    if !changes.deletes.is_empty() {
        execute(
            db,
            "delete users",
            "delete from users where tenant_id = $1 and id = any ($2)",
            &[(tenant, Type::UUID), (&changes.deletes, Type::UUID_ARRAY)],
        )?;
    }
    free_numbers(db, changes)?;
    if !changes.changed.is_empty() {
        update_users(db, *tenant, &changes.changed)?;
    }
    if !changes.created.is_empty() {
        insert_users(db, *tenant, &changes.created)?;
    }
    remember_former_addresses(db, changes)?;
    objects::change(db, *tenant, &changes.slug, &changes.objects)
}

/// Remembers the addresses that deleted and renamed users leave, and who left which number. Numbers are forgotten
/// after [`FREED_DAYS`] days.
fn remember_former_users(db: &mut impl GenericClient, changes: &RowChanges) -> Result<(), DirectoryError> {
    let ids: Vec<Uuid> = changes.deletes.iter().copied().chain(changes.changed.iter().map(|row| row.id)).collect();
    let keys: Vec<String> = changes.users().map(|row| row.email.key().to_string()).collect();
    let (numbers, owners) = freed(changes);
    if ids.is_empty() && keys.is_empty() && numbers.is_empty() {
        return Ok(());
    }
    let forgotten = changes.now.checked_sub(SignedDuration::from_hours(24 * i64::from(FREED_DAYS)));
    let forgotten = forgotten.unwrap_or(changes.now);
    execute(
        db,
        "remember former users",
        // What is forgotten and what is written are different numbers: no statement changes a row twice.
        "with forgotten as (
            delete from freed_numbers
            where tenant_id = $1 and freed_at < $7
                and number not in (select number from extensions where tenant_id = $1)),
         freed as (
            insert into freed_numbers (tenant_id, number, email_key, freed_at)
            select $1, n.number, n.owner, $6 from unnest($4, $5) as n (number, owner)
            on conflict (tenant_id, number) do update set email_key = excluded.email_key, freed_at = excluded.freed_at)
         insert into former_users (tenant_id, email_key, managed_by)
         select tenant_id, email_key, $8 from users
         where tenant_id = $1 and id = any ($2) and email_key <> all ($3)
         on conflict (tenant_id, email_key) do update set left_at = now(), managed_by = excluded.managed_by",
        &[
            (&changes.tenant, Type::UUID),
            (&ids, Type::UUID_ARRAY),
            (&keys, Type::TEXT_ARRAY),
            (&numbers, Type::INT4_ARRAY),
            (&owners, Type::TEXT_ARRAY),
            (&changes.now, Type::TIMESTAMPTZ),
            (&forgotten, Type::TIMESTAMPTZ),
            (&changes.by.to_string(), Type::TEXT),
        ],
    )
}

/// Frees the numbers of all who get another one, and takes numbers off hold that are given: all leave before any
/// arrives, so that users and objects can swap them.
fn free_numbers(db: &mut impl GenericClient, changes: &RowChanges) -> Result<(), DirectoryError> {
    let RowChanges { tenant, created, changed, objects, .. } = changes;
    if created.is_empty() && changed.is_empty() && objects.extensions.is_empty() {
        return Ok(());
    }
    let users: Vec<Uuid> = changed.iter().map(|row| row.id).collect();
    let (owners, of_objects): (Vec<Uuid>, Vec<Option<Extension>>) = objects.extensions.iter().copied().unzip();
    let given = of_objects.into_iter().flatten().map(int);
    let numbers: Vec<i32> = changes.users().map(|row| int(row.extension)).chain(given).collect();
    free(db, *tenant, &users, &owners, &numbers)
}

/// Deletes the numbers of users and objects, and those of the given numbers that are on hold.
fn free(
    db: &mut impl GenericClient,
    tenant: Uuid,
    users: &[Uuid],
    objects: &[Uuid],
    numbers: &[i32],
) -> Result<(), DirectoryError> {
    execute(
        db,
        "free extensions",
        "delete from extensions
         where tenant_id = $1
            and (user_id = any ($2) or object_id = any ($3) or (held_for is not null and number = any ($4)))",
        &[
            (&tenant, Type::UUID),
            (&users, Type::UUID_ARRAY),
            (&objects, Type::UUID_ARRAY),
            (&numbers, Type::INT4_ARRAY),
        ],
    )
}

/// Remembers the addresses that users were renamed from.
fn remember_former_addresses(db: &mut impl GenericClient, changes: &RowChanges) -> Result<(), DirectoryError> {
    let (renamed, previous): (Vec<Uuid>, Vec<&str>) =
        changes.users().filter_map(|row| Some((row.id, row.previous.as_ref()?.as_str()))).unzip();
    if renamed.is_empty() {
        return Ok(());
    }
    execute(
        db,
        "remember what users were renamed from",
        "update users u set previous_key = n.previous from unnest($2, $3) as n (id, previous)
         where u.tenant_id = $1 and u.id = n.id",
        &[(&changes.tenant, Type::UUID), (&renamed, Type::UUID_ARRAY), (&previous, Type::TEXT_ARRAY)],
    )
}

/// Lists the freed numbers and their former owners, column by column.
fn freed(changes: &RowChanges) -> (Vec<i32>, Vec<String>) {
    changes.freed.iter().map(|(number, owner)| (int(*number), owner.to_string())).unzip()
}

/// Rows of users column by column, as they are sent.
struct Columns<'a> {
    ids: Vec<Uuid>,
    emails: Vec<&'a str>,
    keys: Vec<String>,
    names: Vec<&'a str>,
    managers: Vec<String>,
    protected: Vec<bool>,
    phones: Vec<String>,
    sealed: Vec<Option<&'a [u8]>>,
    declared: Vec<bool>,
    salts: Vec<&'a [u8]>,
    secrets: Vec<&'a [u8]>,
    digests: Vec<&'a [u8]>,
    numbers: Vec<i32>,
}

impl<'a> Columns<'a> {
    fn of(action: &'static str, rows: &'a [Row]) -> Result<Self, DirectoryError> {
        Ok(Self {
            ids: rows.iter().map(|row| row.id).collect(),
            emails: rows.iter().map(|row| row.email.as_str()).collect(),
            keys: rows.iter().map(|row| row.email.key().to_string()).collect(),
            names: rows.iter().map(|row| row.name.as_str()).collect(),
            managers: rows.iter().map(|row| row.managed_by.to_string()).collect(),
            protected: rows.iter().map(|row| row.protected).collect(),
            phones: rows.iter().map(|row| user_document::write(action, row)).collect::<Result<_, _>>()?,
            sealed: rows.iter().map(|row| row.sealed.as_deref()).collect(),
            declared: rows.iter().map(|row| row.secret_declared).collect(),
            salts: rows.iter().map(|row| row.prints.salt.as_slice()).collect(),
            secrets: rows.iter().map(|row| row.prints.secret.as_slice()).collect(),
            digests: rows.iter().map(|row| row.prints.digest.as_slice()).collect(),
            numbers: rows.iter().map(|row| int(row.extension)).collect(),
        })
    }

    /// Lists the parameters from `$1`, the tenant, to `$14`.
    fn parameters<'p>(&'p self, tenant: &'p Uuid) -> [(&'p (dyn ToSql + Sync), Type); 14] {
        [
            (tenant, Type::UUID),
            (&self.ids, Type::UUID_ARRAY),
            (&self.emails, Type::TEXT_ARRAY),
            (&self.keys, Type::TEXT_ARRAY),
            (&self.names, Type::TEXT_ARRAY),
            (&self.managers, Type::TEXT_ARRAY),
            (&self.protected, Type::BOOL_ARRAY),
            (&self.phones, Type::TEXT_ARRAY),
            (&self.sealed, Type::BYTEA_ARRAY),
            (&self.declared, Type::BOOL_ARRAY),
            (&self.salts, Type::BYTEA_ARRAY),
            (&self.secrets, Type::BYTEA_ARRAY),
            (&self.digests, Type::BYTEA_ARRAY),
            (&self.numbers, Type::INT4_ARRAY),
        ]
    }
}

/// Adds users. No other user has their addresses and numbers.
fn insert_users(db: &mut impl GenericClient, tenant: Uuid, rows: &[Row]) -> Result<(), DirectoryError> {
    let action = "record users";
    let columns = Columns::of(action, rows)?;
    execute(
        db,
        action,
        "with recorded as (
            insert into users (id, tenant_id, email, email_key, name, managed_by, protected, phone,
                   secret_sealed, secret_declared, secret_salt, secret_fingerprint, digest_fingerprint)
            select n.id, $1, n.email, n.email_key, n.name, n.managed_by, n.protected, n.phone::jsonb,
                   n.sealed, n.declared, n.salt, n.secret, n.digest
            from unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
                 as n (id, email, email_key, name, managed_by, protected, phone, sealed, declared, salt, secret, digest))
         insert into extensions (tenant_id, number, user_id)
         select $1, n.number, n.id from unnest($2, $14) as n (id, number)",
        &columns.parameters(&tenant),
    )
}

/// Changes users. No other user has their new addresses and numbers.
fn update_users(db: &mut impl GenericClient, tenant: Uuid, rows: &[Row]) -> Result<(), DirectoryError> {
    let action = "record users";
    let columns = Columns::of(action, rows)?;
    // Renamed users first leave their old address, so that one address can pass to another row.
    execute(
        db,
        "make room for renamed users",
        "update users set email_key = id::text where tenant_id = $1 and id = any ($2)",
        &[(&tenant, Type::UUID), (&columns.ids, Type::UUID_ARRAY)],
    )?;
    execute(
        db,
        action,
        "with recorded as (
            update users u set
                email = n.email, email_key = n.email_key, name = n.name, managed_by = n.managed_by,
                protected = n.protected, phone = n.phone::jsonb, secret_sealed = coalesce(n.sealed, u.secret_sealed),
                secret_declared = n.declared, secret_salt = n.salt, secret_fingerprint = n.secret,
                digest_fingerprint = n.digest, updated_at = now()
            from unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
                 as n (id, email, email_key, name, managed_by, protected, phone, sealed, declared, salt, secret, digest)
            where u.tenant_id = $1 and u.id = n.id)
         insert into extensions (tenant_id, number, user_id)
         select $1, n.number, n.id from unnest($2, $14) as n (id, number)",
        &columns.parameters(&tenant),
    )
}

/// New users, with all that is recorded about how they came to be.
#[derive(Debug)]
pub struct Additions<'a> {
    /// The tenant's slug.
    pub slug: &'a Tenant,
    /// The host they are made on, for the audit log.
    pub host: &'a str,
    /// Their rows. No other user has their addresses and numbers, but the numbers may be on hold.
    pub rows: Vec<Row>,
    /// One entry for each user.
    pub(crate) audit_entries: Vec<AuditEntry<'a>>,
    /// Sealed answers, each under a key that is free.
    pub answers: Vec<(&'a IdempotencyKey, Vec<u8>)>,
    /// The time of the answers.
    pub now: Timestamp,
}

impl Writer<'_> {
    /// Writes the changes: deletes, renames and updates, then creates; a handful of statements.
    ///
    /// # Errors
    /// When the database fails or refuses a row.
    pub fn change(&mut self, changes: &RowChanges) -> Result<(), DirectoryError> {
        change(self.client, changes)
    }

    /// Adds users to a tenant: their rows, an audit row for each, and their answers.
    ///
    /// # Errors
    /// When the database fails or rejects a row. No user is added then.
    pub fn add(&mut self, context: &NewUserContext, new: &Additions<'_>) -> Result<(), DirectoryError> {
        let tenant = context.tenant.id;
        let given = new.rows.iter().map(|row| row.extension);
        let on_hold: Vec<i32> = given.filter(|number| context.holds.contains_key(number)).map(int).collect();
        if !on_hold.is_empty() {
            free(self.client, tenant, &[], &[], &on_hold)?;
        }
        insert_users(self.client, tenant, &new.rows)?;
        audit::add_entries(self.client, new.slug, new.host, ("create user", "create"), &new.audit_entries)?;
        idempotency::remember(self.client, tenant, &new.answers, new.now)
    }
}

/// Keeps numbers while their owners still have them, before another one may be given one of them.
fn hold_extensions(db: &mut impl GenericClient, changes: &RowChanges) -> Result<(), DirectoryError> {
    if changes.freed.is_empty() || !changes.hold {
        return Ok(());
    }
    let (numbers, owners) = freed(changes);
    execute(
        db,
        "hold freed extensions",
        "update extensions e set user_id = null, object_id = null, held_for = n.owner, freed_at = $4
         from unnest($2, $3) as n (number, owner)
         where e.tenant_id = $1 and e.number = n.number and e.held_for is null",
        &[
            (&changes.tenant, Type::UUID),
            (&numbers, Type::INT4_ARRAY),
            (&owners, Type::TEXT_ARRAY),
            (&changes.now, Type::TIMESTAMPTZ),
        ],
    )
}

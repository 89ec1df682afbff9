//! The statements about objects: their rows, their secrets and the public numbers. They know no kind.

use std::collections::BTreeMap;

use postgres::{
    GenericClient, Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{
    DirectoryError, NumberChanges, ObjectChanges, Place, Recorded, RecordedSecret, SecretRow, UnreadableDocument,
    failed,
    seal::ObjectPrint,
    sql::{bad_row, execute, int, number},
};
use crate::{
    model::{E164, Tenant, Unreadable, UserKey},
    objects::{ExtensionClaim, ObjectId, ObjectRow, Routes, UserOfRow},
};

/// The first schema version that has them.
pub(super) const SINCE: i32 = 10;

/// The first schema version that knows who let a user go, and which internal numbers objects have.
pub(super) const OWNERS_SINCE: i32 = 11;

/// The first schema version that keeps no fingerprint of a PIN without a tag.
const TAGS_SINCE: i32 = 13;

/// Reads the objects of a tenant, and what is known of their secrets.
pub(super) fn read(
    db: &mut impl GenericClient,
    tenant: Uuid,
    slug: &Tenant,
    schema: i32,
    recorded: &mut Recorded,
) -> Result<(), DirectoryError> {
    let (number_of, of_object) = if schema >= OWNERS_SINCE {
        ("e.number", "left join extensions e on e.object_id = o.id")
    } else {
        ("null::integer", "")
    };
    let rows = db
        .query_typed(
            &format!(
                "select o.id, o.kind, o.name, o.version, o.protected, o.body::text,
                    s.secret_salt, s.secret_fingerprint, s.fingerprint_applied, {number_of}
             from objects o left join secrets s on s.object_id = o.id {of_object}
             where o.tenant_id = $1 order by o.kind collate \"C\", o.name collate \"C\""
            ),
            &[(&tenant, Type::UUID)],
        )
        .map_err(failed("read the objects"))?;
    let users: BTreeMap<Uuid, &UserKey> = recorded.users.iter().map(|(email, user)| (user.id, email)).collect();
    let user = |named: &UserOfRow| match named {
        UserOfRow::Row(row) => {
            let email = users.get(row).map(|email| (*email).clone());
            email.ok_or_else(|| Unreadable::Damaged(format!("`{row}` is no user's row")))
        }
        UserOfRow::Former { former } => Ok(former.clone()),
    };
    let (mut routes, mut numbers) = (Routes::default(), BTreeMap::new());
    for row in &rows {
        let id = row.get(0);
        match object(row, &mut routes, &user) {
            Ok(object) => {
                if let Some(extension) = row.get(9) {
                    numbers.insert(object.clone(), number(extension)?);
                }
                if let Some(salt) = row.get(6) {
                    let print = row.get::<_, Option<_>>(7).map(|shown| ObjectPrint { kind: object.0, salt, shown });
                    recorded.secrets.insert(object.clone(), RecordedSecret { id, print, applied: row.get(8) });
                }
                recorded.object_rows.insert(object, id);
            }
            Err(reason) => {
                let name = format!("{} {}", row.get::<_, &str>(1), row.get::<_, &str>(2)).trim_end().to_owned();
                recorded
                    .unreadable
                    .push(UnreadableDocument { place: Place::Object { tenant: slug.clone(), id, name }, reason });
            }
        }
    }
    // The table of numbers says who has one, whatever a document claims: nobody gets a number twice.
    routes.set_extensions(|id, claim| match numbers.get(id) {
        Some(number) => Some(ExtensionClaim::Given(*number)),
        None => claim.map(|_| ExtensionClaim::Auto),
    });
    routes.sort();
    if schema < TAGS_SINCE {
        // A plan from such a schema is the one that the migrated rows give.
        for (id, _) in routes.objects().into_iter().filter(|(_, object)| object.generates().is_some()) {
            recorded.secrets.entry(id).and_modify(|secret| secret.print = None);
        }
    }
    recorded.routes = routes;
    Ok(())
}

fn object(
    row: &Row,
    routes: &mut Routes,
    user: &dyn Fn(&UserOfRow) -> Result<UserKey, Unreadable>,
) -> Result<ObjectId, Unreadable> {
    let version = u16::try_from(row.get::<_, i16>(3)).unwrap_or_default();
    let row = ObjectRow {
        kind: row.get::<_, &str>(1).parse()?,
        name: row.get(2),
        version,
        protected: row.get(4),
        body: row.get(5),
    };
    routes.take(&row, user)?;
    Ok((row.kind, row.name))
}

/// The statement that reads the public numbers with their owners, and all of the tenant whose slug an expression gives.
pub(super) fn public_numbers(slug: &str) -> String {
    format!("select number, tenant, recorded from public_numbers where is_owner or tenant = {slug}")
}

/// Reads whose the public numbers are, for a tenant that is not recorded yet.
pub(super) fn numbers(
    db: &mut impl GenericClient,
    slug: &Tenant,
    recorded: &mut Recorded,
) -> Result<(), DirectoryError> {
    let rows = db
        .query_typed(&public_numbers("$1"), &[(&slug.as_str(), Type::TEXT)])
        .map_err(failed("read the public numbers"))?;
    for row in &rows {
        note_number((row.get(0), row.get(1), row.get(2)), slug, recorded);
    }
    Ok(())
}

/// Takes a row of a public number: the number, its tenant, and whether that tenant has it recorded. A row that this
/// program cannot read, such as one that was edited by hand, reserves nothing.
pub(super) fn note_number((number, tenant, is_recorded): (&str, &str, bool), slug: &Tenant, recorded: &mut Recorded) {
    let Ok((number, tenant)) = owned(number, tenant) else { return };
    if tenant != *slug {
        recorded.numbers_elsewhere.insert(number, Some(tenant));
    } else if is_recorded {
        recorded.own_numbers.insert(number);
    }
}

fn owned(number: &str, tenant: &str) -> Result<(E164, Tenant), DirectoryError> {
    let number = number.parse().map_err(bad_row("public number"))?;
    Ok((number, tenant.parse().map_err(bad_row("tenant"))?))
}

/// Records whose the public numbers are from now on. A number that is new to the tenant must be nobody's: whoever
/// wants the same one waits here until the end of this transaction.
fn claim(db: &mut impl GenericClient, slug: &Tenant, numbers: &NumberChanges) -> Result<(), DirectoryError> {
    let all: Vec<&str> = numbers.all.iter().map(E164::as_str).collect();
    let new: Vec<&str> = numbers.new.iter().map(E164::as_str).collect();
    hold_numbers(db, slug, NumberUse::Recorded, &all)?;
    let taken = db
        .query_typed_opt(
            "select number, tenant from public_numbers where number = any ($2) and is_owner and tenant <> $1
             order by number collate \"C\" limit 1",
            &[(&slug.as_str(), Type::TEXT), (&new, Type::TEXT_ARRAY)],
        )
        .map_err(failed("look for numbers of other tenants"))?;
    let Some(row) = taken else { return Ok(()) };
    let (number, tenant) = owned(row.get(0), row.get(1))?;
    Err(DirectoryError::NumberTaken { number, tenant })
}

/// Why a public number is kept for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberUse {
    /// A recorded rule is for it.
    Recorded,
    /// Callers reach the tenant under it.
    Applied,
}

/// Keeps the numbers that are recorded, or those that callers reach: these and no others. A number that another tenant
/// owns stays with it. A number that is given up goes to the next tenant that has it, in the same transaction.
pub(super) fn hold_numbers(
    db: &mut impl GenericClient,
    slug: &Tenant,
    held: NumberUse,
    numbers: &[&str],
) -> Result<(), DirectoryError> {
    let action = "record the public numbers";
    let (recorded, applied) = (held == NumberUse::Recorded, held == NumberUse::Applied);
    let parameters: [(&(dyn ToSql + Sync), Type); 4] =
        [(&slug.as_str(), Type::TEXT), (&numbers, Type::TEXT_ARRAY), (&recorded, Type::BOOL), (&applied, Type::BOOL)];
    // In one order, and without a lock on what others have, so that two tenants do not wait for each other.
    for statement in [
        "insert into public_numbers (number, tenant, is_owner, recorded, applied)
         select n, $1, true, $3, $4 from unnest($2) as n order by n collate \"C\"
         on conflict do nothing",
        // Of an earlier version: another tenant owns it.
        "insert into public_numbers (number, tenant, is_owner, recorded, applied)
         select n, $1, false, $3, $4 from unnest($2) as n order by n collate \"C\"
         on conflict do nothing",
        "update public_numbers set recorded = recorded or $3, applied = applied or $4
         where tenant = $1 and number = any ($2) and (not recorded and $3 or not applied and $4)",
        "with gone as (
            delete from public_numbers
            where tenant = $1 and number <> all ($2) and not (recorded and not $3 or applied and not $4))
         update public_numbers set recorded = recorded and not $3, applied = applied and not $4
         where tenant = $1 and number <> all ($2) and recorded and applied",
    ] {
        execute(db, action, statement, &parameters)?;
    }
    execute(
        db,
        action,
        "update public_numbers p set is_owner = true
         from (
            select distinct on (n.number) n.number, n.tenant from public_numbers n
            where not n.is_owner and not exists (select from public_numbers o where o.number = n.number and o.is_owner)
            order by n.number, not n.recorded, n.tenant collate \"C\"
         ) as next
         where p.number = next.number and p.tenant = next.tenant",
        &[],
    )
}

/// Says how a public number that another tenant has gets free. `None` if it is not known which tenant has it.
pub(crate) fn hint_of_taken(other: Option<&Tenant>) -> String {
    match other {
        Some(other) => format!(
            "remove it from the file of `{other}`, and apply that first; if `{other}` was renamed or removed, \
             apply its last file once more without the number"
        ),
        None => "a plan on the Asterisk host names the tenant: remove the number from its file, and apply that first"
            .to_owned(),
    }
}

/// Writes the changes: twelve statements at most. The internal numbers that objects leave are free already.
pub(super) fn change(
    db: &mut impl GenericClient,
    tenant: Uuid,
    slug: &Tenant,
    changes: &ObjectChanges,
) -> Result<(), DirectoryError> {
    let ObjectChanges { gone, rows, forgotten, secrets, numbers, extensions } = changes;
    if changes.is_empty() {
        return Ok(());
    }
    if let Some(numbers) = numbers {
        claim(db, slug, numbers)?;
    }
    if !gone.is_empty() {
        execute(
            db,
            "delete objects",
            "delete from objects where tenant_id = $1 and id = any ($2)",
            &[(&tenant, Type::UUID), (gone, Type::UUID_ARRAY)],
        )?;
    }
    if !rows.is_empty() {
        write(db, tenant, rows)?;
    }
    let (owners, given): (Vec<Uuid>, Vec<i32>) =
        extensions.iter().filter_map(|(row, number)| Some((*row, int((*number)?)))).unzip();
    if !owners.is_empty() {
        execute(
            db,
            "record the extensions of objects",
            "insert into extensions (tenant_id, number, object_id)
             select $1, n.number, n.id from unnest($2, $3) as n (id, number)",
            &[(&tenant, Type::UUID), (&owners, Type::UUID_ARRAY), (&given, Type::INT4_ARRAY)],
        )?;
    }
    if !forgotten.is_empty() {
        execute(
            db,
            "forget the secrets of objects",
            "delete from secrets where object_id = any ($1)",
            &[(forgotten, Type::UUID_ARRAY)],
        )?;
    }
    if !secrets.is_empty() {
        write_secrets(db, secrets)?;
    }
    // A new secret, too, puts the hosts behind what is recorded.
    execute(db, "record the tenant", "update tenants set updated_at = now() where id = $1", &[(&tenant, Type::UUID)])
}

fn write(db: &mut impl GenericClient, tenant: Uuid, rows: &[(Uuid, ObjectRow)]) -> Result<(), DirectoryError> {
    let ids: Vec<Uuid> = rows.iter().map(|(id, _)| *id).collect();
    let kinds: Vec<String> = rows.iter().map(|(_, row)| row.kind.to_string()).collect();
    let names: Vec<&str> = rows.iter().map(|(_, row)| row.name.as_str()).collect();
    let versions: Vec<i16> = rows.iter().map(|(_, row)| i16::try_from(row.version).unwrap_or(i16::MAX)).collect();
    let protected: Vec<bool> = rows.iter().map(|(_, row)| row.protected).collect();
    let bodies: Vec<&str> = rows.iter().map(|(_, row)| row.body.as_str()).collect();
    execute(
        db,
        "record objects",
        "insert into objects (id, tenant_id, kind, name, version, protected, body)
         select n.id, $1, n.kind, n.name, n.version, n.protected, n.body::jsonb
         from unnest($2, $3, $4, $5, $6, $7) as n (id, kind, name, version, protected, body)
         on conflict (id) do update set version = excluded.version, protected = excluded.protected,
            body = excluded.body, updated_at = now()",
        &[
            (&tenant, Type::UUID),
            (&ids, Type::UUID_ARRAY),
            (&kinds, Type::TEXT_ARRAY),
            (&names, Type::TEXT_ARRAY),
            (&versions, Type::INT2_ARRAY),
            (&protected, Type::BOOL_ARRAY),
            (&bodies, Type::TEXT_ARRAY),
        ],
    )
}

fn write_secrets(db: &mut impl GenericClient, secrets: &[SecretRow]) -> Result<(), DirectoryError> {
    let objects: Vec<Uuid> = secrets.iter().map(|secret| secret.row).collect();
    let sealed: Vec<&[u8]> = secrets.iter().map(|row| row.sealed.as_slice()).collect();
    let salts: Vec<&[u8]> = secrets.iter().map(|row| row.print.salt.as_slice()).collect();
    let prints: Vec<&[u8]> = secrets.iter().map(|row| row.print.shown.as_slice()).collect();
    execute(
        db,
        "record the secrets of objects",
        "insert into secrets (object_id, secret_sealed, secret_salt, secret_fingerprint)
         select n.object, n.sealed, n.salt, n.print from unnest($1, $2, $3, $4) as n (object, sealed, salt, print)
         on conflict (object_id) do update set
            secret_sealed = excluded.secret_sealed, secret_salt = excluded.secret_salt,
            secret_fingerprint = excluded.secret_fingerprint",
        &[
            (&objects, Type::UUID_ARRAY),
            (&sealed, Type::BYTEA_ARRAY),
            (&salts, Type::BYTEA_ARRAY),
            (&prints, Type::BYTEA_ARRAY),
        ],
    )
}

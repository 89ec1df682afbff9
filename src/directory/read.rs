//! The statements that read a tenant.

use std::{collections::BTreeMap, mem, sync::Arc};

use postgres::{GenericClient, Row, fallible_iterator::FallibleIterator, types::Type};
use uuid::Uuid;

use super::{
    DirectoryError, Place, UnreadableDocument, Writer, document, earlier, failed, latest, objects,
    sql::{bad_row, number},
    types::{Hold, ManagedBy, Recorded, RecordedTenant, RecordedUser},
    undo,
    user_document::take_lists,
};
use crate::{
    calls::LiveRoutes,
    model::{DisplayName, Document, Identity, Prints, Settings, Tenant, UserKey, packed},
    objects::{NumberOwner, Routes, TargetsOfRow, UserDocument},
};

/// The first schema version that knows what the last apply made live.
const APPLIED_SINCE: i32 = 9;

/// The tenant, on a schema that holds nothing about inbound calls.
const EARLIER: &str = "select d.id, t.id, t.settings::text, null, null
         from directory d left join tenants t on t.slug = $1";

/// The tenant, on a schema with one document of all objects.
const WITH_ROUTES: &str = "select d.id, t.id, t.settings::text, t.routes::text, a.applied::text
         from directory d left join tenants t on t.slug = $1 left join applied_routes a on a.tenant = $1";

const TENANT: &str = "select d.id, t.id, t.settings::text, null, a.applied::text
         from directory d left join tenants t on t.slug = $1 left join applied_routes a on a.tenant = $1";

/// Held extensions.
const HELD: &str = "select number, held_for, freed_at, true, null, null::uuid
         from extensions where tenant_id = $1 and held_for is not null";

/// Whom there ever was, without a number, on a schema that does not know who let them go.
const FORMER_BEFORE: &str =
    " union all select null, email_key, null, false, null, null from former_users where tenant_id = $1";

/// Whom there ever was, without a number, and whether the API let them go.
const FORMER: &str =
    " union all select null, email_key, null, managed_by = 'api', null, null from former_users where tenant_id = $1";

/// Who had a freed number last, on a schema that knows it.
const FREED: &str =
    " union all select number, email_key, freed_at, false, null, null from freed_numbers where tenant_id = $1";

/// Whose secrets are kept, each with the row that it is sealed for.
const KEPT: &str =
    " union all select null, email_key, null, false, null, user_id from former_secrets where tenant_id = $1";

impl Writer<'_> {
    /// Reads the tenant again, now that no other process can change it.
    ///
    /// # Errors
    /// When the database fails, or if a document cannot be read.
    pub fn read(&mut self, tenant: &Tenant) -> Result<Recorded, DirectoryError> {
        self::tenant(self.client, tenant, latest())?.complete()
    }

    /// Reads the sealed secrets of all users and objects of a tenant, by their rows.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sealed(&mut self, tenant: Uuid) -> Result<BTreeMap<Uuid, Vec<u8>>, DirectoryError> {
        self::sealed(self.client, tenant)
    }
}

/// Reads everything about one tenant that can be read: six statements at most, whatever its size. A schema before
/// [`earlier::INBOUND_SINCE`] holds nothing about inbound calls, one before [`APPLIED_SINCE`] nothing about
/// what was applied last.
pub(super) fn tenant(db: &mut impl GenericClient, slug: &Tenant, schema: i32) -> Result<Recorded, DirectoryError> {
    let (inbound, applied, objects) =
        (schema >= earlier::INBOUND_SINCE, schema >= APPLIED_SINCE, schema >= objects::SINCE);
    let statement = if objects {
        TENANT
    } else if inbound {
        WITH_ROUTES
    } else {
        EARLIER
    };
    let row = db.query_typed_one(statement, &[(&slug.as_str(), Type::TEXT)]).map_err(failed("read the tenant"))?;
    let mut recorded = Recorded { directory: Some(row.get(0)), ..Recorded::default() };
    if inbound && !objects {
        let numbers = earlier::numbers_elsewhere(db, slug)?.into_iter();
        recorded.numbers_elsewhere = numbers.map(|(number, tenant)| (number, Some(tenant))).collect();
    }
    let Some(id) = row.get::<_, Option<Uuid>>(1) else {
        if objects {
            objects::numbers(db, slug, &mut recorded)?;
        }
        return Ok(recorded);
    };
    let unreadable = &mut recorded.unreadable;
    let settings: Option<Settings> = readable(row.get(2), || Place::Settings(slug.clone()), unreadable);
    recorded.tenant = Some(RecordedTenant { id, settings: settings.unwrap_or_default() });
    if let Some(text) = row.get(4) {
        recorded.applied = readable::<LiveRoutes>(text, || Place::Applied(slug.clone()), unreadable);
    }
    if let Some(text) = row.get(3) {
        let routes: Option<Routes> = readable(text, || Place::Routes(slug.clone()), unreadable);
        recorded.routes = routes.unwrap_or_default();
        recorded.secrets = earlier::secrets(db, id, applied)?;
    }
    users(db, id, applied, &mut recorded)?;
    if objects {
        objects::read(db, id, slug, schema, &mut recorded)?;
    }
    // One statement for what has few columns: each costs a round trip.
    let numbers = objects::public_numbers("(select slug from tenants where id = $1)");
    let numbers = format!(" union all select null, number, null, recorded, tenant, null from ({numbers}) as n");
    let lists = [
        (true, HELD),
        (schema < objects::OWNERS_SINCE, FORMER_BEFORE),
        (schema >= objects::OWNERS_SINCE, FORMER),
        (applied, FREED),
        (objects, &numbers),
        (schema >= undo::SINCE, KEPT),
    ];
    let statement: String = lists.iter().filter(|(is_known, _)| *is_known).map(|(_, list)| *list).collect();
    let rows = db
        .query_typed(&statement, &[(&id, Type::UUID)])
        .map_err(failed("read the held extensions, the former users, their secrets and the public numbers"))?;
    for row in rows {
        if let Some(owner) = row.get(4) {
            objects::note_number((row.get(1), owner, row.get(3)), slug, &mut recorded);
            continue;
        }
        if let Some(kept) = row.get(5) {
            recorded.former_secrets.insert(UserKey::of(row.get(1)), kept);
            continue;
        }
        match row.get::<_, Option<i32>>(0) {
            Some(freed) => {
                let list = if row.get(3) { &mut recorded.holds } else { &mut recorded.freed };
                list.insert(number(freed)?, Hold { owner: NumberOwner::of(row.get(1)), freed_at: row.get(2) });
            }
            None => drop(recorded.former.insert(UserKey::of(row.get(1)), managed_by(row.get(3)))),
        }
    }
    Ok(recorded)
}

/// Reads a tenant's users, row by row: the rows of a hundred thousand users take more memory than the users.
fn users(
    db: &mut impl GenericClient,
    tenant: Uuid,
    applied: bool,
    recorded: &mut Recorded,
) -> Result<(), DirectoryError> {
    let later = if applied { "u.digest_applied, u.previous_key" } else { "null::bytea, null::text" };
    let mut rows = db
        .query_typed_raw(
            &format!(
                "select u.id, u.email, u.name, u.managed_by = 'api', u.protected, nullif(u.phone, '{{}}')::text,
                        e.number, u.secret_declared, u.secret_salt, u.secret_fingerprint, u.digest_fingerprint,
                        {later}
                 from users u join extensions e on e.user_id = u.id
                 where u.tenant_id = $1"
            ),
            [(&tenant, Type::UUID)],
        )
        .map_err(failed("read the users"))?;
    let mut lists = Vec::new();
    while let Some(row) = rows.next().map_err(failed("read the users"))? {
        let (user, list) = user(&row, &mut recorded.unreadable)?;
        lists.extend(list.map(|list| (user.email.key(), list)));
        recorded.users.insert(user.email.key(), user);
    }
    recorded.users = packed(mem::take(&mut recorded.users));
    take_lists(lists, recorded);
    Ok(())
}

/// Reads the sealed secrets of a tenant's users, former ones too, and objects, by their rows.
pub(super) fn sealed(db: &mut impl GenericClient, tenant: Uuid) -> Result<BTreeMap<Uuid, Vec<u8>>, DirectoryError> {
    let rows = db
        .query_typed(
            "select id, secret_sealed from users where tenant_id = $1
             union all select o.id, s.secret_sealed from objects o join secrets s on s.object_id = o.id
             where o.tenant_id = $1
             union all select user_id, secret_sealed from former_secrets where tenant_id = $1",
            &[(&tenant, Type::UUID)],
        )
        .map_err(failed("read the secrets"))?;
    Ok(rows.into_iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Reads a document, or notes why it cannot be read.
fn readable<D: Document>(
    text: &str,
    place: impl FnOnce() -> Place,
    unreadable: &mut Vec<UnreadableDocument>,
) -> Option<D> {
    document::read(text, place).map_err(|document| unreadable.push(document)).ok()
}

/// Reads a user, without the list of who gets the calls that nobody answers: that names other users by their rows.
fn user(
    row: &Row,
    unreadable: &mut Vec<UnreadableDocument>,
) -> Result<(RecordedUser, Option<TargetsOfRow>), DirectoryError> {
    let id = row.get(0);
    let email: Identity = row.get::<_, &str>(1).parse().map_err(bad_row("e-mail"))?;
    // Most users have none, which is no document: `{}`.
    let document: Option<UserDocument> =
        row.get::<_, Option<&str>>(5).and_then(|text| readable(text, || Place::Phone(id, email.clone()), unreadable));
    let UserDocument { phone, pinned, no_answer } = document.unwrap_or_default();
    let user = RecordedUser {
        id,
        email,
        name: DisplayName::recorded(row.get(2)).map_err(bad_row("name"))?,
        managed_by: managed_by(row.get(3)),
        protected: row.get(4),
        phone: phone.shared(),
        pinned,
        no_answer: None,
        extension: number(row.get(6))?,
        secret_declared: row.get(7),
        prints: Arc::new(Prints { salt: row.get(8), secret: row.get(9), digest: row.get(10) }),
        applied: row.get(11),
        previous: row.get::<_, Option<&str>>(12).map(UserKey::of),
    };
    Ok((user, no_answer))
}

fn managed_by(is_api: bool) -> ManagedBy {
    if is_api { ManagedBy::Api } else { ManagedBy::File }
}

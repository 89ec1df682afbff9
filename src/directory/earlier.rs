//! What a `plan` reads of a schema whose objects had no rows of their own: one document held them all.

use std::collections::BTreeMap;

use postgres::{GenericClient, types::Type};
use uuid::Uuid;

use super::{DirectoryError, RecordedSecret, failed, seal::ObjectPrint, sql::bad_row};
use crate::{
    model::{E164, Tenant},
    objects::{ObjectId, Routes},
};

/// The first schema version that holds anything about inbound calls.
pub(super) const INBOUND_SINCE: i32 = 6;

/// Reads what is known of the secrets of a tenant's objects, and on a schema that knows it which of them were applied
/// last.
pub(super) fn secrets(
    db: &mut impl GenericClient,
    tenant: Uuid,
    applied: bool,
) -> Result<BTreeMap<ObjectId, RecordedSecret>, DirectoryError> {
    let applied = if applied { "fingerprint_applied" } else { "null::bytea" };
    let rows = db
        .query_typed(
            &format!(
                "select 'trunk', trunk, id, secret_salt, secret_fingerprint, {applied}
                 from trunk_secrets where tenant_id = $1"
            ),
            &[(&tenant, Type::UUID)],
        )
        .map_err(failed("read the trunks"))?;
    let secret = |row: &postgres::Row| {
        let kind = row.get::<_, &str>(0).parse().map_err(bad_row("kind"))?;
        let print = ObjectPrint { kind, salt: row.get(3), shown: row.get(4) };
        Ok(((kind, row.get(1)), RecordedSecret { id: row.get(2), print: Some(print), applied: row.get(5) }))
    };
    rows.iter().map(secret).collect()
}

/// Reads which public numbers other tenants have, and which one: of several, the first in the alphabet.
pub(super) fn numbers_elsewhere(
    db: &mut impl GenericClient,
    slug: &Tenant,
) -> Result<BTreeMap<E164, Tenant>, DirectoryError> {
    // Recorded or applied: the one is live with their next apply, by whom ever, the other is it until then.
    let rows = db
        .query_typed(
            &format!(
                "select n.number, n.tenant from (
                    select slug as tenant, jsonb_path_query(routes, '$.{path}') #>> '{{}}' as number from tenants
                    union select tenant, jsonb_path_query(applied, '$.routes.{path}') #>> '{{}}' from applied_routes
                 ) n order by n.tenant desc",
                path = Routes::NUMBERS
            ),
            &[],
        )
        .map_err(failed("read the numbers of other tenants"))?;
    // What a later version wrote there and this one cannot read is in nobody's way.
    let owned =
        |row: &postgres::Row| Some((row.get::<_, Option<&str>>(0)?.parse().ok()?, row.get::<_, &str>(1).parse().ok()?));
    let owned = rows.iter().filter_map(owned);
    Ok(owned.filter(|(_, tenant): &(E164, Tenant)| tenant != slug).collect())
}

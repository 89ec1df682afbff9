//! The statements about inbound calls: what is recorded about them, and what callers reach.

use std::collections::BTreeMap;

use postgres::{GenericClient, types::Type};
use uuid::Uuid;

use super::{
    Directory, DirectoryError, LOCK, RecordedSecret, audit, document, failed, lock,
    read::bad_row,
    seal::TrunkPrint,
    write::{NewSecret, run},
};
use crate::{
    calls::Applied,
    model::{E164, ObjectName, Tenant},
    objects::Routes,
};

/// The first schema version that holds anything about them.
pub(super) const SINCE: i32 = 6;

/// What a sync or apply writes about a tenant's inbound calls.
#[derive(Debug, Default)]
pub struct InboundRows {
    /// The routes, where they changed.
    pub routes: Option<Routes>,
    /// Trunks whose secret is not needed any more.
    pub forgotten: Vec<ObjectName>,
    /// Trunks with a new secret or login: whole rows.
    pub secrets: Vec<TrunkRow>,
}

/// The row of a trunk's secret as it shall be.
#[derive(Debug)]
pub struct TrunkRow {
    /// The trunk.
    pub trunk: ObjectName,
    /// The row's identity.
    pub id: Uuid,
    /// The secret.
    pub sealed: NewSecret,
    /// Its fingerprint.
    pub print: TrunkPrint,
}

/// Reads what is known of the secrets of a tenant's trunks, and on a schema that knows it which of them
/// were applied last.
pub(super) fn secrets(
    db: &mut impl GenericClient,
    tenant: Uuid,
    applied: bool,
) -> Result<BTreeMap<ObjectName, RecordedSecret>, DirectoryError> {
    let applied = if applied { "fingerprint_applied" } else { "null::bytea" };
    let rows = db
        .query_typed(
            &format!(
                "select trunk, id, secret_salt, secret_fingerprint, {applied} from trunk_secrets where tenant_id = $1"
            ),
            &[(&tenant, Type::UUID)],
        )
        .map_err(failed("read the trunks"))?;
    let secret = |row: &postgres::Row| {
        let name = row.get::<_, &str>(0).parse().map_err(bad_row("trunk"))?;
        let print = TrunkPrint { salt: row.get(2), shown: row.get(3) };
        Ok((name, RecordedSecret { id: row.get(1), print, applied: row.get(4) }))
    };
    rows.iter().map(secret).collect()
}

/// Reads which public numbers other tenants have, and which one.
pub(super) fn numbers_elsewhere(
    db: &mut impl GenericClient,
    slug: &Tenant,
) -> Result<BTreeMap<E164, Tenant>, DirectoryError> {
    Ok(owned(db)?.into_iter().filter(|(_, tenant)| tenant != slug).collect())
}

/// Reads who has which public number; whose slug comes first in the alphabet, comes last.
fn owned(db: &mut impl GenericClient) -> Result<Vec<(E164, Tenant)>, DirectoryError> {
    // Recorded or applied: the one is live with their next apply, by whom ever, the other is it until then.
    let rows = db
        .query_typed(
            "select n.number, n.tenant from (
                select slug as tenant, jsonb_path_query(routes, '$.rules[*].to.did') #>> '{}' as number from tenants
                union select tenant, jsonb_path_query(applied, '$.routes.rules[*].to.did') #>> '{}' from applied_routes
             ) n order by n.tenant desc",
            &[],
        )
        .map_err(failed("read the numbers of other tenants"))?;
    // What a later version wrote there and this one cannot read is in nobody's way.
    let owned =
        |row: &postgres::Row| Some((row.get::<_, Option<&str>>(0)?.parse().ok()?, row.get::<_, &str>(1).parse().ok()?));
    Ok(rows.iter().filter_map(owned).collect())
}

/// Makes sure that no other tenant took one of the numbers since they were planned, nor will before the end of
/// the transaction. What the tenant had before, it keeps.
fn claim(db: &mut impl GenericClient, slug: &Tenant, routes: &Routes) -> Result<(), DirectoryError> {
    db.batch_execute(&lock("public numbers")).map_err(failed(LOCK))?;
    let (ours, mut elsewhere): (BTreeMap<_, _>, BTreeMap<_, _>) =
        owned(db)?.into_iter().partition(|(_, tenant)| tenant == slug);
    let new = routes.numbers().into_iter().filter(|number| !ours.contains_key(*number));
    let taken = new.into_iter().find_map(|number| elsewhere.remove_entry(number));
    taken.map_or(Ok(()), |(number, tenant)| Err(DirectoryError::NumberTaken { number, tenant }))
}

/// Says how a public number that another tenant has gets free.
pub fn hint_of_taken(other: &Tenant) -> String {
    format!(
        "remove it from the file of `{other}`, and apply that first; where `{other}` was renamed or is no more, \
         apply its last file once more without the number"
    )
}

/// Writes the changes: five statements at most.
pub(super) fn change(
    db: &mut impl GenericClient,
    tenant: Uuid,
    slug: &Tenant,
    changes: &InboundRows,
) -> Result<(), DirectoryError> {
    let InboundRows { routes, forgotten, secrets } = changes;
    if let Some(routes) = routes {
        claim(db, slug, routes)?;
    }
    if !forgotten.is_empty() {
        let trunks: Vec<&str> = forgotten.iter().map(ObjectName::as_str).collect();
        run(
            db,
            "forget the secrets of trunks",
            "delete from trunk_secrets where tenant_id = $1 and trunk = any ($2)",
            &[(&tenant, Type::UUID), (&trunks, Type::TEXT_ARRAY)],
        )?;
    }
    if !secrets.is_empty() {
        let trunks: Vec<&str> = secrets.iter().map(|row| row.trunk.as_str()).collect();
        let ids: Vec<Uuid> = secrets.iter().map(|row| row.id).collect();
        let sealed: Vec<&[u8]> = secrets.iter().map(|row| row.sealed.as_slice()).collect();
        let salts: Vec<&[u8]> = secrets.iter().map(|row| row.print.salt.as_slice()).collect();
        let prints: Vec<&[u8]> = secrets.iter().map(|row| row.print.shown.as_slice()).collect();
        run(
            db,
            "record the secrets of trunks",
            "insert into trunk_secrets (tenant_id, trunk, id, secret_sealed, secret_salt, secret_fingerprint)
             select $1, n.trunk, n.id, n.sealed, n.salt, n.print
             from unnest($2, $3, $4, $5, $6) as n (trunk, id, sealed, salt, print)
             on conflict (tenant_id, trunk) do update set
                id = excluded.id, secret_sealed = excluded.secret_sealed, secret_salt = excluded.secret_salt,
                secret_fingerprint = excluded.secret_fingerprint",
            &[
                (&tenant, Type::UUID),
                (&trunks, Type::TEXT_ARRAY),
                (&ids, Type::UUID_ARRAY),
                (&sealed, Type::BYTEA_ARRAY),
                (&salts, Type::BYTEA_ARRAY),
                (&prints, Type::BYTEA_ARRAY),
            ],
        )?;
    }
    if routes.is_none() && forgotten.is_empty() && secrets.is_empty() {
        return Ok(());
    }
    // A new secret, too, puts the hosts behind what is recorded.
    let action = "record the inbound calls";
    let written = routes
        .as_ref()
        .filter(|routes| !routes.is_empty())
        .map(|routes| document::write(action, routes))
        .transpose()?;
    run(
        db,
        action,
        "update tenants set routes = case when $2 then $3::jsonb else routes end, updated_at = now() where id = $1",
        &[(&tenant, Type::UUID), (&routes.is_some(), Type::BOOL), (&written, Type::TEXT)],
    )
}

/// What an apply made live, as the directory remembers it.
#[derive(Debug)]
pub struct MadeLive<'a> {
    /// The tenant's row.
    pub tenant: Uuid,
    /// Users whose digest is another one than the apply before made live, with its fingerprint.
    pub digests: Vec<(Uuid, &'a [u8])>,
    /// The same for the secrets of trunks.
    pub trunk_secrets: Vec<(&'a ObjectName, &'a [u8])>,
    /// What callers reach from now on, or `None` if the tenant has no inbound calls and had none.
    pub routes: Option<Applied>,
}

impl Directory {
    /// Closes the audit row of an apply that made it so, and remembers what is live now. Callers reach
    /// these routes from then on, unless a later apply was faster.
    ///
    /// # Errors
    /// When the database fails; then the row stays open, and callers reach what they did.
    pub fn close_applied(&mut self, id: i64, end: &audit::End, live: &MadeLive<'_>) -> Result<(), DirectoryError> {
        let action = "remember what was applied";
        let MadeLive { tenant, digests, trunk_secrets, routes } = live;
        if digests.is_empty() && trunk_secrets.is_empty() && routes.is_none() {
            return self.close_audit(id, end);
        }
        let mut transaction = self.client().transaction().map_err(failed("start a transaction"))?;
        audit::close(&mut transaction, id, end)?;
        if !digests.is_empty() {
            let (users, prints): (Vec<Uuid>, Vec<&[u8]>) = digests.iter().copied().unzip();
            run(
                &mut transaction,
                action,
                "update users u set digest_applied = n.digest from unnest($2, $3) as n (id, digest)
                 where u.tenant_id = $1 and u.id = n.id",
                &[(tenant, Type::UUID), (&users, Type::UUID_ARRAY), (&prints, Type::BYTEA_ARRAY)],
            )?;
        }
        if !trunk_secrets.is_empty() {
            let trunks: Vec<&str> = trunk_secrets.iter().map(|(trunk, _)| trunk.as_str()).collect();
            let prints: Vec<&[u8]> = trunk_secrets.iter().map(|(_, print)| *print).collect();
            run(
                &mut transaction,
                action,
                "update trunk_secrets t set fingerprint_applied = n.print from unnest($2, $3) as n (trunk, print)
                 where t.tenant_id = $1 and t.trunk = n.trunk",
                &[(tenant, Type::UUID), (&trunks, Type::TEXT_ARRAY), (&prints, Type::BYTEA_ARRAY)],
            )?;
        }
        if let Some(applied) = routes {
            run(
                &mut transaction,
                action,
                "insert into applied_routes as a (tenant, run, applied) values ($1, $2, $3::jsonb)
                 on conflict (tenant) do update set run = excluded.run, applied = excluded.applied, applied_at = now()
                 where a.run < excluded.run",
                &[
                    (&applied.tenant.as_str(), Type::TEXT),
                    (&applied.run, Type::INT8),
                    (&document::write(action, applied)?, Type::TEXT),
                ],
            )?;
        }
        transaction.commit().map_err(failed(action))
    }
}

//! What callers reach, as an apply that ends records it.

use postgres::types::Type;
use uuid::Uuid;

use super::{
    Directory, DirectoryError, audit, document, failed,
    objects::{self, NumberUse},
    sql::execute,
};
use crate::{calls::LiveRoutes, model::E164};

/// What an apply made live, as the directory remembers it.
#[derive(Debug)]
pub struct MadeLive<'a> {
    /// The tenant's row.
    pub tenant: Uuid,
    /// Users whose digest is another one than the apply before made live, with its fingerprint.
    pub digests: Vec<(Uuid, &'a [u8])>,
    /// The same for the secrets of objects.
    pub secrets: Vec<(Uuid, &'a [u8])>,
    /// What callers reach from now on, or `None` if the tenant has no inbound calls and had none.
    pub routes: Option<LiveRoutes>,
}

impl Directory {
    /// Closes the audit row of an apply that made it so, and remembers what is live now. Callers reach
    /// these routes from then on, unless a later apply was faster.
    ///
    /// # Errors
    /// When the database fails; then the row stays open, and callers reach what they did.
    pub(crate) fn close_applied(
        &mut self,
        id: i64,
        end: &audit::End,
        live: &MadeLive<'_>,
    ) -> Result<(), DirectoryError> {
        let action = "remember what was applied";
        let MadeLive { tenant, digests, secrets, routes } = live;
        if digests.is_empty() && secrets.is_empty() && routes.is_none() {
            return self.close_audit(id, end);
        }
        let mut transaction = self.client().transaction().map_err(failed("start a transaction"))?;
        audit::close(&mut transaction, id, end)?;
        if !digests.is_empty() {
            let (users, prints): (Vec<Uuid>, Vec<&[u8]>) = digests.iter().copied().unzip();
            execute(
                &mut transaction,
                action,
                "update users u set digest_applied = n.digest from unnest($2, $3) as n (id, digest)
                 where u.tenant_id = $1 and u.id = n.id",
                &[(tenant, Type::UUID), (&users, Type::UUID_ARRAY), (&prints, Type::BYTEA_ARRAY)],
            )?;
        }
        if !secrets.is_empty() {
            let (objects, prints): (Vec<Uuid>, Vec<&[u8]>) = secrets.iter().copied().unzip();
            execute(
                &mut transaction,
                action,
                "update secrets s set fingerprint_applied = n.print from unnest($1, $2) as n (object, print)
                 where s.object_id = n.object",
                &[(&objects, Type::UUID_ARRAY), (&prints, Type::BYTEA_ARRAY)],
            )?;
        }
        if let Some(applied) = routes {
            let later = transaction
                .query_typed_opt(
                    "insert into applied_routes as a (tenant, run, applied) values ($1, $2, $3::jsonb)
                     on conflict (tenant) do update set run = excluded.run, applied = excluded.applied,
                        applied_at = now()
                     where a.run < excluded.run returning a.run",
                    &[
                        (&applied.tenant.as_str(), Type::TEXT),
                        (&applied.run, Type::INT8),
                        (&document::write(action, applied)?, Type::TEXT),
                    ],
                )
                .map_err(failed(action))?;
            if later.is_some() {
                let numbers: Vec<&str> = applied.routes.numbers().into_iter().map(E164::as_str).collect();
                objects::hold_numbers(&mut transaction, &applied.tenant, NumberUse::Applied, &numbers)?;
            }
        }
        transaction.commit().map_err(failed(action))
    }
}

//! A tenant that is taken out of the directory, with all that is recorded about it.

use postgres::types::Type;

use super::{DirectoryError, Writer, failed};
use crate::model::Tenant;

/// The tables with rows of a tenant by its id, those first whose rows name rows of the others.
const BY_ID: [&str; 9] = [
    "idempotency_keys",
    "former_secrets",
    "freed_numbers",
    "former_users",
    "extensions",
    "secrets",
    "objects",
    "users",
    "tenants",
];

/// The tables with rows of a tenant by its slug.
const BY_SLUG: [&str; 6] =
    ["applied_routes", "public_numbers", "calls", "api_tokens", "desired_states", "apply_audit_log"];

/// Writes the condition by which a table's rows are those of the tenant `$1`.
fn condition(table: &str) -> &'static str {
    match table {
        "tenants" => "id = (select id from tenants where slug = $1)",
        "secrets" => "object_id in (select o.id from objects o join tenants t on t.id = o.tenant_id where t.slug = $1)",
        _ => "tenant_id = (select id from tenants where slug = $1)",
    }
}

impl Writer<'_> {
    /// Lists other hosts whose last run with files of a tenant left some that define phones.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn hosts_with_files(
        &mut self,
        tenant: &Tenant,
        generation: &str,
    ) -> Result<Vec<String>, DirectoryError> {
        let rows = self
            .client
            .query_typed(
                "select host from (
                    select distinct on (host) host, generation from apply_audit_log
                    where tenant = $1 and outcome in ('live', 'rendered', 'rolled_back', 'not_live', 'interrupted')
                        and command = 'apply'
                    order by host, id desc) as last
                 where generation is distinct from $2 order by host",
                &[(&tenant.as_str(), Type::TEXT), (&generation, Type::TEXT)],
            )
            .map_err(failed("look for other hosts"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Deletes all that is recorded about a tenant.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn remove_tenant(&mut self, tenant: &Tenant) -> Result<(), DirectoryError> {
        let by_id = BY_ID.map(|table| format!("delete from {table} where {}", condition(table)));
        let by_slug = BY_SLUG.map(|table| format!("delete from {table} where tenant = $1"));
        // Tokens are named by the answers that are kept for them.
        let (answers, rest) = by_id.split_at(1);
        for statement in answers.iter().chain(&by_slug).chain(rest) {
            self.client
                .query_typed(statement, &[(&tenant.as_str(), Type::TEXT)])
                .map_err(failed("remove the tenant"))?;
        }
        Ok(())
    }
}

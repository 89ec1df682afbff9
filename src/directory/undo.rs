//! What lets an apply be undone: what the file said at each run, the secrets of deleted users, and which generations were
//! put back.

use std::collections::BTreeMap;

use postgres::{GenericClient, types::Type};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Directory, DirectoryError, Place, Schema, Writer, document, failed};
use crate::model::{Tenant, document::Map};

/// The first schema version that knows any of it.
pub(super) const SINCE: i32 = 14;

/// The files of a desired state, by name.
pub type DesiredFiles = BTreeMap<String, String>;

/// A generation of files that was put back, and the run that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadGeneration {
    /// The run.
    pub run: i64,
    /// The hash of the rendered files, secrets and marks masked.
    pub generation: String,
}

/// What of a run is kept to go back to it.
#[derive(Debug, Clone)]
pub struct RunState {
    /// What the file said; `None` if the run had no file, or it is no longer kept.
    pub files: Option<DesiredFiles>,
    /// The later runs that changed anything, the last one first, each with its commit if it had one.
    pub later: Vec<(i64, Option<String>)>,
}

/// Keeps what the file says; returns the hash by which the run names it.
pub(super) fn keep_desired(
    db: &mut impl GenericClient,
    tenant: &Tenant,
    files: &DesiredFiles,
) -> Result<Option<Vec<u8>>, DirectoryError> {
    if files.is_empty() {
        return Ok(None);
    }
    let action = "keep the desired state";
    let text = document::write(action, &Map(files.clone()))?;
    let digest = Sha256::digest(&text).to_vec();
    db.query_typed(
        "insert into desired_states (tenant, digest, files) values ($1, $2, $3::jsonb) on conflict do nothing",
        &[(&tenant.as_str(), Type::TEXT), (&digest, Type::BYTEA), (&text, Type::TEXT)],
    )
    .map_err(failed(action))?;
    Ok(Some(digest))
}

/// Keeps the generated secrets of users that are deleted, and forgets those of users that are made.
pub(super) fn keep_secrets(
    db: &mut impl GenericClient,
    tenant: Uuid,
    deletes: &[Uuid],
    created: &[String],
) -> Result<(), DirectoryError> {
    if deletes.is_empty() && created.is_empty() {
        return Ok(());
    }
    db.query_typed(
        "with returned as (delete from former_secrets where tenant_id = $1 and email_key = any ($3))
         insert into former_secrets (tenant_id, email_key, user_id, secret_sealed)
         select tenant_id, email_key, id, secret_sealed from users
         where tenant_id = $1 and id = any ($2) and not secret_declared
         on conflict (tenant_id, email_key) do update
             set user_id = excluded.user_id, secret_sealed = excluded.secret_sealed, left_at = now()",
        &[(&tenant, Type::UUID), (&deletes, Type::UUID_ARRAY), (&created, Type::TEXT_ARRAY)],
    )
    .map_err(failed("keep the secrets of deleted users"))?;
    Ok(())
}

impl Directory {
    /// Reads what is kept of a run. `None` if the tenant has no such run.
    ///
    /// # Errors
    /// When the database fails.
    pub fn run_state(&mut self, tenant: &Tenant, run: i64) -> Result<Option<RunState>, DirectoryError> {
        let action = "read what the file said";
        let row = self
            .client()
            .query_typed_opt(
                "select s.files::text from apply_audit_log a
                 left join desired_states s on s.tenant = a.tenant and s.digest = a.desired
                 where a.tenant = $1 and a.id = $2",
                &[(&tenant.as_str(), Type::TEXT), (&run, Type::INT8)],
            )
            .map_err(failed(action))?;
        let Some(row) = row else { return Ok(None) };
        let files = row.get::<_, Option<&str>>(0).map(|text| document::read(text, || Place::Run(run, "desired state")));
        let files = files.transpose()?.map(|Map(files)| files);
        let rows = self
            .client()
            .query_typed(
                "select a.id, a.git_commit from apply_audit_log a
                 where a.tenant = $1 and a.id > $2 and a.desired is not null
                    and a.desired is distinct from (select b.desired from apply_audit_log b
                        where b.tenant = $1 and b.id < a.id and b.desired is not null order by b.id desc limit 1)
                 order by a.id desc",
                &[(&tenant.as_str(), Type::TEXT), (&run, Type::INT8)],
            )
            .map_err(failed(action))?;
        Ok(Some(RunState { files, later: rows.iter().map(|row| (row.get(0), row.get(1))).collect() }))
    }

    /// Lists the generations of a host that were put back and never made live again since: those that an apply put
    /// back, and the live one whose files have these hashes.
    ///
    /// # Errors
    /// When the database fails.
    pub fn bad_generations(
        &mut self,
        tenant: &Tenant,
        host: &str,
        put_away: &BTreeMap<String, String>,
    ) -> Result<Vec<BadGeneration>, DirectoryError> {
        let action = "read which generations were put back";
        if !is_known(self.schema()?) {
            return Ok(Vec::new());
        }
        let hashes = serde_json::to_string(put_away).map_err(|source| DirectoryError::Unwritable { action, source })?;
        let rows = self
            .client()
            .query_typed(
                "select max(a.id), a.generation from apply_audit_log a
                 where a.tenant = $1 and a.host = $2 and a.generation is not null
                    and (a.is_bad or $3::text <> '{}' and a.files @> $3::jsonb and a.outcome in ('live', 'rendered'))
                    and not exists (
                        select from apply_audit_log b
                        where b.tenant = $1 and b.host = $2 and b.generation = a.generation and b.id > a.id
                            and b.outcome in ('live', 'rendered') and not b.is_bad
                            and not ($3::text <> '{}' and b.files @> $3::jsonb))
                 group by a.generation order by 1",
                &[(&tenant.as_str(), Type::TEXT), (&host, Type::TEXT), (&hashes, Type::TEXT)],
            )
            .map_err(failed(action))?;
        Ok(rows.iter().map(|row| BadGeneration { run: row.get(0), generation: row.get(1) }).collect())
    }
}

impl Writer<'_> {
    /// Marks the runs of a host whose files an administrator put away.
    ///
    /// # Errors
    /// When the database fails.
    pub fn mark_put_away(
        &mut self,
        tenant: &Tenant,
        host: &str,
        put_away: &BTreeMap<String, String>,
    ) -> Result<(), DirectoryError> {
        let action = "mark what was put back";
        if put_away.is_empty() {
            return Ok(());
        }
        let hashes = serde_json::to_string(put_away).map_err(|source| DirectoryError::Unwritable { action, source })?;
        self.client
            .query_typed(
                "update apply_audit_log set is_bad = true
                 where tenant = $1 and host = $2 and outcome in ('live', 'rendered') and files @> $3::jsonb",
                &[(&tenant.as_str(), Type::TEXT), (&host, Type::TEXT), (&hashes, Type::TEXT)],
            )
            .map_err(failed(action))?;
        Ok(())
    }
}

/// Tells whether a schema knows any of it.
fn is_known(schema: Schema) -> bool {
    match schema {
        Schema::Absent => false,
        Schema::Older(version) => version >= SINCE,
        Schema::Current => true,
    }
}

//! What the database says about a connection, for `doctor`.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Directory, DirectoryError, Schema, failed};
use crate::model::Tenant;

/// What the database says about a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Probe {
    /// Whether its role is a superuser.
    pub(crate) is_superuser: bool,
    /// By how many seconds the database's clock is ahead of this host's.
    pub(crate) seconds_ahead: f64,
}

impl Directory {
    /// Asks the database about this connection.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn probe(&mut self) -> Result<Probe, DirectoryError> {
        let before = Timestamp::now();
        let row = self
            .client()
            .query_typed_one(
                "select (select rolsuper from pg_roles where rolname = current_user),
                        extract(epoch from clock_timestamp())::float8",
                &[],
            )
            .map_err(failed("describe the connection"))?;
        // The answer was made about half-way.
        let took = Timestamp::now().duration_since(before).as_secs_f64();
        let here = before.as_duration().as_secs_f64() + took / 2.0;
        Ok(Probe { is_superuser: row.get(0), seconds_ahead: row.get::<_, f64>(1) - here })
    }

    /// Reads the id of the directory. `None` before the first migration.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn id(&mut self) -> Result<Option<Uuid>, DirectoryError> {
        if self.schema()? == Schema::Absent {
            return Ok(None);
        }
        let row = self
            .client()
            .query_typed_opt("select id from directory", &[])
            .map_err(failed("read the directory's id"))?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Lists the recorded tenants, by slug.
    ///
    /// # Errors
    /// When the database fails, or a slug is not one of ours.
    pub(crate) fn tenants(&mut self) -> Result<Vec<Tenant>, DirectoryError> {
        if self.schema()? == Schema::Absent {
            return Ok(Vec::new());
        }
        let rows = self
            .client()
            .query_typed("select slug from tenants order by slug collate \"C\"", &[])
            .map_err(failed("list the tenants"))?;
        let bad = |error: crate::model::Invalid| DirectoryError::BadRow { what: "tenant", reason: error.message };
        rows.iter().map(|row| row.get::<_, &str>(0).parse().map_err(bad)).collect()
    }
}

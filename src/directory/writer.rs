//! The one transaction in which a tenant's rows change.

use std::collections::BTreeMap;

use postgres::Client;
use uuid::Uuid;

use super::{DirectoryError, EarlierRun, Recorded, RowChanges, audit, latest, read, write};
use crate::model::Tenant;

/// The transaction in which a tenant's rows change; undone unless it is committed.
pub struct Writer<'a> {
    pub(super) client: &'a mut Client,
    pub(super) ended: bool,
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // Where this fails, the connection is lost, and the transaction with it.
            let _ = self.client.batch_execute("rollback");
        }
    }
}

impl Writer<'_> {
    /// Reads the tenant again, now that nobody else can change it.
    ///
    /// # Errors
    /// When the database fails, or if a document cannot be read.
    pub fn read(&mut self, tenant: &Tenant) -> Result<Recorded, DirectoryError> {
        read::tenant(self.client, tenant, latest())?.complete()
    }

    /// Reads the sealed secrets of all users and objects of a tenant, by their rows.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sealed(&mut self, tenant: Uuid) -> Result<BTreeMap<Uuid, Vec<u8>>, DirectoryError> {
        read::sealed(self.client, tenant)
    }

    /// Writes the changes: deletes, renames and updates, then creates; a handful of statements.
    ///
    /// # Errors
    /// When the database fails or refuses a row.
    pub fn change(&mut self, changes: &RowChanges) -> Result<(), DirectoryError> {
        write::change(self.client, changes)
    }

    /// Reads which runs applied a plan, the latest run of each target.
    ///
    /// # Errors
    /// When the database fails.
    pub fn runs_of_plan(&mut self, tenant: &Tenant, plan_id: &str) -> Result<Vec<EarlierRun>, DirectoryError> {
        audit::runs_of_plan(self.client, tenant, plan_id)
    }

    /// Opens an audit row.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_audit(&mut self, run: &audit::Run) -> Result<i64, DirectoryError> {
        audit::open(self.client, run)
    }

    /// Closes an audit row that the same transaction opened: a run that only records is never open.
    ///
    /// # Errors
    /// When the database fails.
    pub fn close_audit(&mut self, run: i64, end: &audit::End) -> Result<(), DirectoryError> {
        audit::close(self.client, run, end)
    }

    /// Adds a closed audit row for each deed, by the command that did it and the kind of change.
    ///
    /// # Errors
    /// When the database fails.
    pub fn audit_deeds(
        &mut self,
        tenant: &Tenant,
        host: &str,
        command: (&'static str, &'static str),
        deeds: &[audit::Deed<'_>],
    ) -> Result<(), DirectoryError> {
        audit::deeds(self.client, tenant, host, command, deeds)
    }

    /// Makes it all so.
    ///
    /// # Errors
    /// When the database fails; whether the rows are recorded then shows in the next plan.
    pub fn commit(mut self) -> Result<(), DirectoryError> {
        self.ended = true;
        self.client.batch_execute("commit").map_err(DirectoryError::Commit)
    }
}

//! What was applied about inbound calls, as servers read it: all tenants at once, and at once when it
//! changes.

use std::time::Duration;

use postgres::fallible_iterator::FallibleIterator;

use super::{Directory, DirectoryError, Place, document, failed, sql::bad_row};
use crate::{calls::LiveRoutes, model::Tenant};

/// A tenant, and what was applied last of it.
type AppliedRow = (String, Result<LiveRoutes, DirectoryError>);

impl Directory {
    /// Reads what was applied last of each tenant, or why one's cannot be read, as where a later version
    /// wrote it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn applied_routes(&mut self) -> Result<Vec<AppliedRow>, DirectoryError> {
        let rows = self
            .client()
            .query_typed("select tenant, applied::text from applied_routes order by tenant", &[])
            .map_err(failed("read the applied routes"))?;
        let applied = |row: &postgres::Row| {
            let tenant: Tenant = row.get::<_, &str>(0).parse().map_err(bad_row("tenant"))?;
            Ok(document::read(row.get(1), || Place::Applied(tenant))?)
        };
        Ok(rows.iter().map(|row| (row.get(0), applied(row))).collect())
    }

    /// Subscribes to the end of applies. Behind a transaction pooler, no notification arrives.
    ///
    /// # Errors
    /// When the database fails.
    pub fn listen(&mut self) -> Result<(), DirectoryError> {
        self.client().batch_execute("listen reconcile_applied").map_err(failed("listen"))
    }

    /// Waits until an apply ends, so long at most; says whether one did.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(crate) fn wait_for_apply(&mut self, at_most: Duration) -> Result<bool, DirectoryError> {
        let mut notifications = self.client().notifications();
        let told = notifications.timeout_iter(at_most).next().map_err(failed("listen"))?.is_some();
        // Several at once are one.
        while notifications.iter().next().map_err(failed("listen"))?.is_some() {}
        Ok(told)
    }
}

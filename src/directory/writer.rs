//! The one transaction in which a tenant's rows change.

use postgres::Client;

use super::DirectoryError;

/// The transaction in which a tenant's rows change; undone unless it is committed. What is read and written in it is with
/// the statements.
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
    /// Makes it all so.
    ///
    /// # Errors
    /// When the database fails; whether the rows are recorded then shows in the next plan.
    pub fn commit(mut self) -> Result<(), DirectoryError> {
        self.ended = true;
        self.client.batch_execute("commit").map_err(DirectoryError::Commit)
    }
}

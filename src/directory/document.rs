//! Documents in rows: which they are, and what the operator does about one that cannot be read.

use std::fmt;

use uuid::Uuid;

use super::DirectoryError;
use crate::model::{Document, Identity, Tenant, Unreadable, document, quoted};

/// A document in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `tenants.settings`.
    Settings(Tenant),
    /// `tenants.routes`, of a schema before objects had rows.
    Routes(Tenant),
    /// A row of `objects`.
    Object {
        /// The tenant.
        tenant: Tenant,
        /// The row.
        id: Uuid,
        /// The kind and the name.
        name: String,
    },
    /// `applied_routes.applied`.
    Applied(Tenant),
    /// `users.phone`.
    Phone(Uuid, Identity),
    /// A column of the audit log.
    Run(i64, &'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(tenant) => write!(f, "the recorded settings of the tenant `{tenant}`"),
            Self::Routes(tenant) => write!(f, "the recorded routes of the tenant `{tenant}`"),
            Self::Object { tenant, name, .. } => {
                write!(f, "the recorded {} of the tenant `{tenant}`", quoted(name))
            }
            Self::Applied(tenant) => write!(f, "the routes that were applied last of the tenant `{tenant}`"),
            Self::Phone(_, email) => write!(f, "the recorded phone of `{email}`"),
            Self::Run(run, column) => write!(f, "the {column} of run {run}"),
        }
    }
}

impl Place {
    /// Returns the statement that takes a damaged document out. The next apply records what the file declares.
    fn reset(&self) -> Option<String> {
        match self {
            Self::Settings(tenant) => Some(format!("update tenants set settings = '{{}}' where slug = '{tenant}'")),
            Self::Routes(tenant) => Some(format!("update tenants set routes = null where slug = '{tenant}'")),
            Self::Object { id, .. } => Some(format!("delete from objects where id = '{id}'")),
            Self::Applied(tenant) => Some(format!("delete from applied_routes where tenant = '{tenant}'")),
            Self::Phone(id, _) => Some(format!("update users set phone = '{{}}' where id = '{id}'")),
            Self::Run(..) => None,
        }
    }
}

/// A document that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableDocument {
    /// Where it is kept.
    pub place: Place,
    /// Why it cannot be read.
    pub reason: Unreadable,
}

impl fmt::Display for UnreadableDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read: {}", self.place, self.reason)
    }
}

impl UnreadableDocument {
    /// Says what the operator does about it.
    pub fn hint(&self) -> Option<String> {
        if let Some(reader) = self.reason.reader() {
            return Some(format!("use {reader}; the document, the files and the running Asterisk stay as they are"));
        }
        let reset = self.place.reset()?;
        Some(format!(
            "restore it from a backup, or take it out with `{reset};` and apply the file: that records it again"
        ))
    }
}

/// Says how many more documents cannot be read.
pub(super) fn and_more(documents: usize) -> String {
    if documents == 0 { String::new() } else { format!("; nor can {documents} more of the tenant's documents") }
}

impl From<UnreadableDocument> for DirectoryError {
    fn from(document: UnreadableDocument) -> Self {
        Self::Document { document: Box::new(document), more: 0 }
    }
}

/// Reads a document of a row.
pub(super) fn read<D: Document>(text: &str, place: impl FnOnce() -> Place) -> Result<D, UnreadableDocument> {
    document::read(text).map_err(|reason| UnreadableDocument { place: place(), reason })
}

/// Writes a document for a row. An empty text or `null` in its place would be recorded as if it had been declared.
pub(super) fn write<D: Document>(action: &'static str, value: &D) -> Result<String, DirectoryError> {
    document::write(value).map_err(|source| DirectoryError::Unwritable { action, source })
}

#[cfg(test)]
mod tests {
    use crate::model::document::Map;

    /// It became `null` or an empty text, and was recorded.
    #[test]
    fn a_value_that_cannot_be_written_as_json_is_an_error() {
        let odd = Map([(vec![1], 2)].into());
        let error = super::write("record it", &odd).unwrap_err();
        assert_eq!(error.to_string(), "cannot record it: a value cannot be written as JSON");
    }
}

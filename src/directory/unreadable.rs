//! Documents in rows that cannot be read: which they are, and what the operator does about them.

use std::fmt;

use uuid::Uuid;

use crate::model::{Identity, Tenant, Unreadable, quoted};

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

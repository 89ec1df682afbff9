//! Why the directory cannot be reached, read or written.

use postgres::error::SqlState;

use super::{UnreadableDocument, embedded::EmbeddedError, seal::SealError};
use crate::model::{E164, Tenant};

/// The directory cannot be reached, read or written.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The driver does not take the connection URL, for this reason.
    #[error("the database URL cannot be understood: {0}")]
    BadUrl(String),
    /// A password ends where it should not, or the URL is encoded as a whole.
    #[error(
        "the database URL is ambiguous: user, password or host hold an `@`, `:`, `/`, `?` or `#` that is not encoded"
    )]
    AmbiguousUrl,
    /// The scheme is that of another program.
    #[error("the database URL does not begin with `postgres://`")]
    OtherScheme,
    /// The text has not even the form of one.
    #[error("the database URL is neither a URL nor pairs of `key=value`")]
    NoUrl,
    /// `sslmode` is a word that libpq does not know.
    #[error("`sslmode` in the database URL is not one of disable, allow, prefer, require, verify-ca and verify-full")]
    BadSslMode,
    /// TLS could not be set up.
    #[error("cannot set up TLS for the database: {0}")]
    Tls(String),
    /// No server answered or accepted the login.
    #[error("cannot connect to the database {url}")]
    Connect {
        /// The URL without its password.
        url: String,
        /// What the driver says.
        source: postgres::Error,
    },
    /// The embedded cluster does not run.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The answer to COMMIT never came, or was a refusal.
    #[error("the database did not confirm the commit: the rows may be recorded or not; nothing else was changed")]
    Commit(#[source] postgres::Error),
    /// A statement failed.
    #[error("the database refused to {action}")]
    Query {
        /// What was being done.
        action: &'static str,
        /// What the driver says.
        source: postgres::Error,
    },
    /// Migrations failed.
    #[error("cannot migrate the database")]
    Migrate(#[source] Box<refinery::Error>),
    /// The database was written by a later version of this program.
    #[error("the database has schema version {found}, this program knows up to {known}")]
    NewerSchema {
        /// The version in the database.
        found: i32,
        /// The latest version of this program.
        known: i32,
    },
    /// Nothing was ever recorded in the database.
    #[error("nothing is recorded in this database yet")]
    Empty,
    /// The database was written by an earlier version of this program.
    #[error("the database has schema version {found}, this program needs {known}")]
    OlderSchema {
        /// The version in the database.
        found: i32,
        /// The latest version of this program.
        known: i32,
    },
    /// A row holds what no version of this program writes.
    #[error("a recorded {what} cannot be understood: {reason}")]
    BadRow {
        /// Which column.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// A document in a row cannot be read.
    #[error("{document}{}", and_more(*more))]
    Document {
        /// The first one.
        document: Box<UnreadableDocument>,
        /// How many more of the tenant's documents cannot be read.
        more: usize,
    },
    /// Another tenant claimed the number in the meantime.
    #[error("tenant `{tenant}` has just claimed {number}; nothing was changed")]
    NumberTaken {
        /// The public number.
        number: E164,
        /// Whose it is.
        tenant: Tenant,
    },
    /// A value cannot be written as JSON.
    #[error("cannot {action}: a value cannot be written as JSON")]
    Unwritable {
        /// What was being done.
        action: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
    /// A secret cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl DirectoryError {
    /// Tells whether it may be gone in a moment: the server is away, starts, ends or is too busy.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Embedded(_) | Self::Commit(_) => true,
            Self::Query { source, .. } => {
                // Classes of SQLSTATE: connection, resources, operator's intervention.
                let passing = |code: &str| ["08", "53", "57"].iter().any(|class| code.starts_with(class));
                source.code().is_none_or(|state| {
                    passing(state.code())
                        || [SqlState::LOCK_NOT_AVAILABLE, SqlState::READ_ONLY_SQL_TRANSACTION].contains(state)
                })
            }
            _ => false,
        }
    }
}

/// Says how many more documents cannot be read.
fn and_more(documents: usize) -> String {
    if documents == 0 { String::new() } else { format!("; nor can {documents} more of the tenant's documents") }
}

impl From<UnreadableDocument> for DirectoryError {
    fn from(document: UnreadableDocument) -> Self {
        Self::Document { document: Box::new(document), more: 0 }
    }
}

/// A failed statement, with what it was for.
pub(crate) fn failed(action: &'static str) -> impl FnOnce(postgres::Error) -> DirectoryError {
    move |source| DirectoryError::Query { action, source }
}

//! What to do if the directory fails.

use std::io;

use postgres::error::SqlState;

use super::{DirectoryError, objects::hint_of_taken};
use crate::model::Hints;

impl Hints for DirectoryError {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Seal(error) => return error.hints(),
            Self::Embedded(error) => return error.hints(),
            Self::Document { document, .. } => return document.hint().into_iter().collect(),
            Self::NumberTaken { tenant, .. } => return vec![hint_of_taken(Some(tenant))],
            Self::Empty => Some("`reconcile apply` records the first users"),
            Self::OlderSchema { .. } => Some("run `reconcile migrate`"),
            Self::NewerSchema { .. } => Some("use the later version of reconcile that wrote it"),
            Self::Commit(_) => {
                Some("run the same command again: it finds out whether the rows are recorded, and continues")
            }
            Self::Query { source, .. } => source.code().and_then(hint_of_state),
            Self::Connect { source, .. } => Some(hint_of_connect(source)),
            Self::Tls(_) => Some("name the file of the server's CA with `sslrootcert` in DATABASE_URL"),
            _ => None,
        };
        hint.map(str::to_owned).into_iter().collect()
    }
}

/// The way out if there is no connection: what the server says, else what the network says.
fn hint_of_connect(error: &postgres::Error) -> &'static str {
    const SERVER: &str = "check DATABASE_URL, and that the server runs";
    if let Some(state) = error.code() {
        return match *state {
            SqlState::INVALID_PASSWORD => {
                "the password is wrong for this user: check it in DATABASE_URL, PGPASSWORD or the password file"
            }
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                "check the user in DATABASE_URL, and the line for this machine in the server's pg_hba.conf"
            }
            SqlState::INVALID_CATALOG_NAME => {
                "check the database's name in DATABASE_URL, or create the database with `createdb`"
            }
            SqlState::TOO_MANY_CONNECTIONS => "close other connections, or raise the server's `max_connections`",
            SqlState::CANNOT_CONNECT_NOW => "the server is starting or stopping: run the same command again",
            _ => hint_of_state(state).unwrap_or(SERVER),
        };
    }
    let causes = || std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    for cause in causes() {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            // A certificate that is not taken comes as an error of the stream.
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if let Some(rustls::Error::InvalidCertificate(_)) = inner {
                return "the server's certificate is not trusted: name its CA with `sslrootcert` in DATABASE_URL, and \
                        the host as the certificate has it";
            }
            return match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    "nothing listens there: check host and port, and that the server runs"
                }
                io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    "the host does not answer: check its address, the network and firewalls between"
                }
                io::ErrorKind::NotFound => {
                    "there is no socket: check the folder in DATABASE_URL, and that the server runs"
                }
                _ if error.to_string().contains("failed to lookup address") => {
                    "the host's name is unknown: check it in DATABASE_URL, and this machine's resolver"
                }
                _ => SERVER,
            };
        }
    }
    let said = causes().last().map(ToString::to_string).unwrap_or_default();
    match said.as_str() {
        "password missing" => {
            "the server asks for a password: give it in DATABASE_URL, PGPASSWORD or a password file, PGPASSFILE"
        }
        "server does not support TLS" => "enable TLS on the server, or write `sslmode=disable` into DATABASE_URL",
        _ => SERVER,
    }
}

/// The way out of what a server refuses for a reason of its own.
fn hint_of_state(state: &SqlState) -> Option<&'static str> {
    match *state {
        SqlState::LOCK_NOT_AVAILABLE => {
            Some("another `reconcile` writes this tenant, or a transaction was left open; nothing was changed")
        }
        SqlState::INSUFFICIENT_PRIVILEGE => Some(
            "the database role may not do this: use the one that owns the tables, or grant what docs/database.md lists",
        ),
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            Some("this server is read-only: name all servers in DATABASE_URL, with `target_session_attrs=read-write`")
        }
        _ => None,
    }
}

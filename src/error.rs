//! Errors at the edges: their words and their hints.

use std::{
    fmt::{self, Write},
    io,
};

use postgres::error::SqlState;

use crate::{
    deploy::{ApplyError, AsteriskError, FileError, StatusError, way_in},
    directory::{DirectoryError, hint_of_taken, seal::SealError},
    model::{Invalid, Unreadable},
    portal::{ResealError, RotateError},
};

/// An error with the next step.
#[derive(Debug)]
pub(crate) struct Hinted {
    message: String,
    hint: String,
}

impl Hinted {
    pub(crate) fn new(message: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self { message: message.to_string(), hint: hint.into() }
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nhint: {}", self.message, self.hint)
    }
}

impl std::error::Error for Hinted {}

/// Writes an error with its causes, hints last.
pub(crate) fn words(error: &anyhow::Error) -> String {
    words_of(error.as_ref())
}

/// Writes an error with its causes, hints last.
pub(crate) fn words_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        let text = cause.to_string();
        let (message, found) = text.split_once("\nhint: ").map_or((text.as_str(), None), |(m, h)| (m, Some(h)));
        // A transparent error says what its source says.
        if parts.last().is_none_or(|last| !last.contains(message)) {
            parts.push(message.to_owned());
        }
        hints.extend(found.map(str::to_owned));
        hints.extend(hint_of(cause));
    }
    hints.dedup();
    let mut words = parts.join(": ");
    for hint in hints {
        let _ = write!(words, "\nhint: {hint}");
    }
    words
}

/// Writes an error with its causes and hints in one line, as a list has it.
pub(crate) fn line_of(error: &(dyn std::error::Error + 'static)) -> String {
    words_of(error).replace("\nhint: ", "; ")
}

fn hint_of(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(invalid) = cause.downcast_ref::<Invalid>() {
        return invalid.hint.clone();
    }
    match cause.downcast_ref::<RotateError>() {
        Some(RotateError::Unknown(_)) => return Some("`reconcile users` lists who is recorded".to_owned()),
        Some(RotateError::NoBox(_)) => {
            return Some("name a user who has one, or a shared box that was applied".to_owned());
        }
        Some(RotateError::Directory(error)) => return hint_of(error),
        Some(RotateError::Declared(_)) => {
            return Some("change it where the file says that it comes from, then `reconcile apply`".to_owned());
        }
        _ => {}
    }
    if let Some(ResealError::Directory(error)) = cause.downcast_ref::<ResealError>() {
        return hint_of(error);
    }
    match cause.downcast_ref::<SealError>() {
        Some(SealError::UnknownKey(_)) => {
            return Some("add the former key to RECONCILE_SECRET_KEY, behind the current one and a comma".to_owned());
        }
        Some(SealError::OtherDirectory(_)) => {
            let hint = "give the directory's own key in RECONCILE_SECRET_KEY or RECONCILE_SECRET_KEY_FILE; a new one \
                        may stand before it, separated by a comma";
            return Some(hint.to_owned());
        }
        _ => {}
    }
    // These stand for what is in them, and hide it from the chain.
    match cause.downcast_ref::<ApplyError>() {
        Some(ApplyError::Directory(error)) => return hint_of(error),
        Some(ApplyError::File(error)) => return hint_of(error),
        Some(ApplyError::Asterisk(error)) => return hint_of(error),
        _ => {}
    }
    match cause.downcast_ref::<StatusError>() {
        Some(StatusError::Asterisk(error)) => return hint_of(error),
        Some(StatusError::File(error)) => return hint_of(error),
        _ => {}
    }
    if let Some(error) = cause.downcast_ref::<FileError>() {
        use std::io::ErrorKind;

        let unreadable = error.source.get_ref().and_then(|source| source.downcast_ref::<Unreadable>());
        if let Some(reader) = unreadable.and_then(Unreadable::reader) {
            return Some(format!("use {reader}; the file stays as it is"));
        }
        let hint = match error.source.kind() {
            ErrorKind::PermissionDenied if ["read", "open", "look at"].contains(&error.action) => {
                return Some(way_in(&error.path));
            }
            ErrorKind::PermissionDenied => {
                "run as root, or as a user who may write there and is in that folder's group"
            }
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                "another program wrote there: move it away, then run the same command again"
            }
            ErrorKind::NotADirectory => {
                "replace it by a folder; only the configuration folder itself may be reached over links"
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there, then run the same command again",
            _ => return None,
        };
        return Some(hint.to_owned());
    }
    match cause.downcast_ref::<AsteriskError>() {
        Some(AsteriskError::Missing { .. }) => {
            return Some("say how Asterisk is asked on this machine with `--asterisk-command`".to_owned());
        }
        Some(AsteriskError::Denied { path }) => return Some(way_in(path)),
        _ => {}
    }
    match cause.downcast_ref::<DirectoryError>() {
        // Transparent, too.
        Some(DirectoryError::Seal(error)) => hint_of(error),
        Some(DirectoryError::Empty) => Some("`reconcile apply` records the first users".to_owned()),
        Some(DirectoryError::OlderSchema { .. }) => Some("run `reconcile migrate`".to_owned()),
        Some(DirectoryError::NewerSchema { .. }) => Some("use the later version of reconcile that wrote it".to_owned()),
        Some(DirectoryError::Document { document, .. }) => document.hint(),
        Some(DirectoryError::NumberTaken { tenant, .. }) => Some(hint_of_taken(tenant)),
        Some(DirectoryError::Commit(_)) => Some("run the same command again: it finds out, and goes on".to_owned()),
        Some(DirectoryError::Query { source, .. }) => hint_of_state(source.code()?).map(str::to_owned),
        Some(DirectoryError::Connect { source, .. }) => Some(hint_of_connect(source).to_owned()),
        Some(DirectoryError::Tls(_)) => {
            Some("name the file of the server's CA with `sslrootcert` in DATABASE_URL".to_owned())
        }
        _ => None,
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
            SqlState::CANNOT_CONNECT_NOW => "the server starts or stops: run the same command again",
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
        "server does not support TLS" => "let the server speak TLS, or write `sslmode=disable` into DATABASE_URL",
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
            Some("this server only reads: name all servers in DATABASE_URL, with `target_session_attrs=read-write`")
        }
        _ => None,
    }
}

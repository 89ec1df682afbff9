//! What can go wrong with the private cluster, and what the operator can do about it.

use std::io;
use std::path::PathBuf;

use crate::model::Hints;

/// Says why the private cluster cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No server binaries were found anywhere.
    #[error("no PostgreSQL server found on this machine")]
    NoBinaries,

    /// The folder the operator named holds no server binaries.
    #[error("`RECONCILE_PG_BIN` names \"{}\", which does not hold both `postgres` and `initdb`", .0.display())]
    NotBinaries(PathBuf),

    /// The binaries that were found cannot open the existing cluster.
    #[error(
        "the cluster \"{}\" was made by PostgreSQL {cluster}, but this machine has PostgreSQL {}",
        .data.display(), list(.found)
    )]
    Version {
        /// The cluster's data folder.
        data: PathBuf,
        /// The major version that made the data folder.
        cluster: u32,
        /// The major versions of the binaries that were found.
        found: Vec<u32>,
    },

    /// The data folder does not look like a cluster.
    #[error("\"{}\" is not a PostgreSQL data folder (no readable `PG_VERSION`)", .0.display())]
    NotACluster(PathBuf),

    /// The socket's path is longer than the system allows.
    #[error("the socket path \"{}\" is {length} bytes long, the system allows {limit}", .path.display())]
    SocketPath {
        /// The path of the socket.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The longest path this system takes.
        limit: usize,
    },

    /// The process is root, and there is no user to run the server as.
    #[error("PostgreSQL does not run as root, and this machine has neither a user `postgres` nor `nobody`")]
    NoAccount,

    /// The process is root, and the server's user cannot enter one of the folders above.
    #[error("the database server runs as user `{account}`, who cannot enter \"{}\"", .folder.display())]
    Unreachable {
        /// The folder in the way.
        folder: PathBuf,
        /// The user the server would run as.
        account: String,
    },

    /// The cluster belongs to another user.
    #[error("\"{}\" belongs to another user (uid {owner})", .folder.display())]
    Foreign {
        /// The folder in question.
        folder: PathBuf,
        /// The uid it belongs to.
        owner: u32,
    },

    /// A file or folder could not be worked with.
    #[error("cannot {action} \"{}\"", .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },

    /// Another command holds a lock for too long.
    #[error(
        "another command has been starting or stopping the database for too long (it holds \"{}\")",
        .path.display()
    )]
    Busy {
        /// The lock that is held.
        path: PathBuf,
    },

    /// The cluster could not be created.
    #[error("cannot create the database cluster: `initdb` failed{}", quoted(.output))]
    Create {
        /// The last lines of what `initdb` said.
        output: String,
    },

    /// The server ended while it was starting.
    #[error("the database server did not start{}", quoted(.output))]
    Start {
        /// The last lines of the log.
        output: String,
        /// The log.
        log: PathBuf,
    },

    /// The server started but did not become ready in time.
    #[error("the database server was not ready after {seconds} s{}", quoted(.output))]
    NotReady {
        /// How long it was given.
        seconds: u64,
        /// The last lines of the log.
        output: String,
        /// The log.
        log: PathBuf,
    },

    /// The server did not stop, neither politely nor otherwise.
    #[error("the database server (process {pid}) does not stop")]
    Stop {
        /// The process that was asked to stop.
        pid: i32,
        /// The log.
        log: PathBuf,
    },
}

impl Hints for EmbeddedError {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::NoBinaries => {
                "install the distribution's `postgresql` package (or name the folder of `postgres` and \
                `initdb` in `RECONCILE_PG_BIN`), or set `DATABASE_URL` to use a database of your own"
                    .to_owned()
            }
            Self::NotBinaries(_) => {
                "name the folder that holds them, for example /usr/lib/postgresql/17/bin".to_owned()
            }
            Self::Version { cluster, .. } => format!(
                "install PostgreSQL {cluster} beside it (or name its folder in `RECONCILE_PG_BIN`); to move to another \
                 version, dump with the old one, move the folder away, and restore"
            ),
            Self::NotACluster(_) => "move it away to begin with a new cluster, or restore it from a backup".to_owned(),
            Self::SocketPath { .. } => "pass a shorter `--state-dir`".to_owned(),
            Self::NoAccount => "create a user `postgres`, or run the command as an ordinary user".to_owned(),
            Self::Unreachable { .. } => {
                "pass a `--state-dir` elsewhere, for example /var/lib/reconcile (or allow it: `chmod o+x`)".to_owned()
            }
            Self::Foreign { .. } => "run the command as that user, or pass a `--state-dir` of your own".to_owned(),
            Self::Busy { .. } => "see which process that is with `fuser -v`, and end it".to_owned(),
            Self::Start { log, .. } | Self::NotReady { log, .. } => format!("its whole log is \"{}\"", log.display()),
            Self::Stop { log, .. } => {
                format!("its log is \"{}\"; the next command joins it if it still runs", log.display())
            }
            Self::Io { .. } | Self::Create { .. } => return Vec::new(),
        };
        vec![hint]
    }
}

impl EmbeddedError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }
}

/// Joins versions for a sentence.
fn list(versions: &[u32]) -> String {
    let names: Vec<String> = versions.iter().map(u32::to_string).collect();
    names.join(", ")
}

/// Sets a program's output below the sentence it explains.
fn quoted(output: &str) -> String {
    output.lines().flat_map(|line| ["\n  | ", line]).collect()
}

//! The private `PostgreSQL` cluster that is used when no database URL is given.
//!
//! Owns everything between "a folder for state" and "a socket to connect to": it finds the
//! machine's own server binaries, creates the cluster once, starts the server when the first
//! command needs it and stops it when the last one leaves. Two locks carry the protocol, both
//! released by the kernel when a process dies: `start.lock` is held while a server is being
//! started or stopped, `users.lock` is shared by everyone who uses it. A command that is killed
//! leaves at most a running server behind; the next command joins it and stops it in the end.
//!
//! Does not own the connection, the schema, the choice of the state folder, or the environment:
//! what it needs to know comes in through [`Settings`].

mod account;
mod binaries;
mod cluster;
mod error;
mod process;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use self::binaries::Binaries;
use self::cluster::Cluster;
pub use self::error::EmbeddedError;

/// How long a command waits for another one that is starting or stopping the server.
///
/// Longer than a start (which may replay a log or wait for orphans) and a stop together.
const TURN: Duration = Duration::from_mins(2);

/// The database role that owns the cluster.
const ROLE: &str = "reconcile";

/// The database inside the cluster; every cluster is born with it.
const DATABASE: &str = "postgres";

/// Says where the cluster lives and which server binaries run it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The state folder; the cluster takes the folder `postgres` below it.
    pub(crate) state_dir: PathBuf,
    /// The folder that holds `postgres` and `initdb`, when the operator names one
    /// (`RECONCILE_PG_BIN`); nothing else is searched then.
    pub(crate) bin_dir: Option<PathBuf>,
    /// The value of `PATH` to search.
    pub path: Option<OsString>,
}

/// A running cluster that this process uses.
///
/// Dropping it leaves the cluster and stops the server if no other process uses it; [`leave`]
/// does the same and reports what went wrong. Close the connections first: a fast shutdown
/// ends them.
///
/// [`leave`]: Embedded::leave
#[derive(Debug)]
pub struct Embedded {
    cluster: Cluster,
    /// The server, when this process started it; kept so that it can be reaped.
    child: Option<Child>,
    /// The shared lock; `None` once this process has left.
    users: Option<File>,
}

impl Embedded {
    /// Tells whether a cluster was created in this state folder before. Never creates one.
    pub fn exists(settings: &Settings) -> bool {
        cluster::data_dir(&settings.state_dir).is_dir()
    }

    /// Creates the cluster on first use, starts it if it does not run, joins it if it does.
    ///
    /// `progress` hears a short sentence before each step that may take a moment.
    pub fn start(settings: &Settings, progress: &mut dyn FnMut(&str)) -> Result<Self, EmbeddedError> {
        let cluster = Cluster::locate(&settings.state_dir)?;
        if !cluster.is_created() {
            // A machine without binaries should hear so before a folder appears on it.
            Binaries::find(settings, cluster.account(), None)?;
        }
        let cluster = cluster.create_folder()?;

        let turn = take_turn(&cluster, progress)?;
        let users = open_lock(&cluster, USERS_LOCK)?;
        if !try_lock(&cluster, &users, USERS_LOCK, FlockOperation::NonBlockingLockShared)? {
            return Err(EmbeddedError::Busy { path: cluster.file(USERS_LOCK) });
        }
        let child = cluster.ensure_running(settings, progress)?;
        drop(turn);
        Ok(Self { cluster, child, users: Some(users) })
    }

    /// Returns the folder of the server's unix socket, to connect to as `host`.
    pub(crate) fn socket_dir(&self) -> &Path {
        self.cluster.socket_dir()
    }

    /// Returns the database role to connect as.
    pub fn user(&self) -> &'static str {
        ROLE
    }

    /// Returns the database to connect to.
    pub fn database(&self) -> &'static str {
        DATABASE
    }

    /// Leaves the cluster, and stops the server if no other process uses it.
    pub fn leave(mut self) -> Result<(), EmbeddedError> {
        self.leave_once()
    }

    fn leave_once(&mut self) -> Result<(), EmbeddedError> {
        let Some(users) = self.users.take() else {
            return Ok(());
        };
        let turn = take_turn(&self.cluster, &mut |_| {})?;
        // Whoever gets the exclusive lock is the last; newcomers wait for the turn held above.
        if try_lock(&self.cluster, &users, USERS_LOCK, FlockOperation::NonBlockingLockExclusive)? {
            self.cluster.stop(self.child.as_mut())?;
        }
        drop(users);
        drop(turn);
        Ok(())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Err(error) = self.leave_once() {
            tracing::warn!(%error, "could not leave the private database cluster");
        }
    }
}

/// Held while starting or stopping the server.
const START_LOCK: &str = "start.lock";
/// Held shared by every process that uses the server.
const USERS_LOCK: &str = "users.lock";

/// Waits until no other process starts or stops the server; the turn ends with the file.
fn take_turn(cluster: &Cluster, progress: &mut dyn FnMut(&str)) -> Result<File, EmbeddedError> {
    let turn = open_lock(cluster, START_LOCK)?;
    let began = Instant::now();
    let mut told = false;
    loop {
        if try_lock(cluster, &turn, START_LOCK, FlockOperation::NonBlockingLockExclusive)? {
            return Ok(turn);
        }
        if began.elapsed() > TURN {
            return Err(EmbeddedError::Busy { path: cluster.file(START_LOCK) });
        }
        if !told && began.elapsed() > Duration::from_millis(300) {
            told = true;
            progress("waiting for another command that starts or stops the database");
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn open_lock(cluster: &Cluster, name: &str) -> Result<File, EmbeddedError> {
    cluster.open_file(name, false)
}

/// Takes a lock without waiting. `false` if another process holds it.
fn try_lock(cluster: &Cluster, file: &File, name: &str, operation: FlockOperation) -> Result<bool, EmbeddedError> {
    loop {
        return match rustix::fs::flock(file, operation) {
            Ok(()) => Ok(true),
            Err(Errno::INTR) => continue,
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(EmbeddedError::io("lock", cluster.file(name), errno.into())),
        };
    }
}

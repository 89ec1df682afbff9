//! The cluster's folder and the server process in it.
//!
//! Owns creating the data folder, starting the server, telling whether it runs, and stopping it.
//! Takes no locks: every method that changes something is called by the process that holds the turn.

use crate::fs::rename_synced;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::account::{self, Account};
use super::binaries::Binaries;
use super::{EmbeddedError, ROLE, Settings, process};

/// The folder of the cluster below the state folder.
const FOLDER: &str = "postgres";
const DATA: &str = "data";
const SOCKETS: &str = "run";
const SOCKET: &str = ".s.PGSQL.5432";
/// The file in which the server says who it is and how it does.
const STATE: &str = "postmaster.pid";
const LOG: &str = "server.log";
/// Names the process of a server that was told to stop. The server itself says so only once it has
/// read the signal; a command that is killed in between leaves one that still calls itself ready.
const STOPPING: &str = "stopping";
/// What the folders that `initdb` works in begin with.
const UNFINISHED: &str = "data.new-";

/// The longest socket path: `sun_path` without its closing zero.
const SOCKET_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// The size above which the log is set aside at a start.
const LOG_MAX: u64 = 4 << 20;
/// How many of the log's last lines an error shows.
const LOG_LINES: usize = 8;

/// How long `initdb` may take, which syncs some 40 MB to a disk that may be slow.
const CREATE: Duration = Duration::from_mins(5);
/// How long a server may take to become ready; replaying the log after a crash is part of it.
const READY: Duration = Duration::from_secs(90);
/// How long processes of a crashed server may hold its shared memory.
const ORPHANS: Duration = Duration::from_secs(15);
/// How long each way of stopping the server may take.
const STOP: Duration = Duration::from_secs(10);
/// How often something is looked at again while waiting.
const TICK: Duration = Duration::from_millis(2);

/// Settings of the server, given at each start so that they follow the program's version.
///
/// The port is only a part of the socket's name. Nothing here trades safety for speed.
const CONFIGURATION: [&str; 27] = [
    "listen_addresses=",
    "port=5432",
    "unix_socket_permissions=0700",
    "cluster_name=reconcile",
    "max_connections=50",
    "shared_buffers=32MB",
    "huge_pages=off",
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "wal_level=minimal",
    "max_wal_senders=0",
    "min_wal_size=32MB",
    "max_wal_size=256MB",
    "autovacuum=on",
    "autovacuum_max_workers=1",
    "max_logical_replication_workers=0",
    "max_parallel_workers_per_gather=0",
    "max_parallel_maintenance_workers=0",
    "jit=off",
    "logging_collector=off",
    "log_destination=stderr",
    "log_checkpoints=off",
    "log_line_prefix=%m [%p] ",
    "log_timezone=UTC",
    "timezone=UTC",
    "lc_messages=C",
];

/// Tells where the data folder of a state folder is.
pub(super) fn data_dir(state_dir: &Path) -> PathBuf {
    state_dir.join(FOLDER).join(DATA)
}

/// The places of one cluster, and the user its server runs as.
#[derive(Debug)]
pub(super) struct Cluster {
    folder: PathBuf,
    data: PathBuf,
    sockets: PathBuf,
    account: Option<Account>,
}

/// What is known about the server from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    /// It runs as this process.
    Process(Pid),
    /// It answers, but its process cannot be seen from here (another container).
    Hidden,
    /// It does not run.
    Stopped,
}

/// How waiting for readiness ended.
enum Waited {
    Ready,
    Gone,
    TooLong,
}

impl Cluster {
    /// Works out the places and refuses those that cannot work, before anything is created.
    pub(super) fn locate(state_dir: &Path) -> Result<Self, EmbeddedError> {
        let (folder, existing) = account::resolve(&state_dir.join(FOLDER))?;
        let path = folder.join(SOCKETS).join(SOCKET);
        let length = path.as_os_str().len();
        if length > SOCKET_PATH_MAX {
            return Err(EmbeddedError::SocketPath { path, length, limit: SOCKET_PATH_MAX });
        }
        let account = Account::choose(&[&folder.join(DATA), &folder])?;
        if let Some(account) = &account {
            // Our own folder is set right when it is used.
            let above = folder.parent().filter(|_| existing == folder);
            account.check_reach(above.unwrap_or(&existing))?;
        }
        Ok(Self::at(folder, account))
    }

    fn at(folder: PathBuf, account: Option<Account>) -> Self {
        Self { data: folder.join(DATA), sockets: folder.join(SOCKETS), folder, account }
    }

    pub(super) fn is_created(&self) -> bool {
        self.data.is_dir()
    }

    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    pub(super) fn socket_dir(&self) -> &Path {
        &self.sockets
    }

    /// Tells the path of a file in the cluster's folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Creates the folder that holds locks, log and data. Root's is open for passing through
    /// only; what the server may write are the folders below it.
    ///
    /// Returns the cluster under its real path, which every process must call it by.
    pub(super) fn create_folder(self) -> Result<Self, EmbeddedError> {
        let (mode, above) = if self.account.is_some() { (0o711, 0o755) } else { (0o700, 0o700) };
        account::create_folders(&self.folder, mode, above)?;
        account::set_mode_of_own(&self.folder, mode)?;
        match self.folder.canonicalize() {
            Ok(folder) => Ok(Self::at(folder, self.account)),
            Err(source) => Err(EmbeddedError::io("resolve", self.folder, source)),
        }
    }

    /// Opens a file in the cluster's folder, set aside first when it is too large and `bounded`.
    pub(super) fn open_file(&self, name: &str, bounded: bool) -> Result<File, EmbeddedError> {
        let path = self.file(name);
        if bounded && fs::symlink_metadata(&path).is_ok_and(|file| file.len() > LOG_MAX) {
            let aside = self.file(&format!("{name}.1"));
            rename_synced(&path, &aside).map_err(|source| EmbeddedError::io("set aside", &path, source))?;
        }
        account::open_private(&path).map_err(|source| EmbeddedError::io("open", path, source))
    }

    /// Creates the data folder if there is none, and starts the server if it does not run.
    /// Returns the server when this call started it.
    pub(super) fn ensure_running(
        &self,
        settings: &Settings,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Option<Child>, EmbeddedError> {
        let mut failing = None;
        let mut binaries = None;
        loop {
            match self.server() {
                Server::Hidden => return Ok(None),
                Server::Process(pid) if self.was_told_to_stop(pid) => {
                    self.stop(None)?;
                    continue;
                }
                Server::Process(pid) => match self.wait_ready(pid, None)? {
                    Waited::Ready => return Ok(None),
                    Waited::Gone => continue,
                    Waited::TooLong => return Err(self.not_ready(0)),
                },
                Server::Stopped => {}
            }
            let binaries = match &mut binaries {
                Some(found) => found,
                missing => {
                    let found = missing.insert(self.prepare(settings, progress)?);
                    tracing::info!("starting the private database");
                    found
                }
            };
            let (mut child, logged) = self.spawn(binaries)?;
            match self.wait_ready(process::pid_of(&child), Some(&mut child))? {
                Waited::Ready => return Ok(Some(child)),
                Waited::TooLong => {
                    let error = self.not_ready(logged);
                    if let Err(error) = self.stop(Some(&mut child)) {
                        tracing::warn!(%error, "could not stop the server that was not ready");
                    }
                    return Err(error);
                }
                Waited::Gone => {}
            }
            let output = self.log_since(logged);
            // Both pass by themselves: processes of a crashed server end once they notice, and
            // a server that a killed command has just begun to start is joined next time round.
            let passing = output.contains("shared memory block") || output.contains("lock file");
            if !passing || failing.get_or_insert_with(Instant::now).elapsed() > ORPHANS {
                return Err(EmbeddedError::Start { output, log: self.file(LOG) });
            }
            tracing::debug!(output, "the server could not start yet");
            sleep(Duration::from_millis(100));
        }
    }

    /// Clears what killed commands and crashed servers left, and creates what is missing.
    fn prepare(&self, settings: &Settings, progress: &mut dyn FnMut(&str)) -> Result<Binaries, EmbeddedError> {
        self.clear_unfinished();
        account::create_folders(&self.sockets, 0o700, 0o700)?;
        account::give(&self.sockets, self.account())?;
        if !self.is_created() {
            let binaries = Binaries::find(settings, self.account(), None)?;
            progress("creating the private database (first use)");
            self.create(&binaries)?;
            return Ok(binaries);
        }
        let binaries = Binaries::find(settings, self.account(), Some(&self.data))?;
        self.clear_stale(&self.data.join(STATE))?;
        self.clear_stale(&self.sockets.join(format!("{SOCKET}.lock")))?;
        match fs::remove_file(self.file(STOPPING)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(EmbeddedError::io("remove", self.file(STOPPING), error));
            }
            _ => {}
        }
        Ok(binaries)
    }

    /// Removes a lock file of the server when its number belongs to another program by now.
    ///
    /// The server would take any living process of its own user for a server, and refuse to start
    /// for as long as that lives. Numbers come again soon in containers.
    fn clear_stale(&self, path: &Path) -> Result<(), EmbeddedError> {
        let pid = process::recorded_pid(&fs::read(path).unwrap_or_default());
        if pid.is_some_and(|pid| process::is_alive(pid) && !process::serves(pid, &self.data)) {
            fs::remove_file(path).map_err(|source| EmbeddedError::io("remove", path, source))?;
        }
        Ok(())
    }

    /// Removes folders whose `initdb` was killed. One whose `initdb` outlived its command may
    /// resist; nothing depends on it, and the next start tries again.
    fn clear_unfinished(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(UNFINISHED.as_bytes())
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                tracing::debug!(path = %entry.path().display(), %error, "cannot remove");
            }
        }
    }

    /// Creates the data folder: complete or not at all.
    fn create(&self, binaries: &Binaries) -> Result<(), EmbeddedError> {
        let mut output = String::new();
        for locale in ["C.UTF-8", "C"] {
            let unfinished = tempfile::Builder::new()
                .prefix(UNFINISHED)
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir_in(&self.folder)
                .map_err(|source| EmbeddedError::io("create a folder in", &self.folder, source))?;
            account::give(unfinished.path(), self.account())?;
            let initdb = binaries.initdb();
            let mut create = account::command(&initdb, self.account());
            create
                .arg("--pgdata")
                .arg(unfinished.path())
                .args(["--username", ROLE, "--auth=trust", "--encoding=UTF8"])
                .arg(format!("--locale={locale}"));
            let done =
                account::output(&mut create, CREATE).map_err(|source| EmbeddedError::io("run", initdb, source))?;
            if done.status.success() {
                // `initdb` has synced the folder's content.
                return rename_synced(unfinished.path(), &self.data)
                    .map(|()| drop(unfinished.keep()))
                    .map_err(|source| EmbeddedError::io("create", &self.data, source));
            }
            output = last_lines(&String::from_utf8_lossy(&done.stderr));
            if !output.contains("locale") {
                break;
            }
        }
        Err(EmbeddedError::Create { output })
    }

    /// Starts the server, detached from this command; returns it with the log's length before.
    fn spawn(&self, binaries: &Binaries) -> Result<(Child, u64), EmbeddedError> {
        let log = self.open_file(LOG, true)?;
        let log_error = |source| EmbeddedError::io("use", self.file(LOG), source);
        let logged = log.metadata().map_err(log_error)?.len();
        let postgres = binaries.postgres();
        let mut command = account::command(&postgres, self.account());
        command.arg("-D").arg(&self.data);
        for setting in CONFIGURATION {
            command.args(["-c", setting]);
        }
        if binaries.major() >= 18 {
            // No worker processes for reading.
            command.args(["-c", "io_method=sync"]);
        }
        let child = command
            .arg("-c")
            .arg(socket_setting(&self.sockets))
            .current_dir(&self.data)
            // Ctrl-C on the command is not meant for a server that others may use, too.
            .process_group(0)
            .stdout(log.try_clone().map_err(log_error)?)
            .stderr(log)
            .spawn()
            .map_err(|source| EmbeddedError::io("run", postgres, source))?;
        Ok((child, logged))
    }

    /// Waits until the server says it is ready, ends, or takes too long.
    fn wait_ready(&self, pid: Pid, mut child: Option<&mut Child>) -> Result<Waited, EmbeddedError> {
        let began = Instant::now();
        while began.elapsed() < READY {
            if process::is_ready(&self.state(), pid) && self.sockets.join(SOCKET).exists() {
                return Ok(Waited::Ready);
            }
            let gone = match &mut child {
                Some(child) => process::has_ended(child)?,
                None => !process::serves(pid, &self.data),
            };
            if gone {
                return Ok(Waited::Gone);
            }
            sleep(TICK);
        }
        Ok(Waited::TooLong)
    }

    /// Finds the server of this data folder.
    fn server(&self) -> Server {
        let living = || process::recorded_pid(&self.state()).filter(|pid| process::serves(*pid, &self.data));
        if let Some(pid) = living() {
            return Server::Process(pid);
        }
        if process::answers(&self.sockets.join(SOCKET)) {
            // It may have written its number just now.
            return living().map_or(Server::Hidden, Server::Process);
        }
        Server::Stopped
    }

    /// Reads what the server says about itself; empty when it says nothing.
    fn state(&self) -> Vec<u8> {
        fs::read(self.data.join(STATE)).unwrap_or_default()
    }

    /// Stops the server and waits until it is gone.
    pub(super) fn stop(&self, mut child: Option<&mut Child>) -> Result<(), EmbeddedError> {
        let pid = match self.server() {
            Server::Process(pid) => pid,
            // One that was just started may not have said who it is.
            Server::Stopped => {
                let Some(child) = &mut child else {
                    return Ok(());
                };
                if process::has_ended(child)? {
                    return Ok(());
                }
                process::pid_of(child)
            }
            Server::Hidden => {
                tracing::warn!("the database server's process is not visible; it is left running");
                return Ok(());
            }
        };
        writeln!(self.open_file(STOPPING, false)?, "{}", pid.as_raw_nonzero())
            .map_err(|source| EmbeddedError::io("write", self.file(STOPPING), source))?;
        // Fast shutdown first; an immediate one only if that does not end.
        for signal in [Signal::INT, Signal::QUIT] {
            match kill_process(pid, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => {
                    let path = self.data.join(STATE);
                    return Err(EmbeddedError::io("signal the process of", path, errno.into()));
                }
            }
            let began = Instant::now();
            while began.elapsed() < STOP {
                let gone = match &mut child {
                    Some(child) if process::pid_of(child) == pid => process::has_ended(child)?,
                    _ => !process::serves(pid, &self.data),
                };
                if gone {
                    return Ok(());
                }
                sleep(TICK);
            }
            tracing::warn!(pid = pid.as_raw_nonzero(), "the database server is slow to stop");
        }
        Err(EmbeddedError::Stop { pid: pid.as_raw_nonzero().get(), log: self.file(LOG) })
    }

    /// Tells whether a command told this server to stop, and was perhaps killed before it had.
    fn was_told_to_stop(&self, pid: Pid) -> bool {
        let told = fs::read_to_string(self.file(STOPPING)).unwrap_or_default();
        told.lines().any(|line| line == pid.as_raw_nonzero().to_string())
    }

    fn not_ready(&self, logged: u64) -> EmbeddedError {
        let (output, log) = (self.log_since(logged), self.file(LOG));
        EmbeddedError::NotReady { seconds: READY.as_secs(), output, log }
    }

    /// Reads the last lines the server logged since the log was this long.
    fn log_since(&self, logged: u64) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(self.file(LOG))?;
            let from = logged.max(file.metadata()?.len().saturating_sub(16 << 10));
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(last_lines(&String::from_utf8_lossy(&bytes)))
        };
        read().unwrap_or_default()
    }
}

/// Writes the socket folder as an element of the server's list of folders: in quotes, so that
/// commas and blanks in it stay what they are.
fn socket_setting(folder: &Path) -> OsString {
    let mut setting = b"unix_socket_directories=\"".to_vec();
    for byte in folder.as_os_str().as_bytes() {
        if *byte == b'"' {
            setting.push(b'"');
        }
        setting.push(*byte);
    }
    setting.push(b'"');
    OsString::from_vec(setting)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

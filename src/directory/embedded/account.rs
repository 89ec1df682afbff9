//! The user the server runs as, and the folders it can enter.
//!
//! Owns what differs between root and everybody else: `PostgreSQL` refuses to run as root, so
//! root runs it as another user, and the cluster's own files belong to that user. Folders that
//! root works in stay root's, so that the other user cannot plant links in them.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::fs::OFlags;

use super::EmbeddedError;
use crate::{
    accounts,
    child::{self, Limits},
};

/// Users that may run the server when the process is root, best first.
const CANDIDATES: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The user root lends the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Chooses the user for a process of root, `None` for an ordinary process.
    ///
    /// A cluster keeps the user it was made by: `folders` are those that may already belong to
    /// one, the most telling first.
    pub(super) fn choose(folders: &[&Path]) -> Result<Option<Self>, EmbeddedError> {
        let me = rustix::process::geteuid().as_raw();
        for folder in folders {
            let Ok(found) = fs::metadata(folder) else {
                continue;
            };
            if me != 0 && found.uid() != me {
                return Err(EmbeddedError::Foreign { folder: folder.to_path_buf(), owner: found.uid() });
            }
            if me == 0 && found.uid() != 0 {
                let (uid, gid) = (found.uid(), found.gid());
                let name = accounts::user(uid).map_or_else(|| uid.to_string(), |user| user.name);
                return Ok(Some(Self { name, uid, gid }));
            }
        }
        if me != 0 {
            return Ok(None);
        }
        let mut found = CANDIDATES.iter().filter_map(|name| accounts::user_named(name));
        let lent = found.find(|user| user.uid != 0).ok_or(EmbeddedError::NoAccount)?;
        Ok(Some(Self { name: lent.name, uid: lent.uid, gid: lent.gid }))
    }

    /// Refuses a folder this user cannot enter, and names the one that is in the way.
    pub(super) fn check_reach(&self, folder: &Path) -> Result<(), EmbeddedError> {
        let mut above: Vec<&Path> = folder.ancestors().collect();
        above.reverse();
        for folder in above {
            let found = fs::metadata(folder).map_err(|source| EmbeddedError::io("look at", folder, source))?;
            if !self.may_enter(&found) {
                let (folder, account) = (folder.to_path_buf(), self.name.clone());
                return Err(EmbeddedError::Unreachable { folder, account });
            }
        }
        Ok(())
    }

    fn may_enter(&self, folder: &fs::Metadata) -> bool {
        let bit = if folder.uid() == self.uid {
            0o100
        } else if folder.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        folder.mode() & bit != 0
    }
}

/// Prepares a server program: as the server's user, away from our folder, and with nothing of
/// our environment, which may hold secrets that a long-running server has no business with.
pub(super) fn command(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir("/")
        .stdin(Stdio::null());
    if let Some(account) = account {
        // The standard library drops root's supplementary groups along with the uid.
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Runs a server program that answers a question or does one thing, and ends.
pub(super) fn output(command: &mut Command, deadline: Duration) -> io::Result<Output> {
    const MOST: usize = 1024 * 1024;
    child::output(command, Limits { deadline, output: MOST }).map_err(child::ChildError::into_io)
}

/// How long a server program may take to say its version or its folder.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// Creates a folder and those missing above it, with exactly these permissions each.
pub(super) fn create_folders(folder: &Path, mode: u32, above: u32) -> Result<(), EmbeddedError> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    for path in missing.into_iter().rev() {
        let mode = if path == folder { mode } else { above };
        match DirBuilder::new().mode(mode).create(path) {
            Ok(()) => {}
            // Another command was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(EmbeddedError::io("create", path, error)),
        }
        // The umask may have taken what the server's user needs.
        fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(|source| EmbeddedError::io("set the permissions of", path, source))?;
    }
    Ok(())
}

/// Sets the permissions of a folder that belongs to this process's user, in case the command that
/// created it was killed before it could.
pub(super) fn set_mode_of_own(folder: &Path, mode: u32) -> Result<(), EmbeddedError> {
    let set = || -> io::Result<()> {
        let found = fs::metadata(folder)?;
        let own = found.uid() == rustix::process::geteuid().as_raw();
        if own && found.mode() & 0o7777 != mode {
            fs::set_permissions(folder, Permissions::from_mode(mode))?;
        }
        Ok(())
    };
    set().map_err(|source| EmbeddedError::io("set the permissions of", folder, source))
}

/// Gives a folder to the server's user; a link in its place is not followed.
pub(super) fn give(folder: &Path, account: Option<&Account>) -> Result<(), EmbeddedError> {
    let Some(account) = account else {
        return Ok(());
    };
    OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed())
        .open(folder)
        .and_then(|opened| fchown(opened, Some(account.uid), Some(account.gid)))
        .map_err(|source| EmbeddedError::io("give to the server's user the folder", folder, source))
}

/// Opens a file for appending, creating it for us alone; a link in its place is refused.
///
/// In a folder of another user (root works on an ordinary user's cluster) the file becomes that
/// user's, who would otherwise be locked out.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    if rustix::process::geteuid().is_root() {
        let folder = fs::metadata(path.parent().unwrap_or(path))?;
        if folder.uid() != file.metadata()?.uid() {
            fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
        }
    }
    Ok(file)
}

/// Resolves a path as far as it exists, so that it says the same for every process.
pub(super) fn resolve(path: &Path) -> Result<(PathBuf, PathBuf), EmbeddedError> {
    let path = std::path::absolute(path).map_err(|source| EmbeddedError::io("resolve", path, source))?;
    for existing in path.ancestors() {
        match existing.canonicalize() {
            Ok(real) => {
                let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
                let full = if rest.as_os_str().is_empty() { real.clone() } else { real.join(rest) };
                return Ok((full, real));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(EmbeddedError::io("resolve", existing, error)),
        }
    }
    Ok((path.clone(), path))
}

//! The folders of the spool: one a server, each with a lock that ends with the process that holds it.

use crate::fs::rename_synced;
use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};

use rustix::fs::{FlockOperation, flock};

use super::{SpoolError, checkpoint::checkpoint, failed, lock};

/// How many servers may share a state folder.
const OWNERS: u32 = 1000;

/// How segments are called behind their number.
const SUFFIX: &str = ".calls";

/// A folder of the spool, and the lock on it.
pub struct Folder {
    path: PathBuf,
    lock: Mutex<File>,
}

/// The folders of dead servers, as one look found them.
#[derive(Default)]
pub struct Orphans {
    /// Those in which something waits, locked.
    pub folders: Vec<Folder>,
    /// Entries that cannot be opened, with the reason. They must not keep the others from being recorded.
    pub broken: Vec<(PathBuf, SpoolError)>,
}

impl Folder {
    /// Takes the first folder that no other process holds.
    pub(super) fn claim(root: &Path) -> Result<Self, SpoolError> {
        make(root)?;
        let mut denied = None;
        for number in 0..OWNERS {
            let path = root.join(number.to_string());
            match make(&path).and_then(|()| Self::take(path.clone())) {
                Ok(Some(folder)) => return Ok(folder),
                Ok(None) => {}
                // Skip what another user made, such as a run by root, and what is no folder.
                Err(error) if is_of_one_entry(&error) => denied = Some(error),
                Err(error) => return Err(error),
            }
        }
        let in_use = || failed("find a free folder in", root)(io::Error::other(format!("{OWNERS} are in use")));
        Err(denied.unwrap_or_else(in_use))
    }

    /// Takes the folders in which something waits and that no process holds: their servers are dead. Skips
    /// folders of other users.
    ///
    /// # Errors
    /// When `root` cannot be read.
    pub(crate) fn orphans(root: &Path) -> Result<Orphans, SpoolError> {
        let take = |path: PathBuf| if segments(&path)?.is_empty() { Ok(None) } else { Self::take(path) };
        let mut found = Orphans::default();
        for entry in fs::read_dir(root).map_err(failed("read", root))?.flatten() {
            if entry.file_name().to_str().is_none_or(|name| name.parse::<u32>().is_err()) {
                continue;
            }
            match take(entry.path()) {
                Ok(folder) => found.folders.extend(folder),
                Err(error)
                    if [io::ErrorKind::PermissionDenied, io::ErrorKind::NotFound].contains(&error.source.kind()) => {}
                Err(error) => found.broken.push((entry.path(), error)),
            }
        }
        Ok(found)
    }

    fn take(path: PathBuf) -> Result<Option<Self>, SpoolError> {
        Ok(lock_in(&path)?.map(|lock| Self { path, lock: Mutex::new(lock) }))
    }

    /// Makes the folder again after another process removed it, and locks it.
    pub(super) fn restore(&self) -> Result<(), SpoolError> {
        make(&self.path)?;
        let taken = || failed("lock", &self.path)(io::Error::other("another server holds it"));
        *lock(&self.lock) = lock_in(&self.path)?.ok_or_else(taken)?;
        Ok(())
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Tells whether an error says nothing about the other entries of the folder.
fn is_of_one_entry(error: &SpoolError) -> bool {
    use io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory, PermissionDenied};
    [PermissionDenied, AlreadyExists, NotADirectory, IsADirectory].contains(&error.source.kind())
}

/// Locks a folder. `None` if another process holds the lock.
fn lock_in(folder: &Path) -> Result<Option<File>, SpoolError> {
    let name = folder.join("lock");
    let lock = File::options().create(true).append(true).mode(0o600).open(&name).map_err(failed("open", &name))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(lock)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed("lock", &name)(error.into())),
    }
}

/// Makes a folder for ourselves: it holds callers' numbers.
fn make(path: &Path) -> Result<(), SpoolError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

pub(super) fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}{SUFFIX}"))
}

/// The numbers of the segments in a folder, in order.
pub(super) fn segments(folder: &Path) -> Result<Vec<u64>, SpoolError> {
    let entries = fs::read_dir(folder).map_err(failed("read", folder))?;
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(SUFFIX)?.parse().ok();
    let mut numbers: Vec<u64> = entries.flatten().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The highest number that was ever given in a folder, as far as it can be known.
pub(super) fn last_number(folder: &Path) -> Result<u64, SpoolError> {
    let last = segments(folder)?.last().copied().unwrap_or(0);
    Ok(last.max(checkpoint(folder).map_or(0, |(number, _)| number)))
}

/// Makes a segment.
pub(super) fn create_segment(folder: &Path, number: u64) -> Result<File, SpoolError> {
    let path = segment(folder, number);
    File::options().read(true).append(true).create_new(true).mode(0o600).open(&path).map_err(failed("create", &path))
}

/// Renames what cannot be read, so that it is kept and does not block a server: `NAME.unreadable`. A name that is taken
/// gets a number.
///
/// # Errors
/// When it cannot be renamed.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, SpoolError> {
    let name = path.with_extension("unreadable");
    let numbered = (2..OWNERS).map(|number| path.with_extension(format!("unreadable.{number}")));
    let free = std::iter::once(name).chain(numbered).find(|name| name.symlink_metadata().is_err());
    let free = free.ok_or_else(|| failed("rename", path)(io::Error::other("all names are taken")))?;
    rename_synced(path, &free).map_err(failed("rename", path))?;
    Ok(free)
}

pub(super) fn sync_names(folder: &Path) -> Result<(), SpoolError> {
    crate::fs::sync_names(folder).map_err(failed("sync", folder))
}

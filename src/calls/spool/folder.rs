//! The folders of the spool: one a server, each with a lock that ends with whoever holds it.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{SpoolError, failed, reader};

/// How many servers may share a state folder.
const OWNERS: u32 = 1000;

/// How segments are called behind their number.
const SUFFIX: &str = ".calls";

/// A folder of the spool, and the lock on it.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the first folder that nobody holds.
    pub(super) fn claim(root: &Path) -> Result<Self, SpoolError> {
        make(root)?;
        let mut denied = None;
        for number in 0..OWNERS {
            let path = root.join(number.to_string());
            match make(&path).and_then(|()| Self::take(path.clone())) {
                Ok(Some(folder)) => return Ok(folder),
                Ok(None) => {}
                // One that somebody else made, as a run by root did, is in nobody's way.
                Err(error) if error.source.kind() == io::ErrorKind::PermissionDenied => denied = Some(error),
                Err(error) => return Err(error),
            }
        }
        let in_use = || failed("find a free folder in", root)(io::Error::other(format!("{OWNERS} are in use")));
        Err(denied.unwrap_or_else(in_use))
    }

    /// Takes the folders in which something waits and that nobody holds: their owners are dead. Those of
    /// other users are theirs.
    ///
    /// # Errors
    /// When the folders cannot be read.
    pub fn orphans(root: &Path) -> Result<Vec<Self>, SpoolError> {
        let take = |path: PathBuf| if segments(&path)?.is_empty() { Ok(None) } else { Self::take(path) };
        let mut found = Vec::new();
        for entry in fs::read_dir(root).map_err(failed("read", root))?.flatten() {
            if entry.file_name().to_str().is_none_or(|name| name.parse::<u32>().is_err()) {
                continue;
            }
            match take(entry.path()) {
                Ok(folder) => found.extend(folder),
                Err(error) if error.source.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn take(path: PathBuf) -> Result<Option<Self>, SpoolError> {
        let name = path.join("lock");
        let lock = File::options().create(true).append(true).mode(0o600).open(&name).map_err(failed("open", &name))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { path, _lock: lock })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(failed("lock", &name)(error.into())),
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a folder for ourselves: it holds callers' numbers.
fn make(path: &Path) -> Result<(), SpoolError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

/// The path of a segment.
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
    Ok(last.max(reader::checkpoint(folder).map_or(0, |(number, _)| number)))
}

/// Makes a segment.
pub(super) fn create_segment(folder: &Path, number: u64) -> Result<File, SpoolError> {
    let path = segment(folder, number);
    File::options().append(true).create_new(true).mode(0o600).open(&path).map_err(failed("create", &path))
}

/// Syncs the names in a folder.
pub(super) fn sync_names(folder: &Path) -> Result<(), SpoolError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

//! The spool: what became known about calls, on the local disk, until the database has it.
//!
//! An append-only log in segments, each line a checksum and an event. A line is written before its
//! call is answered, so that a killed process loses nothing; a thread syncs what was written in the
//! meantime, group by group, so that a power cut loses a group at most. Each server has a folder of
//! its own, with a lock that ends with the process; what a dead one left is read by the living.
//!
//! Crates that keep write-ahead logs were looked at; none of them is both well kept and able to go on
//! behind a damaged line, a failed sync or a full disk.

mod folder;
mod line;
mod reader;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use folder::Folder;
pub use line::{LARGEST, decode, encode};
pub use reader::{Batch, Reader};

use folder::{create_segment, last_number, sync_names};

/// How large a segment grows, in bytes.
const SEGMENT: u64 = 8 * 1024 * 1024;

/// How much is kept in memory of what is not synced yet, in bytes, to write it again elsewhere.
const UNSYNCED: usize = 16 * 1024 * 1024;

/// The spool cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct SpoolError {
    /// What was tried.
    pub action: &'static str,
    /// The path.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    move |source| SpoolError { action, path: path.to_owned(), source }
}

/// A spool that this process alone appends to.
pub struct Spool {
    folder: Folder,
    written: Mutex<Written>,
    appended: Condvar,
    /// How a file is synced; tests let it fail.
    sync: fn(&File) -> io::Result<()>,
}

/// What was written.
struct Written {
    /// The segment that is appended to, with its length.
    segment: Option<(Arc<File>, u64)>,
    /// Its number; without one, that of the next.
    number: u64,
    /// What is not synced yet, by file.
    groups: Vec<Group>,
    /// Whether a segment was made whose name is not synced yet.
    unnamed: bool,
}

/// What was written to one file since it was synced.
struct Group {
    file: Arc<File>,
    bytes: Vec<u8>,
}

impl Spool {
    /// Takes the first folder below `root` that nobody holds, the folder of a dead owner first of all.
    ///
    /// # Errors
    /// When there is none and none can be made.
    pub fn claim(root: &Path) -> Result<Self, SpoolError> {
        let folder = Folder::claim(root)?;
        let number = last_number(folder.path())? + 1;
        let written = Written { segment: None, number, groups: Vec::new(), unnamed: false };
        Ok(Self { folder, written: Mutex::new(written), appended: Condvar::new(), sync: File::sync_data })
    }

    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Reads what waits here, what an earlier owner left first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn reader(&self) -> Result<Reader, SpoolError> {
        Reader::open(self.folder.path())
    }

    /// Appends a line as [`encode`] makes it. When this returns, the line survives the process.
    ///
    /// # Errors
    /// When it cannot be written, as on a full disk. Nothing of it is then in the spool.
    pub fn append(&self, line: &[u8]) -> Result<(), SpoolError> {
        if line.len() > LARGEST {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "the line is too long");
            return Err(failed("write into", self.folder.path())(error));
        }
        let mut written = self.lock();
        let full = |length: u64| length > 0 && length + line.len() as u64 > SEGMENT;
        if written.segment.as_ref().is_some_and(|(_, length)| full(*length)) {
            written.close();
        }
        self.write(&mut written, line)?;
        self.appended.notify_one();
        Ok(())
    }

    fn write(&self, written: &mut Written, line: &[u8]) -> Result<(), SpoolError> {
        let path = self.folder.path();
        let (file, length) = if let Some(segment) = written.segment.take() {
            segment
        } else {
            written.unnamed = true;
            (Arc::new(create_segment(path, written.number)?), 0)
        };
        if let Err(error) = (&*file).write_all(line) {
            // A part of a line must not stand before the next one.
            match file.set_len(length) {
                Ok(()) => written.segment = Some((file, length)),
                Err(_) => written.number += 1,
            }
            return Err(failed("write into", path)(error));
        }
        match written.groups.last_mut() {
            Some(group) if Arc::ptr_eq(&group.file, &file) => group.bytes.extend_from_slice(line),
            _ => written.groups.push(Group { file: Arc::clone(&file), bytes: line.to_vec() }),
        }
        if let Some(group) = written.groups.last_mut().filter(|group| group.bytes.len() > UNSYNCED) {
            group.bytes = Vec::new();
        }
        written.segment = Some((file, length + line.len() as u64));
        Ok(())
    }

    /// Waits until something is there to be synced, or for some time.
    pub fn wait(&self, at_most: Duration) {
        let written = self.lock();
        let nothing = |written: &mut Written| written.groups.is_empty();
        drop(self.appended.wait_timeout_while(written, at_most, nothing).unwrap_or_else(PoisonError::into_inner));
    }

    /// Syncs what was appended so far. Where a sync fails, what may be lost is written again, into a
    /// new segment: the next sync of the same file could succeed without having saved anything.
    ///
    /// # Errors
    /// When a sync failed, even if the new segment holds it now.
    pub fn sync(&self) -> Result<(), SpoolError> {
        let mut written = self.lock();
        let groups = std::mem::take(&mut written.groups);
        let unnamed = std::mem::take(&mut written.unnamed);
        drop(written);
        let mut result = if unnamed { sync_names(self.folder.path()) } else { Ok(()) };
        for group in groups {
            let Err(error) = (self.sync)(&group.file) else { continue };
            let mut written = self.lock();
            written.close();
            let again = self.write(&mut written, &group.bytes);
            result = again.and(Err(failed("sync a segment in", self.folder.path())(error)));
        }
        result
    }

    /// The number of the first segment that may still grow.
    pub fn open_from(&self) -> u64 {
        self.lock().number
    }

    /// Ends the segment, so that it can go when it was read.
    pub fn close(&self) {
        self.lock().close();
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    /// Ends the segment; the next line begins a new one.
    fn close(&mut self) {
        if self.segment.take().is_some() {
            self.number += 1;
        }
    }
}

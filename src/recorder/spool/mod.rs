//! The spool: what became known about calls, on the local disk, until the database has it.
//!
//! An append-only log in segments, each line a checksum and an event. A line is written before its
//! call is answered, so that a killed process loses nothing. It is synced within 100 ms by another
//! thread, so that a power cut loses at most what came in that time. Each server has a folder of
//! its own, with a lock that ends with the process; what a dead one left is read by the living.
//!
//! Crates that keep write-ahead logs were looked at; none of them is both well kept and able to go on
//! behind a damaged line, a failed sync or a full disk.

mod checkpoint;
mod folder;
mod line;
mod reader;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::io::Errno;

pub(crate) use folder::set_aside;
pub use folder::{Folder, Orphans};
pub(crate) use line::LARGEST;
pub use line::{decode, encode};
pub use reader::{Batch, Reader};

use folder::{create_segment, last_number, sync_names};

/// How large a segment grows, in bytes.
const SEGMENT: u64 = 8 * 1024 * 1024;

/// How much is kept in memory of what is not synced yet, in bytes, to write it again elsewhere. What
/// comes on top while a disk hangs is not.
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

impl SpoolError {
    /// Tells whether the process lacks something for the moment: file descriptors or memory. The file is not at fault.
    pub(crate) fn is_passing(&self) -> bool {
        let lack = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(Errno::raw_os_error);
        self.source.raw_os_error().is_some_and(|code| lack.contains(&code))
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    move |source| SpoolError { action, path: path.to_owned(), source }
}

/// A spool that this process alone appends to.
pub struct Spool {
    folder: Folder,
    /// The segment that is appended to, with its length. Held while it is written, for as long as a disk
    /// takes for that: a process that only reads must not need it.
    segment: Mutex<Option<(Arc<File>, u64)>>,
    /// Its number; without one, that of the next.
    number: AtomicU64,
    written: Mutex<Unsynced>,
    appended: Condvar,
    /// How a file is synced; tests let it fail.
    sync: fn(&File) -> io::Result<()>,
}

/// What was written, and is not synced yet.
#[derive(Default)]
struct Unsynced {
    /// By file.
    groups: Vec<Group>,
    /// Since when something waits to be synced.
    since: Option<Instant>,
    /// Whether a segment was made whose name is not synced yet.
    unnamed: bool,
}

/// What was written to one file since it was synced.
struct Group {
    file: Arc<File>,
    bytes: Vec<u8>,
    /// Whether it was written again, after a sync had failed.
    again: bool,
}

impl Spool {
    /// Takes the first folder below `root` that no process holds, preferring that of a dead owner.
    ///
    /// # Errors
    /// When there is none and none can be made.
    pub fn claim(root: &Path) -> Result<Self, SpoolError> {
        let folder = Folder::claim(root)?;
        let number = AtomicU64::new(last_number(folder.path())? + 1);
        let (segment, written, appended) = (Mutex::default(), Mutex::default(), Condvar::new());
        Ok(Self { folder, segment, number, written, appended, sync: File::sync_data })
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

    /// Appends lines as [`encode`] makes them. When this returns, they survive the process.
    ///
    /// # Errors
    /// When they cannot be written, as on a full disk. Nothing of them is then in the spool.
    pub fn append(&self, lines: &[u8]) -> Result<(), SpoolError> {
        let mut segment = lock(&self.segment);
        let full = |length: u64| length > 0 && length + lines.len() as u64 > SEGMENT;
        if segment.as_ref().is_some_and(|(_, length)| full(*length)) {
            self.end(&mut segment);
        }
        self.write(&mut segment, lines, false)?;
        self.appended.notify_one();
        Ok(())
    }

    fn write(&self, segment: &mut Option<(Arc<File>, u64)>, lines: &[u8], again: bool) -> Result<(), SpoolError> {
        let path = self.folder.path();
        let (file, length) = if let Some(open) = segment.take() {
            open
        } else {
            let file = self.create()?;
            lock(&self.written).unnamed = true;
            (Arc::new(file), 0)
        };
        if let Err(error) = (&*file).write_all(lines) {
            // A part of a line must not stand before the next one.
            match file.set_len(length) {
                Ok(()) => *segment = Some((file, length)),
                Err(_) => drop(self.number.fetch_add(1, Ordering::Release)),
            }
            return Err(failed("write into", path)(error));
        }
        *segment = Some((Arc::clone(&file), length + lines.len() as u64));
        lock(&self.written).note(file, lines, again);
        Ok(())
    }

    /// Makes the next segment, and its folder if another process removed it.
    fn create(&self) -> Result<File, SpoolError> {
        let mut restored = false;
        loop {
            match create_segment(self.folder.path(), self.open_from()) {
                // A thread that panicked over this segment left it.
                Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {
                    self.number.fetch_add(1, Ordering::Release);
                }
                Err(error) if error.source.kind() == io::ErrorKind::NotFound && !restored => {
                    self.folder.restore()?;
                    restored = true;
                }
                made => return made,
            }
        }
    }

    /// Writes the open segment again, under a new number, if another process removed or renamed its file:
    /// the reader finds segments by name. Returns whether that was so.
    ///
    /// # Errors
    /// When it cannot be read or written again. Lines that come later are in the spool all the same.
    pub(crate) fn heal(&self) -> Result<bool, SpoolError> {
        let mut segment = lock(&self.segment);
        let Some((file, length)) = segment.take() else { return Ok(false) };
        let path = folder::segment(self.folder.path(), self.open_from());
        let ids = |file: std::fs::Metadata| (file.dev(), file.ino());
        if path.symlink_metadata().map(ids).ok() == file.metadata().map(ids).ok() {
            *segment = Some((file, length));
            return Ok(false);
        }
        self.number.fetch_add(1, Ordering::Release);
        let mut lines = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut lines, 0).map_err(failed("read", &path))?;
        let written = self.write(&mut segment, &lines, false);
        if written.is_err() {
            // The lines are nowhere else: the next attempt reads them again.
            *segment = Some((file, length));
        }
        written.map(|()| true)
    }

    /// Ends the segment; the next line begins a new one.
    fn end(&self, segment: &mut Option<(Arc<File>, u64)>) {
        if segment.take().is_some() {
            self.number.fetch_add(1, Ordering::Release);
        }
    }

    /// Waits until something is there to be synced, or for some time.
    pub fn wait(&self, at_most: Duration) {
        let written = lock(&self.written);
        let nothing = |written: &mut Unsynced| written.groups.is_empty();
        drop(self.appended.wait_timeout_while(written, at_most, nothing).unwrap_or_else(PoisonError::into_inner));
    }

    /// Syncs what was appended so far. Where a sync fails, what may be lost is written again, once, into
    /// a new segment: the next sync of the same file could succeed without having saved anything.
    ///
    /// # Errors
    /// When a sync failed, even if the new segment holds it now.
    pub fn sync(&self) -> Result<(), SpoolError> {
        let mut written = lock(&self.written);
        let groups = std::mem::take(&mut written.groups);
        let unnamed = std::mem::take(&mut written.unnamed);
        drop(written);
        let (began, idle) = (Instant::now(), groups.is_empty());
        let mut result = if unnamed { sync_names(self.folder.path()) } else { Ok(()) };
        for group in groups {
            let Err(error) = (self.sync)(&group.file) else { continue };
            let mut segment = lock(&self.segment);
            self.end(&mut segment);
            let again = if group.again { Ok(()) } else { self.write(&mut segment, &group.bytes, true) };
            result = again.and(Err(failed("sync a segment in", self.folder.path())(error)));
        }
        if result.is_ok() && !idle {
            let mut written = lock(&self.written);
            written.since = (!written.groups.is_empty()).then_some(began);
        }
        result
    }

    /// How long something has waited to be synced; what could never be, waits until something else was.
    pub(crate) fn unsynced(&self) -> Duration {
        lock(&self.written).since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The number of the first segment that may still grow.
    pub fn open_from(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Ends the segment, so that it can go when it was read; not while it is written.
    pub fn close(&self) {
        if let Ok(mut segment) = self.segment.try_lock() {
            self.end(&mut segment);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Unsynced {
    /// Notes what is to be synced.
    fn note(&mut self, file: Arc<File>, lines: &[u8], again: bool) {
        let kept: usize = self.groups.iter().map(|group| group.bytes.len()).sum();
        if !self.groups.last().is_some_and(|group| Arc::ptr_eq(&group.file, &file)) {
            self.groups.push(Group { file, bytes: Vec::new(), again });
        }
        if let Some(group) = self.groups.last_mut().filter(|_| kept + lines.len() <= UNSYNCED) {
            group.bytes.extend_from_slice(lines);
        }
        self.since.get_or_insert_with(Instant::now);
    }
}

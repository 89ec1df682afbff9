//! Reads a folder of the spool, batch by batch, and forgets what was delivered: the checkpoint is
//! synced first, then a segment goes. Whatever is damaged is set aside in `*.bad`, and what stands
//! behind it is read on.

use std::{
    cmp::Ordering,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    LARGEST, SpoolError,
    checkpoint::{Place, checkpoint, write_checkpoint},
    decode, failed,
    folder::{segment, segments, set_aside},
};
use crate::calls::Event;

/// How much is read at a time, in bytes: more than the longest line.
const CHUNK: usize = LARGEST + 64 * 1024;

/// How much a batch holds about, in bytes, however few events that are.
const LARGEST_BATCH: usize = 4 * LARGEST;

/// How often the checkpoint is written while nothing else asks for it.
const OFTEN: Duration = Duration::from_secs(1);

/// Reads one folder.
pub struct Reader {
    folder: PathBuf,
    /// Where what was delivered ends.
    place: Place,
    /// The last checkpoint, and when it was written.
    checked: (Place, Instant),
    open: Option<(u64, File)>,
    /// The segment that could not be read last.
    unreadable: Option<u64>,
    buffer: Vec<u8>,
}

/// What was read, and is to be delivered.
#[derive(Debug, Default)]
pub struct Batch {
    /// The events.
    pub events: Vec<Event>,
    /// How many lines were damaged.
    pub bad: usize,
    /// Whether there may be more behind it: it is as large as a batch gets, or ends before what cannot be read.
    pub full: bool,
    /// Where it ends.
    end: Place,
}

impl Batch {
    /// Tells whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.bad == 0
    }
}

impl Reader {
    /// Begins behind what is known to be delivered.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        // Without a checkpoint that can be read, all is delivered again: that changes nothing.
        let place = checkpoint(folder).unwrap_or_default();
        let first = segments(folder)?.first().copied();
        let place = if first.is_some_and(|first| first > place.0) { (first.unwrap_or(0), 0) } else { place };
        let checked = (place, Instant::now());
        Ok(Self { folder: folder.to_owned(), place, checked, open: None, unreadable: None, buffer: Vec::new() })
    }

    /// Reads some events, or none if there are no more. Segments from `open_from` on may still grow,
    /// and those before are complete.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn next(&mut self, open_from: u64, at_most: usize) -> Result<Batch, SpoolError> {
        let mut batch = Batch { end: self.place, ..Batch::default() };
        let (mut bytes, mut stopped) = (0, false);
        while batch.events.len() < at_most && bytes < LARGEST_BATCH {
            let (number, offset) = batch.end;
            let read = match self.fill(number, offset) {
                Ok(read) => read,
                // What stands in front of it is delivered first.
                Err(_) if !batch.is_empty() => {
                    stopped = true;
                    break;
                }
                Err(error) => {
                    self.unreadable = Some(number);
                    return Err(error);
                }
            };
            let mut taken = 0;
            while let Some(length) = self.buffer[taken..read].iter().position(|byte| *byte == b'\n')
                && batch.events.len() < at_most
            {
                let line = taken..taken + length;
                match decode(&self.buffer[line.clone()]) {
                    Some(event) => batch.events.push(event),
                    None => self.set_aside(number, line, &mut batch),
                }
                taken += length + 1;
            }
            batch.end.1 += taken as u64;
            bytes += taken;
            if taken > 0 {
                continue;
            }
            if read > LARGEST {
                // Nothing that was ever written is as long.
                self.set_aside(number, 0..read, &mut batch);
                batch.end.1 += read as u64;
                continue;
            }
            if number >= open_from {
                break;
            }
            // A line that ends without its break was never acknowledged.
            let next = match segments(&self.folder) {
                Ok(numbers) => numbers.into_iter().find(|later| *later > number),
                Err(_) if !batch.is_empty() => {
                    stopped = true;
                    break;
                }
                Err(error) => return Err(error),
            };
            batch.end = (next.unwrap_or(number + 1).min(open_from), 0);
            if next.is_none() {
                break;
            }
        }
        batch.full = stopped || batch.events.len() >= at_most || bytes >= LARGEST_BATCH;
        Ok(batch)
    }

    /// Notes that a batch was delivered; segments that it ended are removed.
    ///
    /// # Errors
    /// When the checkpoint cannot be written; the segments then stay.
    pub fn delivered(&mut self, batch: &Batch) -> Result<(), SpoolError> {
        let ended = batch.end.0 > self.checked.0.0;
        self.place = batch.end;
        if ended || self.checked.1.elapsed() >= OFTEN { self.check() } else { Ok(()) }
    }

    /// Writes the checkpoint, and removes the segments before it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn check(&mut self) -> Result<(), SpoolError> {
        if self.checked.0 == self.place {
            return Ok(());
        }
        write_checkpoint(&self.folder, self.place)?;
        self.checked = (self.place, Instant::now());
        for number in segments(&self.folder)?.into_iter().take_while(|number| *number < self.place.0) {
            let path = segment(&self.folder, number);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Renames the segment that could not be read last, so that the next read goes on behind it. Returns its new
    /// name. `None` if every segment could be read.
    ///
    /// # Errors
    /// When it cannot be renamed. It is then read again.
    pub(crate) fn set_segment_aside(&mut self) -> Result<Option<PathBuf>, SpoolError> {
        let Some(number) = self.unreadable else { return Ok(None) };
        let renamed = set_aside(&segment(&self.folder, number))?;
        (self.unreadable, self.open) = (None, None);
        Ok(Some(renamed))
    }

    /// How many bytes wait here.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn waiting(&self) -> Result<u64, SpoolError> {
        let sizes = segments(&self.folder)?.into_iter().map(|number| {
            let size = fs::metadata(segment(&self.folder, number)).map_or(0, |file| file.len());
            match number.cmp(&self.place.0) {
                Ordering::Less => 0,
                Ordering::Equal => size.saturating_sub(self.place.1),
                Ordering::Greater => size,
            }
        });
        Ok(sizes.sum())
    }

    /// Reads as much as fits from a place, or nothing if the segment is gone.
    fn fill(&mut self, number: u64, offset: u64) -> Result<usize, SpoolError> {
        let path = segment(&self.folder, number);
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            match File::open(&path) {
                Ok(file) => self.open = Some((number, file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
                Err(error) => return Err(failed("open", &path)(error)),
            }
        }
        let Some((_, file)) = &self.open else { return Ok(0) };
        self.buffer.resize(CHUNK, 0);
        let mut read = 0;
        while read < CHUNK {
            match file.read_at(&mut self.buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", &path)(error)),
            }
        }
        Ok(read)
    }

    /// Keeps a damaged line so that the operator can look into it. If that fails, it is only counted.
    fn set_aside(&self, number: u64, line: std::ops::Range<usize>, batch: &mut Batch) {
        batch.bad += 1;
        let path = self.folder.join(format!("{number:020}.bad"));
        let file = File::options().append(true).create(true).mode(0o600).open(path);
        let _ = file.and_then(|mut file| {
            file.write_all(&self.buffer[line])?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
    }
}

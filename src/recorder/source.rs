//! A folder of the spool that is read. Each has a back-off of its own: one that cannot be read must not hold up
//! what waits in the others.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{
    RecorderMetrics,
    spool::{Batch, Reader, SpoolError},
};

/// How many events a batch has at most.
pub(super) const BATCH: usize = 2000;

/// The longest time between two attempts, in seconds.
const LONGEST: u64 = 30;

/// After so many failed reads in a row, which take some three seconds, a segment is set aside.
const ATTEMPTS: u32 = 3;

/// A folder that is read, and what was read of it and is not delivered yet.
pub(super) struct Source {
    pub(super) reader: Reader,
    pub(super) pending: Option<Batch>,
    backoff: Backoff,
}

/// When something that failed is tried again.
#[derive(Default)]
pub(super) struct Backoff {
    /// How many attempts failed in a row.
    pub(super) failures: u32,
    until: Option<Instant>,
}

impl Source {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, pending: None, backoff: Backoff::default() }
    }

    /// Tells whether it may be read now.
    pub(super) fn is_due(&self) -> bool {
        self.backoff.is_due()
    }

    /// Reads the next batch. `None` if that fails, which is logged.
    pub(super) fn next(&mut self, open_from: u64, metrics: &RecorderMetrics) -> Option<Batch> {
        if let Some(batch) = self.pending.take() {
            return Some(batch);
        }
        loop {
            match self.reader.next(open_from, BATCH) {
                Ok(batch) => {
                    self.backoff = Backoff::default();
                    return Some(batch);
                }
                Err(error) if !self.failed(&error, metrics) => return None,
                Err(_) => {}
            }
        }
    }

    /// Tells whether the folder is gone, as after `rm -r`.
    pub(super) fn is_gone(&self) -> bool {
        self.backoff.failures > 0
            && self.reader.waiting().is_err_and(|error| error.source.kind() == io::ErrorKind::NotFound)
    }

    /// Notes a failure. Returns whether the segment was set aside, so that there is another one to read.
    fn failed(&mut self, error: &SpoolError, metrics: &RecorderMetrics) -> bool {
        self.backoff.failed();
        tracing::warn!(attempt = self.backoff.failures, "a part of the spool cannot be read, the rest is: {error}");
        if self.backoff.failures < ATTEMPTS || error.is_passing() {
            return false;
        }
        match self.reader.set_segment_aside() {
            Ok(None) => false,
            Ok(Some(path)) => {
                metrics.set_aside.inc();
                let path = path.display();
                tracing::error!("calls in `{path}` are not recorded: {error}; mend it and name it `*.calls` again");
                self.backoff = Backoff::default();
                true
            }
            Err(error) => {
                tracing::error!("{error}");
                false
            }
        }
    }
}

impl Backoff {
    pub(super) fn is_due(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() >= until)
    }

    /// Notes a failure; the next attempt comes later and later.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.until = Some(Instant::now() + self.pause());
    }

    /// How long to wait before the next attempt: from half of it to all of it, so that several servers do not come
    /// back at once.
    pub(super) fn pause(&self) -> Duration {
        let seconds = 1_u64 << self.failures.min(6).saturating_sub(1);
        let mut random = [128];
        let _ = getrandom::fill(&mut random);
        Duration::from_secs(seconds.min(LONGEST)).mul_f64(0.5 + f64::from(random[0]) / 512.0)
    }
}

//! The thread that writes what waits in the spools to the database, in batches, for ever.

use std::{
    io::ErrorKind,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    Shared,
    source::{BATCH, Backoff, Source},
    spool::{self, Folder, Orphans, Reader, SpoolError},
};
use crate::{
    calls::Event,
    directory::{Directory, Open, Written},
    error::words,
};

/// How long more events are waited for, once there is one.
const LINGER: Duration = Duration::from_millis(100);

/// How often the writer looks around without being woken.
const LOOK: Duration = Duration::from_secs(1);

/// How many times as long as it wrote the writer rests while calls come: it takes at most a fifth of the time from
/// those who are called. That still records some 4,000 calls a second; the spool holds what is beyond.
const RESTS: u32 = 4;

/// How often it looks for what dead owners left.
const ORPHANS: Duration = Duration::from_secs(10);

/// Writes to the database.
pub(super) struct Writer {
    shared: Arc<Shared>,
    open: Arc<Open>,
    directory: Option<Directory>,
    /// Our own spool's.
    own: Option<Source>,
    /// Those of dead owners.
    orphans: Vec<(Folder, Source)>,
    looked: Option<Instant>,
    /// Of the database, which all sources need.
    backoff: Backoff,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, open: Arc<Open>) -> Self {
        let backoff = Backoff::default();
        Self { shared, open, directory: None, own: None, orphans: Vec::new(), looked: None, backoff }
    }

    pub(super) fn run(&mut self) {
        loop {
            let ending = self.ending();
            if ending.is_some()
                && let Some(spool) = self.shared.spool.get()
            {
                // All of it can go once it is delivered.
                spool.close();
            }
            let began = Instant::now();
            let passed = self.pass();
            self.measure();
            match passed {
                Ok(true) => {
                    self.backoff = Backoff::default();
                    self.rest(began.elapsed() * RESTS);
                }
                Ok(false) if ending.is_some() => break,
                Ok(false) => {
                    self.backoff = Backoff::default();
                    self.wait();
                }
                Err(error) => {
                    self.backoff.failed();
                    tracing::warn!(attempt = self.backoff.failures, "calls wait to be recorded: {}", words(&error));
                    if ending.is_some() {
                        break;
                    }
                    self.back_off();
                }
            }
            if ending.is_some_and(|until| Instant::now() >= until) {
                break;
            }
        }
        for source in self.own.iter_mut().chain(self.orphans.iter_mut().map(|(_, source)| source)) {
            if let Err(error) = source.reader.check() {
                tracing::warn!("{error}");
            }
        }
        self.measure();
    }

    /// Writes a batch of each source that has one. Returns whether there may be more. An error is the
    /// database's: that of a source is logged, and holds up that source alone.
    fn pass(&mut self) -> anyhow::Result<bool> {
        let kept = self.write_kept()?;
        let own = self.write_own()?;
        let orphans = self.write_orphans()?;
        Ok(kept || own || orphans)
    }

    /// Writes what is kept in memory only.
    fn write_kept(&mut self) -> anyhow::Result<bool> {
        let shared = Arc::clone(&self.shared);
        let events = shared.take_kept(BATCH);
        if events.is_empty() {
            return Ok(false);
        }
        self.record(&events)?;
        events.done();
        let more = !shared.kept().is_empty();
        Ok(more)
    }

    fn write_own(&mut self) -> anyhow::Result<bool> {
        let shared = Arc::clone(&self.shared);
        let Some(spool) = shared.spool.get() else { return Ok(false) };
        let mut source = match self.own.take().map_or_else(|| spool.reader().map(Source::new), Ok) {
            Ok(source) => source,
            Err(error) => {
                tracing::warn!("{error}");
                return Ok(false);
            }
        };
        let written = if source.is_due() { self.write(&mut source, spool.open_from()) } else { Ok(false) };
        self.own = Some(source);
        written
    }

    fn write_orphans(&mut self) -> anyhow::Result<bool> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= ORPHANS) && self.shared.spool.get().is_some() {
            self.looked = Some(Instant::now());
            self.look_for_orphans();
        }
        let (mut more, mut written) = (false, Ok(()));
        for (folder, mut source) in std::mem::take(&mut self.orphans) {
            if written.is_err() || !source.is_due() {
                self.orphans.push((folder, source));
                continue;
            }
            let delivered = self.write(&mut source, u64::MAX);
            more |= matches!(delivered, Ok(true));
            // A folder that is empty now, or gone, is released.
            let is_drained = matches!(delivered, Ok(false)) && source.is_due();
            written = delivered.map(drop);
            if !(is_drained || source.is_gone()) {
                self.orphans.push((folder, source));
            }
        }
        written.map(|()| more)
    }

    fn look_for_orphans(&mut self) {
        let Orphans { folders, broken } = Folder::orphans(&self.shared.root).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            Orphans::default()
        });
        for folder in folders {
            tracing::info!("calls that another server left in `{}` are recorded", folder.path().display());
            match Reader::open(folder.path()) {
                Ok(reader) => self.orphans.push((folder, Source::new(reader))),
                Err(error) => tracing::warn!("{error}"),
            }
        }
        for (path, error) in broken {
            // A full disk or a lack of file descriptors passes: only what is no folder stays as it is.
            if ![ErrorKind::NotADirectory, ErrorKind::IsADirectory].contains(&error.source.kind()) {
                tracing::warn!("{error}");
                continue;
            }
            match spool::set_aside(&path) {
                Ok(path) => {
                    self.shared.metrics.set_aside.inc();
                    tracing::error!("{error}; it is called `{}` now, and calls in it are not recorded", path.display());
                }
                Err(error) => tracing::error!("{error}"),
            }
        }
    }

    /// Writes the next batch. Returns whether there may be more behind it.
    fn write(&mut self, source: &mut Source, open_from: u64) -> anyhow::Result<bool> {
        let Some(batch) = source.next(open_from, &self.shared.metrics) else { return Ok(false) };
        if let Err(error) = self.record(&batch.events) {
            source.pending = Some(batch);
            return Err(error);
        }
        if batch.bad > 0 {
            self.shared.metrics.damaged.inc_by(batch.bad as u64);
            tracing::error!(lines = batch.bad, "damaged lines of the spool were set aside in `*.bad`");
        }
        let noted = source.reader.delivered(&batch);
        // What is recorded is recorded, whatever becomes of the checkpoint: it would be written again.
        let noted = noted.and_then(|()| if batch.is_empty() { source.reader.check() } else { Ok(()) });
        noted.unwrap_or_else(|error| not_noted(&error));
        Ok(batch.full)
    }

    fn record(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let Some(first) = events.first() else { return Ok(()) };
        let metrics = &self.shared.metrics;
        metrics.oldest.set(age(first));
        let mut directory = match self.directory.take() {
            Some(directory) => directory,
            None => (self.open)().inspect_err(|_| {
                metrics.failed.inc();
            })?,
        };
        let began = Instant::now();
        match directory.record_calls(events) {
            Ok(Written { written, refused }) => {
                metrics.batch.observe(began.elapsed().as_secs_f64());
                metrics.written.inc_by(written as u64);
                metrics.refused.inc_by(refused as u64);
                if refused > 0 {
                    tracing::error!(events = refused, "the tables refused events of calls: see `call_dead_letters`");
                }
                self.directory = Some(directory);
                Ok(())
            }
            // The connection goes with the error: the next attempt is made on a new one.
            Err(error) => {
                metrics.failed.inc();
                Err(error.into())
            }
        }
    }

    fn measure(&self) {
        let metrics = &self.shared.metrics;
        let sources = || self.own.iter().chain(self.orphans.iter().map(|(_, source)| source));
        let bytes: u64 = sources().filter_map(|source| source.reader.waiting().ok()).sum();
        metrics.spool_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let kept = self.shared.kept();
        let waiting = sources().filter_map(|source| source.pending.as_ref()?.events.first()).chain(kept.front());
        metrics.oldest.set(waiting.map(age).fold(0.0, f64::max));
    }

    fn ending(&self) -> Option<Instant> {
        self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner).ending
    }

    /// Waits until there is something to do, and a little for more of it.
    fn wait(&self) {
        let wake = self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |wake: &mut super::Wake| !wake.appended && wake.ending.is_none();
        let woken = self.shared.woken.wait_timeout_while(wake, LOOK, idle);
        let (mut wake, waited) = woken.unwrap_or_else(PoisonError::into_inner);
        wake.appended = false;
        let linger = !waited.timed_out() && wake.ending.is_none();
        drop(wake);
        if linger {
            std::thread::sleep(LINGER);
        }
    }

    /// Rests for some time if calls came meanwhile: to answer them goes before what is only written down.
    fn rest(&self, time: Duration) {
        let mut wake = self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut wake.appended) {
            let serving = |wake: &mut super::Wake| wake.ending.is_none();
            drop(self.shared.woken.wait_timeout_while(wake, time.min(LOOK), serving));
        }
    }

    /// Waits longer and longer, unless the server ends.
    fn back_off(&self) {
        let wait = self.backoff.pause();
        let until = Instant::now() + wait;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let wake = self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner);
            let serving = |wake: &mut super::Wake| wake.ending.is_none();
            let waited = self.shared.woken.wait_timeout_while(wake, left.min(LOOK), serving);
            let ending = waited.unwrap_or_else(PoisonError::into_inner).0.ending.is_some();
            self.measure();
            if ending {
                return;
            }
        }
    }
}

fn age(event: &Event) -> f64 {
    Timestamp::now().duration_since(event.at).as_secs_f64().max(0.0)
}

fn not_noted(error: &SpoolError) {
    tracing::warn!("{error}; what was recorded may be recorded again, which changes nothing");
}

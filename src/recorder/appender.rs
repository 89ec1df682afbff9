//! The way of an event to the disk.
//!
//! A request hands its event over and waits until it is written. One thread writes as soon as there is an
//! event. Events that arrive during a write form the next group. Another thread syncs the file. The thread
//! that serves never touches the disk: if the disk hangs, it waits a bounded time and goes on.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, task::yield_now, time::timeout};

use super::{
    KEPT, RecorderError, Shared,
    spool::{Spool, SpoolError, encode},
};
use crate::{calls::Event, fail_point};

/// How long a request asks again and again whether its line is written, before it sleeps until it is woken. A disk
/// that works takes some 10 us. To sleep and be woken takes several times as long.
const QUICK: Duration = Duration::from_micros(100);

/// How long the thread that writes looks for the next line before it sleeps. To wake it takes the thread that serves
/// some 10 us, and the line another 30 us.
const LOOKS: Duration = Duration::from_micros(60);

/// The thread looks for the next line if the last one came so soon after the one before. If calls are rarer, it sleeps:
/// to look takes processor time.
const SOON: Duration = Duration::from_micros(200);

/// How long the disk is waited for before a call is answered.
const PATIENCE: Duration = Duration::from_millis(500);

/// The pause between two syncs. Together with a sync of the same length, a power cut loses at most 100 ms.
const GROUP: Duration = Duration::from_millis(50);

/// How long a sync may take until what waits for it counts as not durable.
const SYNC: Duration = Duration::from_secs(1);

/// How often what is kept in memory is tried on the disk again, and a spool that could not be made.
const RESCUE: Duration = Duration::from_secs(1);

/// How often the thread that syncs looks whether it is the end.
const GLANCE: Duration = Duration::from_millis(200);

/// How many events kept in memory are brought to the disk at once.
const RESCUED: usize = 500;

/// What waits to be written.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    come: Condvar,
    /// Whether there are lines, for the thread that looks for them without the lock.
    filled: AtomicBool,
    /// Whether the disk was late, and has not come back.
    late: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<Line>,
    /// Whether the thread waits for a line.
    idle: bool,
    ending: bool,
}

/// Lets no request wait for the thread that writes if that panics, until it has written again.
struct LateAfterPanic<'a>(&'a Queue);

impl Drop for LateAfterPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.late.store(true, Ordering::Relaxed);
        }
    }
}

/// Wakes the thread when it is dropped, also if the request is dropped because its client went away.
struct Wakes<'a>(&'a Condvar);

impl Drop for Wakes<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A line of the spool, and who waits for it to be written.
struct Line {
    bytes: Vec<u8>,
    written: oneshot::Sender<GroupResult>,
}

/// What became of a group. One of the requests that wait for it gets it from the thread, and the others from
/// that one: they are on the thread that serves, which is woken once.
struct GroupResult {
    /// Without an error, there is no spool.
    written: Result<(), Option<Arc<SpoolError>>>,
    others: Vec<oneshot::Sender<GroupResult>>,
}

impl GroupResult {
    /// Sends it to the first request that still waits.
    fn tell(mut self) {
        while let Some(next) = self.others.pop() {
            let told = Self { written: self.written.clone(), others: std::mem::take(&mut self.others) };
            let Err(mut untold) = next.send(told) else { return };
            self.others = std::mem::take(&mut untold.others);
        }
    }
}

impl Drop for GroupResult {
    fn drop(&mut self) {
        for other in self.others.drain(..) {
            // A request that does not wait any longer has kept the event in memory.
            let _ = other.send(Self { written: self.written.clone(), others: Vec::new() });
        }
    }
}

impl Queue {
    /// Hands an event over, and waits until it is written, for a moment.
    ///
    /// # Errors
    /// When it is not on the disk; where that is late, it may get there all the same.
    pub(super) async fn append(&self, event: &Event) -> Result<(), RecorderError> {
        let (written, heard) = oneshot::channel();
        if let Some(wakes) = self.push(Line { bytes: encode(event)?, written })? {
            // The requests that are ready add their lines first, so that the thread wakes once for all of them.
            yield_now().await;
            drop(wakes);
        }
        if self.late.load(Ordering::Relaxed) {
            return Err(RecorderError::Late);
        }
        let asked = Instant::now();
        while heard.is_empty() && asked.elapsed() < QUICK {
            yield_now().await;
        }
        let Ok(told) = timeout(PATIENCE, heard).await else {
            self.late.store(true, Ordering::Relaxed);
            return Err(RecorderError::Late);
        };
        match told.map(|told| told.written.clone()) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Some(error))) => Err(RecorderError::Spool(error)),
            Ok(Err(None)) => Err(RecorderError::NoSpool),
            Err(_) => Err(RecorderError::Panicked),
        }
    }

    /// Lets the thread end once all is written.
    pub(super) fn end(&self) {
        self.lock().ending = true;
        self.come.notify_one();
    }

    /// Adds a line. The first one since the thread took the last has to wake it.
    fn push(&self, line: Line) -> Result<Option<Wakes<'_>>, RecorderError> {
        let mut waiting = self.lock();
        if waiting.lines.len() >= KEPT {
            return Err(RecorderError::Late);
        }
        let wakes = waiting.idle && waiting.lines.is_empty();
        waiting.lines.push(line);
        self.filled.store(true, Ordering::Relaxed);
        drop(waiting);
        Ok(wakes.then_some(Wakes(&self.come)))
    }

    /// Takes all that has come, waiting for it a while; none at the end. `looks` says whether it first looks for it
    /// without sleeping.
    fn take(&self, looks: bool) -> Option<Vec<Line>> {
        let began = Instant::now();
        while looks && !self.filled.load(Ordering::Relaxed) && began.elapsed() < LOOKS {
            thread::yield_now();
        }
        let mut waiting = self.lock();
        waiting.idle = true;
        let idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.ending;
        let waited = self.come.wait_timeout_while(waiting, RESCUE, idle);
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        waiting.idle = false;
        self.filled.store(false, Ordering::Relaxed);
        let lines = std::mem::take(&mut waiting.lines);
        (!lines.is_empty() || !waiting.ending).then_some(lines)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Writes events group by group until the server ends.
    pub(super) fn write_groups(&self) {
        let _late = LateAfterPanic(&self.queue);
        let mut tried = Instant::now();
        let mut asked = Instant::now();
        let mut looks = false;
        while let Some(lines) = self.queue.take(looks) {
            looks = asked.elapsed() < SOON;
            if tried.elapsed() >= RESCUE {
                tried = Instant::now();
                self.claim();
                self.heal();
                self.rescue();
            }
            if lines.is_empty() {
                continue;
            }
            self.write_group(lines);
            asked = Instant::now();
        }
        self.rescue();
    }

    /// Writes the open segment again if its file is gone.
    fn heal(&self) {
        let Some(spool) = self.spool.get() else { return };
        let healed = spool.heal();
        if let Err(error) = &healed {
            tracing::error!("a segment of the spool is gone: {error}");
        }
        if healed.is_ok_and(|healed| healed) {
            self.metrics.vanished.inc();
            self.appended();
            tracing::error!("another process removed or renamed a segment of the spool; it is written again");
        }
    }

    fn write_group(&self, lines: Vec<Line>) {
        let _ = fail_point::pass("spool-append");
        let bytes: Vec<&[u8]> = lines.iter().map(|line| line.bytes.as_slice()).collect();
        let written = self.write(&bytes.concat());
        self.queue.late.store(false, Ordering::Relaxed);
        GroupResult { written, others: lines.into_iter().map(|line| line.written).collect() }.tell();
        self.appended();
    }

    /// Writes lines into the spool; fails without an error where there is no spool.
    fn write(&self, lines: &[u8]) -> Result<(), Option<Arc<SpoolError>>> {
        let spool = self.spool.get().ok_or(None)?;
        let written = spool.append(lines).map_err(|error| Some(Arc::new(error)));
        let durable = written.is_ok() && spool.unsynced() < SYNC;
        self.metrics.durable.set(durable.into());
        written
    }

    /// Writes the events that are kept in memory to the disk, until it rejects some.
    fn rescue(&self) {
        loop {
            let events = self.take_kept(RESCUED);
            if events.is_empty() {
                return;
            }
            let lines: Result<Vec<Vec<u8>>, _> = events.iter().map(encode).collect();
            if !lines.is_ok_and(|lines| self.write(&lines.concat()).is_ok()) {
                return;
            }
            events.done();
            self.appended();
        }
    }

    /// Syncs what was written, group by group, until all was appended.
    pub(super) fn sync_groups(&self, appended: &Receiver<()>) {
        loop {
            let last = !matches!(appended.try_recv(), Err(TryRecvError::Empty));
            let pause = match self.spool.get() {
                Some(spool) => {
                    if !last {
                        spool.wait(GLANCE);
                    }
                    if self.sync(spool) { GROUP } else { RESCUE }
                }
                None => GLANCE,
            };
            if last {
                return;
            }
            thread::sleep(pause);
        }
    }

    fn sync(&self, spool: &Spool) -> bool {
        let synced = spool.sync();
        if let Err(error) = &synced {
            tracing::error!("{error}");
            self.metrics.durable.set(0);
        }
        synced.is_ok()
    }
}

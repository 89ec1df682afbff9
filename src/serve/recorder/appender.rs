//! The way of an event to the disk. Whoever has one hands it over and hears when it is written; one
//! thread writes what has come, a group at a time, and another one syncs it. The threads that serve
//! never touch the disk: where it hangs, they are told that it is late, and go on.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

use super::{KEPT, RecorderError, Shared};
use crate::calls::{
    Event,
    spool::{Spool, SpoolError, encode},
};

/// How long the disk is waited for before a call is answered.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long events gather, where they come one after the other, to be written at once; and how long the
/// requests behind them wait to be read, at most.
const GATHER: Duration = Duration::from_millis(20);

/// How long what was written gathers, to be synced at once.
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
    ended: Condvar,
    /// Whether the disk was late, and has not come back.
    late: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<Line>,
    /// Whether the thread waits for a line.
    idle: bool,
    /// Until when a group may gather and be written before anybody stops waiting for it.
    gathers: Option<Instant>,
    ending: bool,
}

/// A line of the spool, and who waits for it to be written.
struct Line {
    bytes: Vec<u8>,
    written: oneshot::Sender<Told>,
}

/// What became of a group. One of those who wait for it hears it from the thread, and the others from
/// that one: they are on the thread that serves, which is woken once.
struct Told {
    /// Without an error, there is no spool.
    written: Result<(), Option<Arc<SpoolError>>>,
    others: Vec<oneshot::Sender<Told>>,
}

impl Told {
    /// Tells the first who still waits.
    fn tell(mut self) {
        while let Some(next) = self.others.pop() {
            let told = Self { written: self.written.clone(), others: std::mem::take(&mut self.others) };
            let Err(mut untold) = next.send(told) else { return };
            self.others = std::mem::take(&mut untold.others);
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        for other in self.others.drain(..) {
            // Whoever does not wait any longer has kept the event in memory.
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
        self.push(Line { bytes: encode(event)?, written })?;
        if self.late.load(Ordering::Relaxed) {
            return Err(RecorderError::Late);
        }
        let heard = timeout(PATIENCE, heard).await;
        heard.map_or_else(
            |_| {
                self.late.store(true, Ordering::Relaxed);
                Err(RecorderError::Late)
            },
            |told| match told.map(|told| told.written.clone()) {
                Ok(Ok(())) => Ok(()),
                Ok(Err(Some(error))) => Err(RecorderError::Spool(error)),
                Ok(Err(None)) | Err(_) => Err(RecorderError::NoSpool),
            },
        )
    }

    /// Waits until the group that gathers is written, or should have been; not where none does. What comes
    /// meanwhile is taken up together: to wake for each request costs more than some of them.
    pub(super) fn breathe(&self) {
        let waiting = self.lock();
        let Some(until) = waiting.gathers.filter(|_| !self.late.load(Ordering::Relaxed)) else { return };
        let rest = until.saturating_duration_since(Instant::now());
        drop(self.ended.wait_timeout_while(waiting, rest, |waiting| waiting.gathers.is_some()));
    }

    /// Lets the thread end once all is written.
    pub(super) fn end(&self) {
        self.lock().ending = true;
        self.come.notify_one();
    }

    fn push(&self, line: Line) -> Result<(), RecorderError> {
        let mut waiting = self.lock();
        if waiting.lines.len() >= KEPT {
            return Err(RecorderError::Late);
        }
        let idle = waiting.idle;
        if waiting.lines.is_empty() && !idle {
            waiting.gathers = Some(Instant::now() + GATHER);
        }
        waiting.lines.push(line);
        drop(waiting);
        if idle {
            self.come.notify_one();
        }
        Ok(())
    }

    /// Takes all that has come, waiting for it a while; none at the end.
    fn take(&self) -> Option<Vec<Line>> {
        let mut waiting = self.lock();
        waiting.idle = true;
        let idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.ending;
        let waited = self.come.wait_timeout_while(waiting, RESCUE, idle);
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        waiting.idle = false;
        let lines = std::mem::take(&mut waiting.lines);
        (!lines.is_empty() || !waiting.ending).then_some(lines)
    }

    /// Says that what was taken is written, or cannot be.
    fn end_group(&self) {
        let mut waiting = self.lock();
        if waiting.lines.is_empty() {
            waiting.gathers = None;
        }
        drop(waiting);
        self.ended.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Writes what comes, group by group, until the end.
    pub(super) fn write_groups(&self) {
        let mut tried = Instant::now();
        while let Some(lines) = self.queue.take() {
            if tried.elapsed() >= RESCUE {
                tried = Instant::now();
                self.claim();
                self.rescue();
            }
            if lines.is_empty() {
                continue;
            }
            self.write_group(lines);
            thread::sleep(GATHER);
        }
        self.rescue();
    }

    fn write_group(&self, lines: Vec<Line>) {
        let bytes: Vec<&[u8]> = lines.iter().map(|line| line.bytes.as_slice()).collect();
        let written = self.write(&bytes.concat());
        self.queue.late.store(false, Ordering::Relaxed);
        Told { written, others: lines.into_iter().map(|line| line.written).collect() }.tell();
        self.queue.end_group();
        self.wake(|wake| wake.appended = true);
    }

    /// Writes lines into the spool; fails without an error where there is no spool.
    fn write(&self, lines: &[u8]) -> Result<(), Option<Arc<SpoolError>>> {
        let spool = self.spool.get().ok_or(None)?;
        let written = spool.append(lines).map_err(|error| Some(Arc::new(error)));
        let durable = written.is_ok() && spool.unsynced() < SYNC;
        self.metrics.durable.set(durable.into());
        written
    }

    /// Brings what is kept in memory to the disk, as far as that takes it.
    fn rescue(&self) {
        loop {
            let events: Vec<Event> = {
                let mut kept = self.kept();
                let count = kept.len().min(RESCUED);
                kept.drain(..count).collect()
            };
            if events.is_empty() {
                return;
            }
            let lines: Result<Vec<Vec<u8>>, _> = events.iter().map(encode).collect();
            if !lines.is_ok_and(|lines| self.write(&lines.concat()).is_ok()) {
                put_back(&mut self.kept(), events);
                return;
            }
            self.wake(|wake| wake.appended = true);
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

/// Puts events back, before those that came meanwhile.
pub(super) fn put_back(kept: &mut VecDeque<Event>, events: Vec<Event>) {
    events.into_iter().rev().for_each(|event| kept.push_front(event));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_event_waits_for_none_and_those_behind_it_for_each_other() {
        let queue = Queue::default();
        let push = || queue.push(Line { bytes: Vec::new(), written: oneshot::channel().0 }).unwrap();
        let gathers = || queue.lock().gathers.is_some();
        queue.lock().idle = true;
        push();
        assert!(!gathers(), "the thread is about to take it");
        assert_eq!(queue.take().map(|lines| lines.len()), Some(1));
        push();
        assert!(gathers(), "one is being written");
        queue.end_group();
        assert!(gathers(), "the other one waits for more");
        push();
        assert_eq!(queue.take().map(|lines| lines.len()), Some(2));
        assert!(gathers(), "both are being written");
        queue.end_group();
        assert!(!gathers());
    }

    #[test]
    fn nobody_waits_for_a_group_that_is_never_written() {
        let queue = Queue::default();
        queue.push(Line { bytes: Vec::new(), written: oneshot::channel().0 }).unwrap();
        queue.breathe();
        assert!(queue.lock().gathers.is_some_and(|until| until <= Instant::now()), "it waited until then");
    }
}

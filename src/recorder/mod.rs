//! Writes down what becomes known about calls: into the spool before the call is answered, from there
//! into the database, however long that is away.
//!
//! One thread writes to the spool, one syncs it, and one writes to the database on a connection of its
//! own. A thread that panics is started again. If the disk rejects an event or is late, the event is kept in
//! memory, written to the log and counted, and the call is answered all the same.

mod appender;
mod kept;
mod metrics;
mod source;
pub mod spool;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

pub(crate) use metrics::RecorderMetrics;

use self::spool::{Spool, SpoolError};
use crate::{calls::Event, directory::Open};
use appender::Queue;
use writer::Writer;

/// How many events are kept in memory while the disk takes none.
const KEPT: usize = 10_000;

/// How long what waits is written to the database when the server ends; the rest is for the next one.
const FLUSH: Duration = Duration::from_secs(5);

/// How long the disk is waited for when the server ends.
const SYNCED: Duration = Duration::from_secs(3);

/// The pause before a thread that panicked starts again: a panic that comes back at once must not fill the log.
const RESTART: Duration = Duration::from_secs(1);

/// An event is not on the disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecorderError {
    /// It cannot be written as JSON.
    #[error("an event cannot be written down: {0}")]
    Encode(#[from] serde_json::Error),
    /// The disk does not take it; it is kept in memory until the disk or the database does.
    #[error("an event is kept in memory only: {0}")]
    Spool(Arc<SpoolError>),
    /// The disk does not take it in time.
    #[error("an event is kept in memory only: the disk is late")]
    Late,
    /// There is no spool yet.
    #[error("an event is kept in memory only: there is no spool in the state folder")]
    NoSpool,
    /// The thread that writes panicked over it.
    #[error("an event is kept in memory only: the thread that writes to the disk panicked")]
    Panicked,
}

/// Writes down what becomes known about calls.
pub(crate) struct Recorder {
    shared: Arc<Shared>,
    /// Hears when the threads have ended: the one that writes to the database; the one that syncs.
    ended: Mutex<[Receiver<()>; 2]>,
}

/// What the threads share.
struct Shared {
    /// The folder of all spools below the state folder.
    root: PathBuf,
    /// The spool, once it could be made.
    spool: OnceLock<Spool>,
    /// What is on its way to the disk.
    queue: Queue,
    /// What the disk did not take.
    kept: Mutex<VecDeque<Event>>,
    wake: Mutex<Wake>,
    woken: Condvar,
    metrics: RecorderMetrics,
}

#[derive(Default)]
struct Wake {
    /// There is something to write to the database.
    appended: bool,
    /// Until when what waits may be written: the server ends.
    ending: Option<Instant>,
}

impl Recorder {
    /// Starts the threads. `open` gives the writer its connection.
    pub(crate) fn start(state_dir: &Path, open: Arc<Open>, metrics: RecorderMetrics) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            root: state_dir.join("calls"),
            spool: OnceLock::new(),
            queue: Queue::default(),
            kept: Mutex::default(),
            wake: Mutex::default(),
            woken: Condvar::new(),
            metrics,
        });
        shared.claim();
        let ([says_appended, says_synced, says], [appended, synced, written]) = ends();
        let appending = Arc::clone(&shared);
        thread::Builder::new().name("calls-append".to_owned()).spawn(move || {
            appending.restarting("calls-append", || appending.write_groups());
            let _ = says_appended.send(());
        })?;
        let syncing = Arc::clone(&shared);
        thread::Builder::new().name("calls-sync".to_owned()).spawn(move || {
            syncing.restarting("calls-sync", || syncing.sync_groups(&appended));
            let _ = says_synced.send(());
        })?;
        let writing = Arc::clone(&shared);
        thread::Builder::new().name("calls-write".to_owned()).spawn(move || {
            let write = || Writer::new(Arc::clone(&writing), Arc::clone(&open)).run();
            writing.restarting("calls-write", write);
            let _ = says.send(());
        })?;
        Ok(Self { shared, ended: Mutex::new([written, synced]) })
    }

    /// Writes an event to the spool. When this returns, the event survives the process. After a power cut it
    /// is there if it was synced, which takes up to 100 ms.
    ///
    /// # Errors
    /// When it is not on the disk. It is then kept in memory and written to the log; the call is to be
    /// answered all the same.
    pub(crate) async fn append(&self, event: &Event) -> Result<(), RecorderError> {
        let appended = self.shared.queue.append(event).await;
        if appended.is_err() {
            self.shared.metrics.durable.set(0);
            self.shared.keep(event);
            self.shared.appended();
        }
        appended
    }

    /// Writes what waits, for some seconds at most; the rest waits for the next server.
    pub(crate) fn finish(&self) {
        let [written, synced] = &*self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.wake.lock().unwrap_or_else(PoisonError::into_inner).ending = Some(Instant::now() + FLUSH);
        self.shared.woken.notify_one();
        // The database may hang: what is under way is not waited for. So may the disk.
        if written.recv_timeout(FLUSH + Duration::from_millis(500)).is_err() {
            tracing::warn!("calls wait in `{}`: the next server writes them", self.shared.root.display());
        }
        self.shared.queue.end();
        if synced.recv_timeout(SYNCED).is_err() {
            tracing::error!("the disk does not sync what is known about calls");
        }
        let left = self.shared.kept().len();
        if left > 0 {
            tracing::error!(events = left, "events of calls were nowhere but in memory, and are in the log only");
        }
    }
}

/// Makes the ends of three channels.
fn ends() -> ([Sender<()>; 3], [Receiver<()>; 3]) {
    let [one, two, three] = [mpsc::channel(), mpsc::channel(), mpsc::channel()];
    ([one.0, two.0, three.0], [one.1, two.1, three.1])
}

impl Shared {
    /// Makes the spool, if there is none yet.
    fn claim(&self) {
        if self.spool.get().is_some() {
            return;
        }
        match Spool::claim(&self.root) {
            Ok(spool) => {
                let _ = self.spool.set(spool);
                self.metrics.durable.set(1);
            }
            Err(error) => {
                self.metrics.durable.set(0);
                tracing::error!("{error}; calls are answered, and kept in memory only");
            }
        }
    }

    /// Runs a thread's work until it returns, after each panic again.
    fn restarting(&self, name: &str, mut work: impl FnMut()) {
        while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
            self.metrics.restarts.inc();
            tracing::error!(thread = name, "a thread of the record of calls panicked and starts again");
            thread::sleep(RESTART);
        }
    }

    /// Tells the writer that there is something to write. It is woken once, however much comes until it has looked.
    fn appended(&self) {
        let known = {
            let mut wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut wake.appended, true)
        };
        if !known {
            self.woken.notify_one();
        }
    }
}

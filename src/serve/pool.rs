//! Connections to the directory, for work that waits: a few, each used by one blocking thread at a
//! time, never by the threads that serve.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex as Turn, OwnedSemaphorePermit, Semaphore},
    task::{JoinError, spawn_blocking},
    time::timeout,
};
use tracing::Span;

use super::error::{ErrorType, Failure};
use crate::{
    directory::{Directory, DirectoryError, Open},
    error::words,
};

/// How many connections there are at most.
const CONNECTIONS: usize = 8;

/// How many there are besides, for work that takes long.
const LONG: usize = 8;

/// How many there are besides, for those who change a tenant: each may have to wait for it.
const WRITERS: usize = 16;

/// How long a request waits for one of them.
const WAIT: Duration = Duration::from_secs(10);

/// The connections.
pub(super) struct Pool {
    open: Arc<Open>,
    idle: Mutex<Vec<Directory>>,
    permits: Arc<Semaphore>,
    long: Arc<Semaphore>,
    writers: Arc<Semaphore>,
    /// One, for the question whether the database answers.
    readiness: Arc<Semaphore>,
    /// When that was asked last, and the answer.
    ready: Turn<Option<(Instant, Result<(), Failure>)>>,
}

impl Pool {
    pub(super) fn new(open: Arc<Open>, first: Option<Directory>) -> Self {
        let [permits, long, writers, readiness] =
            [CONNECTIONS, LONG, WRITERS, 1].map(|count| Arc::new(Semaphore::new(count)));
        let idle = Mutex::new(first.into_iter().collect());
        Self { open, idle, permits, long, writers, readiness, ready: Turn::new(None) }
    }

    /// Does work with a connection. It is done to its end, even if the client goes away.
    ///
    /// # Errors
    /// What the work fails with; that there is no connection.
    pub(super) async fn run<T, E>(
        self: &Arc<Self>,
        work: impl FnMut(&mut Directory) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        E: Into<Failure> + Retryable + 'static,
    {
        let permit = permit(&self.permits).await?;
        self.run_with(permit, work).await
    }

    /// Tells whether the database answers and has the schema of this server. Whoever asks needs no token,
    /// so all who ask at the same time share one answer, and other work on the database delays none.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) async fn ready(self: &Arc<Self>) -> Result<(), Failure> {
        let asked = Instant::now();
        let Ok(mut ready) = timeout(WAIT, self.ready.lock()).await else { return Err(too_many()) };
        if let Some((began, answer)) = &*ready
            && *began >= asked
        {
            return answer.clone();
        }
        // A client that went away leaves its question behind, which may still wait for the database.
        let permit = permit(&self.readiness).await?;
        let began = Instant::now();
        let answer = self.run_with(permit, Directory::ping).await;
        *ready = Some((began, answer.clone()));
        answer
    }

    async fn run_with<T, E>(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        work: impl FnMut(&mut Directory) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        E: Into<Failure> + Retryable + 'static,
    {
        let (pool, span) = (Arc::clone(self), Span::current());
        let done = spawn_blocking(move || {
            let _permit = permit;
            span.in_scope(|| pool.work(work))
        });
        done.await.unwrap_or_else(|error| Err(panicked(&error)))
    }

    /// Does work with a connection, on this thread. A connection that turns out to be broken, as
    /// after the server was started anew, is replaced once.
    pub(super) fn work<T, E>(&self, mut work: impl FnMut(&mut Directory) -> Result<T, E>) -> Result<T, Failure>
    where
        E: Into<Failure> + Retryable,
    {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut directory) = idle {
            match work(&mut directory) {
                Err(error) if error.can_be_tried_again() && directory.is_closed() => {
                    // The others are as old.
                    let old = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
                    drop(old);
                }
                result => {
                    self.keep(directory);
                    return result.map_err(Into::into);
                }
            }
        }
        let mut directory = self.open()?;
        let result = work(&mut directory);
        self.keep(directory);
        result.map_err(Into::into)
    }

    /// Waits until one more may change a tenant.
    ///
    /// # Errors
    /// When too many wait for theirs.
    pub(super) async fn writer(&self) -> Result<OwnedSemaphorePermit, Failure> {
        permit(&self.writers).await
    }

    /// Does work that takes long, maybe minutes, with a connection of its own. So much of it runs at
    /// a time that neither the database nor the threads run out.
    ///
    /// # Errors
    /// What the work fails with; that there is no connection, or too much of such work.
    pub(super) async fn run_long<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&mut Directory) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let Ok(Ok(permit)) = timeout(WAIT, Arc::clone(&self.long).acquire_owned()).await else {
            return Err(Failure::new(ErrorType::HostUnavailable, "too many applies and dry runs are under way"));
        };
        let span = Span::current();
        let done = spawn_blocking(move || {
            let _permit = permit;
            span.in_scope(|| work(&mut self.open()?))
        });
        done.await.unwrap_or_else(|error| Err(panicked(&error)))
    }

    /// Opens a connection for a caller that keeps it.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(super) fn connect(&self) -> anyhow::Result<Directory> {
        (self.open)()
    }

    fn open(&self) -> Result<Directory, Failure> {
        (self.open)().map_err(|error| match error.downcast::<DirectoryError>() {
            Ok(error) => error.into(),
            Err(error) => Failure::internal(words(&error)),
        })
    }

    /// Keeps a connection for the next work; those of a crowd are closed after it.
    fn keep(&self, directory: Directory) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !directory.is_closed() && idle.len() < CONNECTIONS {
            idle.push(directory);
            return;
        }
        drop(idle);
        drop(directory);
    }
}

async fn permit(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    match timeout(WAIT, Arc::clone(permits).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(too_many()),
    }
}

fn too_many() -> Failure {
    Failure::new(ErrorType::DatabaseUnavailable, "too many requests wait for the database")
}

/// Tells whether a failure means that nothing was done.
pub(super) trait Retryable {
    /// Whether the same may be done again on another connection: nothing was changed for certain.
    fn can_be_tried_again(&self) -> bool;
}

impl Retryable for DirectoryError {
    fn can_be_tried_again(&self) -> bool {
        !matches!(self, Self::Commit(_))
    }
}

impl Retryable for crate::portal::CreateError {
    fn can_be_tried_again(&self) -> bool {
        !matches!(self, Self::Unconfirmed { .. })
    }
}

impl Retryable for crate::portal::DeleteError {
    fn can_be_tried_again(&self) -> bool {
        !matches!(self, Self::Directory(DirectoryError::Commit(_)))
    }
}

/// Says that work ended in a panic, which was logged.
pub(super) fn panicked(error: &JoinError) -> Failure {
    Failure::internal(format!("work for a request did not end: {error}"))
}

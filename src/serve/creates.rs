//! Creates the users of concurrent requests in one transaction. While a transaction runs, new requests
//! wait together for the next one. So a burst is not slower than single requests, each user gets the
//! lowest free number, and no request fails because of the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{
    sync::{Mutex as Turn, OwnedMutexGuard, oneshot},
    task::spawn_blocking,
    time::timeout,
};
use tracing::Span;

use super::{
    error::{ErrorType, Failure},
    pool::{Pool, Retryable, panicked},
};
use crate::{
    directory::{Directory, seal::Keyring},
    error::words_of,
    model::Tenant,
    portal::{self, CreateError, Created, NewUser, Portal, Refused},
};

/// How many users one transaction makes at most.
const BATCH: usize = 256;

/// How long a commit that was not confirmed is asked about.
const DOUBT: Duration = Duration::from_secs(20);

/// How long to wait before it is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a request waits for its turn: with the 30 s of the tenant's lock, less than its deadline.
const TURN: Duration = Duration::from_secs(8);

/// What becomes of a request.
type Answer = Result<Created, Failure>;

/// The new users that wait, by tenant.
pub(super) struct Creates {
    pool: Arc<Pool>,
    keys: Arc<Keyring>,
    host: String,
    lanes: Mutex<HashMap<Tenant, Arc<Lane>>>,
}

/// One tenant's.
#[derive(Default)]
struct Lane {
    waiting: Mutex<Vec<(NewUser, oneshot::Sender<Answer>)>>,
    turn: Arc<Turn<()>>,
    /// The turn of other writers.
    others: Arc<Turn<()>>,
}

impl Creates {
    pub(super) fn new(pool: Arc<Pool>, keys: Arc<Keyring>, host: String) -> Self {
        Self { pool, keys, host, lanes: Mutex::default() }
    }

    fn lane(&self, tenant: &Tenant) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry(tenant.clone()).or_default())
    }

    /// Does other work that only one writer of a tenant can do at a time, when its turn comes: all who
    /// wait for a tenant whose lock another writer holds use one connection, and none of those that others need.
    ///
    /// # Errors
    /// What the work fails with; that the turn does not come.
    pub(super) async fn in_turn<T, E>(
        &self,
        tenant: &Tenant,
        work: impl FnMut(&mut Directory) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        E: Into<Failure> + Retryable + 'static,
    {
        let lane = self.lane(tenant);
        let Ok(turn) = timeout(TURN, Arc::clone(&lane.others).lock_owned()).await else {
            let message = "another writer keeps the tenant; nothing was changed";
            return Err(Failure::new(ErrorType::DatabaseUnavailable, message));
        };
        let permit = self.pool.writer().await?;
        let (pool, span) = (Arc::clone(&self.pool), Span::current());
        let done = spawn_blocking(move || {
            let (_turn, _permit) = (turn, permit);
            span.in_scope(|| pool.work(work))
        });
        done.await.unwrap_or_else(|error| Err(panicked(&error)))
    }

    /// Makes a user, together with those who wait at the same time.
    pub(super) async fn create(self: &Arc<Self>, tenant: &Tenant, user: NewUser) -> Answer {
        let lane = self.lane(tenant);
        let (sender, answer) = oneshot::channel();
        lane.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((user, sender));
        // Whoever gets the turn takes along all who wait then; the others find nothing left to do.
        tokio::spawn(Arc::clone(self).take_turn(tenant.clone(), lane));
        answer.await.unwrap_or_else(|_| Err(Failure::internal("a batch of new users ended without an answer")))
    }

    async fn take_turn(self: Arc<Self>, tenant: Tenant, lane: Arc<Lane>) {
        let turn = Arc::clone(&lane.turn).lock_owned().await;
        let batch: Vec<_> = {
            let mut waiting = lane.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Who went away, or was told that it took too long, is not made any more.
            waiting.retain(|(_, sender)| !sender.is_closed());
            let last = waiting.len().min(BATCH);
            waiting.drain(..last).collect()
        };
        if batch.is_empty() {
            return;
        }
        let (users, senders): (Vec<NewUser>, Vec<_>) = batch.into_iter().unzip();
        let answers = self.write(tenant, users, turn).await;
        for (sender, answer) in senders.into_iter().zip(answers) {
            // Who went away meanwhile has been made all the same.
            let _ = sender.send(answer);
        }
    }

    async fn write(self: &Arc<Self>, tenant: Tenant, users: Vec<NewUser>, turn: OwnedMutexGuard<()>) -> Vec<Answer> {
        let count = users.len();
        let permit = match self.pool.writer().await {
            Ok(permit) => permit,
            Err(failure) => return vec![Err(failure); count],
        };
        let creates = Arc::clone(self);
        let work = spawn_blocking(move || {
            let (_turn, _permit) = (turn, permit);
            creates.write_now(&tenant, &users)
        });
        work.await.unwrap_or_else(|error| vec![Err(panicked(&error)); count])
    }

    fn write_now(&self, tenant: &Tenant, users: &[NewUser]) -> Vec<Answer> {
        match self.attempt(tenant, users) {
            Ok(results) => results.into_iter().map(|result| result.map_err(Failure::from)).collect(),
            // What is wrong with one must not befall the others.
            Err(failure) if users.len() > 1 && !failure.is_passing() => {
                users.iter().flat_map(|user| self.write_now(tenant, std::slice::from_ref(user))).collect()
            }
            Err(failure) => vec![Err(failure); users.len()],
        }
    }

    fn attempt(&self, tenant: &Tenant, users: &[NewUser]) -> Result<Vec<Result<Created, Refused>>, Failure> {
        let portal = Portal { tenant, keys: &self.keys, host: &self.host, now: Timestamp::now() };
        let began = Instant::now();
        loop {
            let result = self.pool.work(|directory| match portal::create(&portal, users, directory) {
                Err(CreateError::Unconfirmed { results, made, source }) => Ok((results, Some((made, source)))),
                result => result.map(|results| (results, None)),
            })?;
            let (results, Some((made, source))) = result else { return Ok(result.0) };
            // Either all of them were made, or none.
            let confirmed = loop {
                match self.pool.work(|directory| portal::is_made(tenant, made, directory)) {
                    Ok(confirmed) => break Some(confirmed),
                    Err(_) if began.elapsed() < DOUBT => thread::sleep(PAUSE),
                    Err(_) => break None,
                }
            };
            match confirmed {
                Some(true) => return Ok(results),
                Some(false) if began.elapsed() < DOUBT => thread::sleep(PAUSE),
                Some(false) => {
                    tracing::warn!("{}", words_of(&source));
                    let message = "the database does not take it; nothing was changed";
                    return Err(Failure::new(ErrorType::DatabaseUnavailable, message));
                }
                None => return Err(source.into()),
            }
        }
    }
}

//! Looks tokens up in batches: tokens that arrive while a look-up runs wait for the next one, which is one
//! statement on one connection. So a flood of wrong tokens uses one database connection, and does not
//! slow down other requests.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turn, OwnedMutexGuard, oneshot},
    task::spawn_blocking,
    time::timeout,
};
use zeroize::Zeroizing;

use super::{
    error::{ErrorType, Failure},
    pool::{Pool, panicked},
};
use crate::directory::{Bearer, Directory, is_token};

/// How many tokens one statement looks up.
const BATCH: usize = 1024;

/// How long a request waits for its look-up.
const WAIT: Duration = Duration::from_secs(10);

type Answer = Result<Option<Bearer>, Failure>;

/// The tokens that wait to be looked up.
pub(super) struct Lookups {
    pool: Arc<Pool>,
    waiting: Mutex<Vec<(Zeroizing<String>, oneshot::Sender<Answer>)>>,
    turn: Arc<Turn<()>>,
}

impl Lookups {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, waiting: Mutex::default(), turn: Arc::default() }
    }

    /// Finds who holds a token; `None` if no token in use reads like this. What is not written like a
    /// token is not looked up.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(super) async fn verify(self: &Arc<Self>, text: &str) -> Answer {
        if !is_token(text) {
            return Ok(None);
        }
        let (sender, answer) = oneshot::channel();
        let entry = (Zeroizing::new(text.to_owned()), sender);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        tokio::spawn(Arc::clone(self).take_turn());
        match timeout(WAIT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failure::internal("a look-up of tokens ended without an answer")),
            Err(_) => {
                let message = "the database does not look up tokens in time; nothing was changed";
                Err(Failure::new(ErrorType::DatabaseUnavailable, message))
            }
        }
    }

    /// Looks up what waits when its turn comes. The first one takes along all that wait then; the others
    /// find nothing left to do.
    async fn take_turn(self: Arc<Self>) {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let batch: Vec<_> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.retain(|(_, sender)| !sender.is_closed());
            let last = waiting.len().min(BATCH);
            waiting.drain(..last).collect()
        };
        if batch.is_empty() {
            return;
        }
        let (texts, senders): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let answers = self.look_up(texts, turn).await;
        for (sender, answer) in senders.into_iter().zip(answers) {
            // The client may have gone away meanwhile.
            let _ = sender.send(answer);
        }
    }

    async fn look_up(&self, texts: Vec<Zeroizing<String>>, turn: OwnedMutexGuard<()>) -> Vec<Answer> {
        let (pool, count) = (Arc::clone(&self.pool), texts.len());
        let work = spawn_blocking(move || {
            let _turn = turn;
            let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
            pool.work(|directory: &mut Directory| directory.verify_tokens(&texts))
        });
        match work.await.unwrap_or_else(|error| Err(panicked(&error))) {
            Ok(bearers) => bearers.into_iter().map(Ok).collect(),
            Err(failure) => vec![Err(failure); count],
        }
    }
}

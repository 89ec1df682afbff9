//! The requests of the last minute. A repeated request is decided with the time and the routes of the first
//! one, so that it gets the same bytes, even if the office closed or routes were applied in between.

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    hash::{BuildHasher, Hash},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::calls::Tenants;

/// How long a request is remembered.
const KEPT: Duration = Duration::from_mins(1);

/// How many are remembered at most: more than come in a minute, in some megabytes.
const MOST: usize = 100_000;

/// The requests, by what was asked.
#[derive(Default)]
pub(super) struct Recent {
    /// Keyed at random, so that a client cannot construct two requests with one hash.
    hasher: RandomState,
    kept: Mutex<RecentRequests>,
}

#[derive(Default)]
struct RecentRequests {
    requests: HashMap<u64, First>,
    /// In the order in which they came.
    order: VecDeque<(Instant, u64)>,
}

/// What a request was decided by when it first came.
#[derive(Debug, Clone)]
pub(super) struct First {
    /// When that was.
    pub(super) at: Timestamp,
    /// The routes of then.
    pub(super) tenants: Arc<Tenants>,
}

impl Recent {
    /// Returns what a request was decided by before, or notes it if it is the first.
    pub(super) fn find_or_note(&self, asked: &impl Hash, first: First, now: Instant) -> (First, bool) {
        let key = self.hasher.hash_one(asked);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget(now);
        if let Some(before) = kept.requests.get(&key) {
            return (before.clone(), true);
        }
        kept.requests.insert(key, first.clone());
        kept.order.push_back((now, key));
        (first, false)
    }
}

impl RecentRequests {
    fn forget(&mut self, now: Instant) {
        while self.order.len() >= MOST || self.order.front().is_some_and(|(at, _)| now.duration_since(*at) >= KEPT) {
            let Some((_, key)) = self.order.pop_front() else { return };
            self.requests.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_remembered_for_a_minute_and_among_so_many() {
        let (recent, now) = (Recent::default(), Instant::now());
        let ask = |asked: u32, second: i64, after: Duration| {
            let first = First { at: Timestamp::from_second(second).unwrap(), tenants: Arc::default() };
            let (first, again) = recent.find_or_note(&asked, first, now + after);
            (first.at.as_second(), again)
        };
        assert_eq!(ask(1, 10, Duration::ZERO), (10, false));
        assert_eq!(ask(1, 20, KEPT.mul_f32(0.9)), (10, true));
        assert_eq!(ask(2, 30, KEPT.mul_f32(0.9)), (30, false));
        assert_eq!(ask(1, 40, KEPT), (40, false));
        for number in 0..120_000 {
            ask(number, 50, KEPT);
        }
        let kept = recent.kept.lock().unwrap();
        assert!(kept.requests.len() <= MOST && kept.order.len() == kept.requests.len());
        drop(kept);
        assert_eq!((ask(119_999, 60, KEPT), ask(1, 60, KEPT)), ((50, true), (60, false)));
    }
}

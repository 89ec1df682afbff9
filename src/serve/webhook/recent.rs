//! The answers of the last minute: a request that comes again is answered with the same bytes, also
//! where the office has closed or routes were applied in between.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_mins(1);

/// How many are kept at most.
const MOST: usize = 10_000;

/// The answers, by what was asked.
pub(super) struct Recent<K, V>(Mutex<Kept<K, V>>);

struct Kept<K, V> {
    answers: HashMap<K, Arc<V>>,
    /// In the order in which they came.
    order: VecDeque<(Instant, K)>,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Kept { answers: HashMap::new(), order: VecDeque::new() }))
    }

    /// Finds the answer to what was asked before.
    pub(super) fn find(&self, asked: &K, now: Instant) -> Option<Arc<V>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget(now);
        kept.answers.get(asked).cloned()
    }

    /// Keeps an answer. Of two that were made at once, the first is everybody's.
    pub(super) fn keep(&self, asked: K, answer: V, now: Instant) -> Arc<V> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget(now);
        if let Some(first) = kept.answers.get(&asked) {
            return Arc::clone(first);
        }
        let answer = Arc::new(answer);
        kept.answers.insert(asked.clone(), Arc::clone(&answer));
        kept.order.push_back((now, asked));
        answer
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    fn forget(&mut self, now: Instant) {
        while self.order.len() >= MOST || self.order.front().is_some_and(|(at, _)| now.duration_since(*at) >= KEPT) {
            let Some((_, asked)) = self.order.pop_front() else { return };
            self.answers.remove(&asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_for_a_minute_and_among_so_many() {
        let (recent, now) = (Recent::new(), Instant::now());
        assert_eq!(*recent.keep(1, "first", now), "first");
        assert_eq!(*recent.keep(1, "second", now), "first");
        assert_eq!(recent.find(&1, now + KEPT.mul_f32(0.9)).as_deref(), Some(&"first"));
        assert_eq!(recent.find(&1, now + KEPT), None);
        assert_eq!(*recent.keep(1, "third", now + KEPT), "third");
        for number in 0..30_000 {
            recent.keep(number, "many", now + KEPT);
        }
        let kept = recent.0.lock().unwrap();
        assert!(kept.answers.len() <= MOST && kept.order.len() == kept.answers.len());
        assert!(kept.answers.contains_key(&29_999) && !kept.answers.contains_key(&1));
    }
}

//! How fast strangers are answered whose requests fail: wrong tokens, bad signatures, unknown paths.
//!
//! Each such answer costs time that genuine requests need, and tells a guesser that a guess was wrong.
//! A few a second are answered at once, so that a mistake in a set-up is reported without delay; beyond
//! that the answer waits, while its connection does nothing.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// How far apart failures of one peer are answered, beyond its burst.
const PER_PEER: Duration = Duration::from_millis(20);

/// How far apart failures of all strangers together are answered, beyond the burst.
const ALL: Duration = Duration::from_millis(5);

/// How many failures are answered at once after a quiet time.
const BURST: u32 = 200;

/// The longest wait. Those that would wait longer wait between half of it and all of it: were they
/// answered at the same time, they would come again at the same time.
const LONGEST: Duration = Duration::from_secs(10);

/// Into how many moments those that wait longest are spread.
const SPREAD: u32 = 64;

/// How many peers are remembered; a peer with nothing to wait for is forgotten.
const PEERS: usize = 4096;

/// How often the log reports a flood.
const REPORT: Duration = Duration::from_secs(10);

/// The failures of strangers.
pub(super) struct Strangers {
    state: Mutex<Accounts>,
    delayed: Counter,
}

struct Accounts {
    /// When the next failure would be due, were they all spread evenly.
    all: Instant,
    peers: HashMap<IpAddr, Instant>,
    /// Failures that waited since the last report.
    waited: u64,
    /// The moment for the next one that waits longest.
    spread: u32,
    reported: Instant,
}

impl Strangers {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let delayed = Counter::default();
        let help = "Failed requests without a valid token or signature whose answers were delayed, because there were too many";
        registry.register("stranger_failures_delayed", help, delayed.clone());
        let now = Instant::now();
        let accounts = Accounts { all: now, peers: HashMap::new(), waited: 0, spread: 0, reported: now };
        Self { state: Mutex::new(accounts), delayed }
    }

    /// Returns how long the answer to a failed request waits. `peer` is `None` behind a trusted proxy.
    pub(super) fn delay(&self, peer: Option<IpAddr>) -> Duration {
        self.delay_at(Instant::now(), peer)
    }

    fn delay_at(&self, now: Instant, peer: Option<IpAddr>) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut delay = due(&mut state.all, ALL, now);
        if let Some(peer) = peer {
            if state.peers.len() >= PEERS {
                state.peers.retain(|_, next| *next > now);
            }
            // Without room for one more peer, the common limit has to do.
            if state.peers.len() < PEERS || state.peers.contains_key(&peer) {
                delay = delay.max(due(state.peers.entry(peer).or_insert(now), PER_PEER, now));
            }
        }
        if delay >= LONGEST {
            state.spread = (state.spread + 1) % SPREAD;
            delay = LONGEST / 2 + LONGEST / 2 * state.spread / SPREAD;
        }
        if delay > Duration::ZERO {
            self.delayed.inc();
            state.waited += 1;
            if now.duration_since(state.reported) >= REPORT {
                let failures = std::mem::take(&mut state.waited);
                state.reported = now;
                tracing::warn!(
                    failures,
                    "failed requests without a valid token or signature come too fast: answers wait"
                );
            }
        }
        delay
    }

    /// Tells whether strangers' failures come so fast that each of them is not worth a line of the log.
    pub(super) fn is_flood(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.all > Instant::now() + ALL * BURST
    }
}

/// Enters one more failure in an account, and returns how long it waits.
fn due(next: &mut Instant, apart: Duration, now: Instant) -> Duration {
    let burst = apart * BURST;
    let due = (*next).max(now);
    let delay = due.duration_since(now).saturating_sub(burst).min(LONGEST);
    // What waits for the longest time already pushes the others no further.
    *next = (due + apart).min(now + burst + LONGEST);
    delay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_failures_are_answered_at_once_and_a_flood_waits() {
        let strangers = Strangers::new(&mut Registry::default());
        let (now, peer) = (Instant::now(), |n: u8| Some(IpAddr::from([192, 0, 2, n])));
        let delays: Vec<Duration> = (0..2000).map(|_| strangers.delay_at(now, peer(1))).collect();
        assert!(delays[..200].iter().all(Duration::is_zero));
        assert!(delays[201] > Duration::ZERO && delays[250] > delays[220]);
        assert!(delays[1000..].iter().all(|delay| (LONGEST / 2..=LONGEST).contains(delay)));
        assert_ne!(delays[1998], delays[1999], "they do not come again all at once");
        // Another peer, a second later, waits for the common limit alone.
        let later = now + Duration::from_secs(1);
        assert!(strangers.delay_at(later, peer(2)) < strangers.delay_at(later, peer(1)));
        assert!(strangers.is_flood());
        let quiet = now + Duration::from_mins(1);
        assert_eq!(strangers.delay_at(quiet, peer(1)), Duration::ZERO);
        // However many peers there are, so many are remembered.
        for n in 0..10_000_u32 {
            strangers.delay_at(quiet, Some(IpAddr::from(n.to_be_bytes())));
        }
        assert!(strangers.state.lock().unwrap().peers.len() <= PEERS);
    }
}

//! Which connections are open, and which of them make room for others.
//!
//! A connection is a stranger's until a request on it was authenticated, by a token or by the provider's
//! signature. Where room runs out, the oldest strangers are dropped: the ones that opened a connection
//! and do not send a request, or send half of one. A genuine request is new and complete, so it is
//! answered before its connection is the oldest.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ipnet::IpNet;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use tokio::task::AbortHandle;

/// The most connections of all clients together. A silent connection takes some 20 KiB of memory, a
/// half-sent body some 40 KiB.
const MOST: u64 = 4096;

/// The fewest descriptors that are kept for files, Asterisk and the database.
const RESERVE: u64 = 64;

/// How many connections may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Of all clients together.
    pub(super) all: usize,
    /// Of one peer that is no trusted proxy.
    pub(super) per_peer: usize,
}

impl Limits {
    /// Divides the descriptors that the process may open: at least a quarter of them stays for other
    /// things than connections.
    pub(super) fn of(descriptors: u64) -> Self {
        let reserve = (descriptors / 4).max(RESERVE);
        let all = descriptors.saturating_sub(reserve).clamp(4, MOST);
        let all = usize::try_from(all).unwrap_or(usize::MAX);
        Self { all, per_peer: all / 2 }
    }
}

/// The connections that are open.
pub(super) struct Connections {
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    open: Mutex<Open>,
    count: Gauge,
    dropped: Counter,
    refused: Counter,
}

#[derive(Default)]
struct Open {
    /// The number of the next connection: a lower one is older.
    next: u64,
    all: BTreeMap<u64, Entry>,
    /// Those of strangers.
    strangers: BTreeSet<u64>,
    peers: HashMap<IpAddr, Peer>,
}

struct Entry {
    peer: IpAddr,
    /// Ends the task that serves it; `None` until that runs.
    task: Option<AbortHandle>,
}

#[derive(Default)]
struct Peer {
    count: usize,
    strangers: BTreeSet<u64>,
}

impl Open {
    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.all.remove(&id)?;
        self.strangers.remove(&id);
        if let Some(peer) = self.peers.get_mut(&entry.peer) {
            peer.strangers.remove(&id);
            peer.count -= 1;
            if peer.count == 0 {
                self.peers.remove(&entry.peer);
            }
        }
        Some(entry)
    }

    fn know(&mut self, id: u64) {
        self.strangers.remove(&id);
        let peer = self.all.get(&id).and_then(|entry| self.peers.get_mut(&entry.peer));
        if let Some(peer) = peer {
            peer.strangers.remove(&id);
        }
    }
}

impl Connections {
    pub(super) fn new(limits: Limits, trusted_proxies: Vec<IpNet>, registry: &mut Registry) -> Self {
        let (count, dropped, refused) = (Gauge::default(), Counter::default(), Counter::default());
        registry.register("connections", "Connections that are open", count.clone());
        let help = "Connections without a genuine request that were dropped to make room";
        registry.register("connections_dropped", help, dropped.clone());
        let help = "Connections that were closed at once, because no other could make room";
        registry.register("connections_refused", help, refused.clone());
        Self { limits, trusted_proxies, open: Mutex::default(), count, dropped, refused }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether the limit of one peer does not hold for an address.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Takes in a new connection. `None` if it must be closed: there is no room, and no stranger who
    /// could make it.
    pub(super) fn enter(self: &Arc<Self>, peer: SocketAddr) -> Option<Arc<Connection>> {
        let key = peer_key(peer.ip());
        let mut open = self.open();
        let of_peer = open.peers.get(&key);
        if !self.is_proxy(peer.ip()) && of_peer.is_some_and(|of_peer| of_peer.count >= self.limits.per_peer) {
            let oldest = of_peer.and_then(|of_peer| of_peer.strangers.first().copied());
            self.displace(&mut open, oldest)?;
        }
        if open.all.len() >= self.limits.all {
            let oldest = open.strangers.first().copied();
            self.displace(&mut open, oldest)?;
        }
        let id = open.next;
        open.next += 1;
        open.all.insert(id, Entry { peer: key, task: None });
        open.strangers.insert(id);
        let of_peer = open.peers.entry(key).or_default();
        of_peer.count += 1;
        of_peer.strangers.insert(id);
        self.count.inc();
        Some(Arc::new(Connection { id, peer, is_known: AtomicBool::new(false), connections: Arc::clone(self) }))
    }

    /// Drops a connection, so that another takes its place.
    fn displace(&self, open: &mut Open, oldest: Option<u64>) -> Option<()> {
        let Some(entry) = oldest.and_then(|id| open.remove(id)) else {
            self.refused.inc();
            return None;
        };
        self.count.dec();
        self.dropped.inc();
        if let Some(task) = entry.task {
            task.abort();
        }
        Some(())
    }

    /// Drops the oldest strangers' connections: the process has no descriptor left.
    pub(super) fn make_room(&self, count: usize) {
        let mut open = self.open();
        for _ in 0..count {
            let Some(oldest) = open.strangers.first().copied() else { return };
            self.displace(&mut open, Some(oldest));
        }
    }

    /// Takes note of the task that serves a connection.
    pub(super) fn started(&self, id: u64, task: AbortHandle) {
        match self.open().all.get_mut(&id) {
            Some(entry) => entry.task = Some(task),
            // It has ended already.
            None => task.abort(),
        }
    }

    /// Counts the connections.
    pub(super) fn len(&self) -> usize {
        self.open().all.len()
    }

    /// Ends all of them.
    pub(super) fn abort_all(&self) {
        for task in self.open().all.values().filter_map(|entry| entry.task.as_ref()) {
            task.abort();
        }
    }

    fn leave(&self, id: u64) {
        if self.open().remove(id).is_some() {
            self.count.dec();
        }
    }
}

/// Finds what counts as one peer: an IPv4 address, or the /64 of an IPv6 address, which one client has
/// as a whole.
pub(super) fn peer_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// A connection, which is open for as long as this exists.
pub(super) struct Connection {
    id: u64,
    peer: SocketAddr,
    is_known: AtomicBool,
    connections: Arc<Connections>,
}

impl Connection {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Returns the address on the other side, that of a proxy if there is one.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer.ip()
    }

    /// Returns the peer to whose account the requests go: `None` for a trusted proxy, behind which are many.
    pub(super) fn account(&self) -> Option<IpAddr> {
        (!self.connections.is_proxy(self.peer())).then(|| peer_key(self.peer()))
    }

    /// Notes that a request was authenticated: the connection is no longer closed to make room for others.
    pub(super) fn know(&self) {
        if !self.is_known.swap(true, Ordering::Relaxed) {
            self.connections.open().know(self.id);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.leave(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(all: usize, per_peer: usize) -> Arc<Connections> {
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        Arc::new(Connections::new(Limits { all, per_peer }, proxies, &mut Registry::default()))
    }

    fn enter(connections: &Arc<Connections>, address: &str) -> Option<Arc<Connection>> {
        connections.enter(SocketAddr::new(address.parse().unwrap(), 5060))
    }

    /// The numbers of the open connections.
    fn open(connections: &Connections) -> Vec<u64> {
        connections.open().all.keys().copied().collect()
    }

    #[test]
    fn the_oldest_unauthenticated_client_makes_room_and_an_authenticated_one_does_not() {
        let connections = connections(3, 3);
        let kept: Vec<_> = (1..=3).map(|n| enter(&connections, &format!("192.0.2.{n}")).unwrap()).collect();
        kept[0].know();
        let newest = enter(&connections, "192.0.2.4").unwrap();
        assert_eq!(open(&connections), [0, 2, 3], "the oldest stranger is dropped");
        newest.know();
        kept[2].know();
        assert!(enter(&connections, "192.0.2.5").is_none(), "all are known: the new one is refused");
        // What was dropped leaves once, whenever its task ends.
        drop(kept);
        assert_eq!((open(&connections), connections.count.get()), (vec![3], 1));
        drop(newest);
        assert_eq!((connections.len(), connections.open().peers.len(), connections.count.get()), (0, 0, 0));
    }

    #[test]
    fn one_peer_makes_room_for_itself_and_a_proxy_has_no_limit_of_its_own() {
        let connections = connections(6, 2);
        let other = enter(&connections, "192.0.2.1");
        let crowd: Vec<_> = (0..5).map(|_| enter(&connections, "192.0.2.2")).collect();
        assert_eq!(open(&connections), [0, 4, 5], "the older ones of the crowd are dropped");
        let proxied: Vec<_> = (0..3).map(|_| enter(&connections, "10.1.1.1")).collect();
        assert_eq!(open(&connections), [0, 4, 5, 6, 7, 8]);
        // A /64 is one peer; an IPv4 address is the same in its IPv6 form.
        let six: Vec<_> = (1..=3).map(|n| enter(&connections, &format!("2001:db8::{n}"))).collect();
        let mapped = enter(&connections, "::ffff:192.0.2.2");
        assert_eq!(peer_key("2001:db8::1".parse().unwrap()), peer_key("2001:db8::ffff".parse().unwrap()));
        assert_ne!(peer_key("2001:db8::1".parse().unwrap()), peer_key("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(mapped.as_ref().unwrap().account(), "192.0.2.2".parse().ok());
        assert_eq!(proxied[0].as_ref().unwrap().account(), None);
        drop((other, crowd, proxied, six, mapped));
        assert_eq!(connections.len(), 0);
    }

    #[test]
    fn descriptors_are_kept_for_other_things_than_connections() {
        for (descriptors, all) in [(64, 4), (256, 192), (1024, 768), (4096, 3072), (1 << 20, 4096)] {
            assert_eq!(Limits::of(descriptors), Limits { all, per_peer: all / 2 }, "{descriptors}");
        }
    }
}

//! How many connections are open, whose they are, and who has to go first.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::Connections;

/// It is looked for connections that may go no more often than that.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long ago the end of an answer may have been ready that is still being sent.
const SENDING: Duration = Duration::from_secs(30);

/// The places for connections.
///
/// From three quarters on, connections without a request are told to leave: first those that never
/// sent one, then those that have been idle for longest. The last eighth is kept for addresses that
/// have less than an eighth.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    per_address: Option<NonZeroU32>,
    began: Instant,
    taken: Mutex<Taken>,
    counts: Connections,
}

#[derive(Debug, Default)]
struct Taken {
    connections: HashMap<u64, Arc<State>>,
    by_address: HashMap<IpAddr, u32>,
    /// How many of them have been told to leave.
    leaving: usize,
    next: u64,
    look_again: Option<Instant>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// All are taken.
    Full,
    /// This address has enough of them.
    Enough,
}

#[derive(Debug)]
struct State {
    requests: AtomicU32,
    has_asked: AtomicBool,
    /// In milliseconds after the beginning.
    idle_since: AtomicU64,
    leaves: AtomicBool,
    leave: Notify,
}

impl Places {
    pub(super) fn new(
        most: NonZeroUsize,
        per_address: Option<NonZeroU32>,
        counts: Connections,
    ) -> Self {
        Self {
            most: most.get(),
            per_address,
            began: Instant::now(),
            taken: Mutex::default(),
            counts,
        }
    }

    /// Takes a place for a connection from an address.
    pub(super) fn take(self: &Arc<Self>, from: IpAddr, now: Instant) -> Result<Place, NoPlace> {
        let address = network(from);
        let mut taken = self.taken.lock();
        let open = taken.connections.len();
        if open >= self.most - self.most / 4 {
            self.make_room(&mut taken, now);
        }
        let own = taken.by_address.get(&address).copied().unwrap_or_default();
        let is_enough = self.per_address.is_some_and(|most| own >= most.get())
            || (open >= self.most - self.most / 8 && own as usize >= (self.most / 8).max(1));
        let refusal = match open < self.most {
            true => is_enough.then_some(NoPlace::Enough),
            false => Some(NoPlace::Full),
        };
        if let Some(refusal) = refusal {
            self.counts.refuse();
            return Err(refusal);
        }
        let state = Arc::new(State {
            requests: AtomicU32::new(0),
            has_asked: AtomicBool::new(false),
            idle_since: AtomicU64::new(self.millis(now)),
            leaves: AtomicBool::new(false),
            leave: Notify::new(),
        });
        let id = taken.next;
        taken.next += 1;
        taken.connections.insert(id, Arc::clone(&state));
        *taken.by_address.entry(address).or_default() += 1;
        self.counts.opened();
        Ok(Place {
            id,
            address,
            state,
            places: Arc::clone(self),
        })
    }

    /// Tells some that have no request to leave.
    pub(super) fn press(&self, now: Instant) {
        self.make_room(&mut self.taken.lock(), now);
    }

    fn make_room(&self, taken: &mut Taken, now: Instant) {
        if taken.look_again.is_some_and(|at| now < at) {
            return;
        }
        taken.look_again = now.checked_add(LOOK_EVERY);
        let mut idle: Vec<_> = taken
            .connections
            .values()
            .filter(|it| it.may_go())
            .collect();
        let staying = taken.connections.len() - taken.leaving;
        let over = staying.saturating_sub(self.most - self.most / 4);
        let wanted = (over + self.most / 16).max(1);
        let sooner = |it: &&Arc<State>| (it.has_asked.load(Relaxed), it.idle_since.load(Relaxed));
        if wanted < idle.len() {
            idle.select_nth_unstable_by_key(wanted - 1, sooner);
            idle.truncate(wanted);
        }
        for state in &idle {
            state.leaves.store(true, Relaxed);
            state.leave.notify_one();
        }
        taken.leaving += idle.len();
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl State {
    fn may_go(&self) -> bool {
        self.requests.load(Relaxed) == 0 && !self.leaves.load(Relaxed)
    }
}

/// Whose connection it is. Who has an address of IPv6 has at least 2⁶⁴ of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// The place of a connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    address: IpAddr,
    state: Arc<State>,
    places: Arc<Places>,
}

impl Place {
    /// A request of this connection, for as long as it lasts.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.state.requests.fetch_add(1, Relaxed);
        self.state.has_asked.store(true, Relaxed);
        Busy(Arc::clone(self))
    }

    fn is_busy(&self) -> bool {
        self.state.requests.load(Relaxed) > 0
    }

    /// Whether there ever was a request.
    pub(super) fn has_asked(&self) -> bool {
        self.state.has_asked.load(Relaxed)
    }

    /// Whether there is a request, or what hyper has taken of its answer may not have been sent yet.
    pub(super) fn may_be_answering(&self, now: Instant) -> bool {
        let idle_since = Duration::from_millis(self.state.idle_since.load(Relaxed));
        let now = Duration::from_millis(self.places.millis(now));
        let was_busy = self.has_asked() && now.saturating_sub(idle_since) < SENDING;
        was_busy || self.is_busy()
    }

    /// Waits until others need the place more.
    pub(super) async fn is_needed(&self) {
        self.state.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.connections.remove(&self.id);
        self.places.counts.closed();
        if self.state.leaves.load(Relaxed) {
            taken.leaving -= 1;
        }
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// That a connection has a request.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        let Place { state, places, .. } = &*self.0;
        let now = places.millis(Instant::now());
        state.idle_since.store(now, Relaxed);
        state.requests.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;

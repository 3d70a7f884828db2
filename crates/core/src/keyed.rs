//! A layer's state for each key, bounded.

use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use foldhash::quality::RandomState;
use parking_lot::RwLock;

const SHARDS: usize = 16;

/// State that may be forgotten without anybody noticing.
///
/// A limit that is not used, a counter at zero, a breaker that is shut are idle: making them anew
/// gives the same.
pub trait Idle {
    /// Whether it is in the state that a new one is in.
    fn is_idle(&self) -> bool;
}

/// A map from keys to a layer's state that never holds more than a given number of entries.
///
/// When it is full, an entry that nobody holds goes: an idle one if there is one among those looked
/// at, and rather one that has not been used lately. The sweep follows the second-chance (CLOCK)
/// algorithm (Corbató, 1968), over one of sixteen shards.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use ziggurat_core::{Idle, Keyed};
///
/// #[derive(Default)]
/// struct Counter(AtomicU64);
///
/// impl Idle for Counter {
///     fn is_idle(&self) -> bool {
///         self.0.load(Relaxed) == 0
///     }
/// }
///
/// let counters: Keyed<String, Counter> = Keyed::new(10_000);
/// counters.get_or_default("alice").0.fetch_add(1, Relaxed);
/// assert_eq!(counters.get_or_default("alice").0.load(Relaxed), 1);
/// ```
pub struct Keyed<K, T> {
    shards: Box<[RwLock<Shard<K, T>>]>,
    per_shard: usize,
    hasher: RandomState,
}

struct Shard<K, T> {
    /// Hashed with a seed of its own: what clients send cannot be made to collide.
    entries: HashMap<K, Entry<T>, RandomState>,
    /// The keys, in the order in which the hand of the clock passes over them.
    ring: Vec<K>,
    hand: usize,
}

struct Entry<T> {
    state: Arc<T>,
    used: AtomicBool,
}

impl<K: Hash + Eq + Clone, T: Idle> Keyed<K, T> {
    /// A map for at most `capacity` keys, rounded up to a multiple of sixteen.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let shard = || {
            RwLock::new(Shard {
                entries: HashMap::default(),
                ring: Vec::new(),
                hand: 0,
            })
        };
        let shards = std::iter::repeat_with(shard).take(SHARDS).collect();
        Self {
            shards,
            per_shard: capacity.div_ceil(SHARDS).max(1),
            hasher: RandomState::default(),
        }
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &RwLock<Shard<K, T>> {
        let hash = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or_default();
        &self.shards[hash % SHARDS]
    }

    /// The state of a key, if it has some.
    #[must_use]
    pub fn get<Q>(&self, key: &Q) -> Option<Arc<T>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let shard = self.shard(key).read();
        let entry = shard.entries.get(key)?;
        entry.used.store(true, Relaxed);
        Some(Arc::clone(&entry.state))
    }

    /// The state of a key, made by `make` if it has none.
    ///
    /// While somebody holds what this returns, it is not forgotten.
    pub fn get_or_insert_with<Q>(&self, key: &Q, make: impl FnOnce() -> T) -> Arc<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(state) = self.get(key) {
            return state;
        }
        let mut shard = self.shard(key).write();
        if let Some(entry) = shard.entries.get(key) {
            return Arc::clone(&entry.state);
        }
        let state = Arc::new(make());
        let entry = Entry {
            state: Arc::clone(&state),
            used: AtomicBool::new(true),
        };
        shard.insert(&key.to_owned(), entry, self.per_shard);
        state
    }

    /// The state of a key, the default one if it has none.
    pub fn get_or_default<Q>(&self, key: &Q) -> Arc<T>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        T: Default,
    {
        self.get_or_insert_with(key, T::default)
    }

    /// Forgets the keys for which `keep` says no: what a reload took away.
    ///
    /// Meanwhile nobody gets the state that `keep` is shown: if nobody else holds it, nobody will
    /// use it once it is forgotten.
    pub fn retain(&self, mut keep: impl FnMut(&K, &Arc<T>) -> bool) {
        for shard in &self.shards {
            let Shard {
                entries,
                ring,
                hand,
            } = &mut *shard.write();
            entries.retain(|key, entry| keep(key, &entry.state));
            ring.retain(|key| entries.contains_key(key));
            *hand = 0;
        }
    }

    /// Calls `each` for every entry, in no order.
    pub fn for_each(&self, mut each: impl FnMut(&K, &Arc<T>)) {
        for shard in &self.shards {
            for (key, entry) in &shard.read().entries {
                each(key, &entry.state);
            }
        }
    }

    /// How many keys have state.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.read().entries.len())
            .sum()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Hash + Eq + Clone, T: Idle> Shard<K, T> {
    /// Enters a key, in the place of another if the shard is full.
    ///
    /// Entries that are held stay, so a shard outgrows its bound while more keys than that are held
    /// at the same time; they are held by requests, whose number is bounded.
    fn insert(&mut self, key: &K, entry: Entry<T>, bound: usize) {
        let place = if self.ring.len() < bound {
            None
        } else {
            self.sweep()
        };
        match place {
            Some(place) => {
                let evicted = std::mem::replace(&mut self.ring[place], key.clone());
                self.entries.remove(&evicted);
            }
            None => self.ring.push(key.clone()),
        }
        self.entries.insert(key.clone(), entry);
    }

    /// Finds the place of an entry that may go.
    fn sweep(&mut self) -> Option<usize> {
        const LOOKED_AT: usize = 64;
        let mut best = None;
        for _ in 0..LOOKED_AT.min(self.ring.len()) {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.ring.len();
            let Some(entry) = self.entries.get(&self.ring[place]) else {
                return Some(place);
            };
            if Arc::strong_count(&entry.state) > 1 {
                continue;
            }
            let used = entry.used.swap(false, Relaxed);
            let rank = (!entry.state.is_idle(), used);
            if rank == (false, false) {
                return Some(place);
            }
            if best.is_none_or(|(other, _)| rank < other) {
                best = Some((rank, place));
            }
        }
        best.map(|(_, place)| place)
    }
}

impl<K, T> fmt::Debug for Keyed<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed")
            .field("per_shard", &self.per_shard)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct State(AtomicBool);

    impl Idle for State {
        fn is_idle(&self) -> bool {
            !self.0.load(Relaxed)
        }
    }

    #[test]
    fn it_never_grows_past_its_bound() {
        let map: Keyed<u64, State> = Keyed::new(160);
        for key in 0..100_000 {
            map.get_or_default(&key);
        }
        assert!(map.len() <= 160);
    }

    #[test]
    fn what_is_held_is_never_forgotten() {
        let map: Keyed<u64, State> = Keyed::new(16);
        let held = map.get_or_default(&0);
        for key in 1..10_000 {
            map.get_or_default(&key);
        }
        assert!(Arc::ptr_eq(&held, &map.get_or_default(&0)));
    }

    #[test]
    fn idle_state_goes_before_state_that_matters() {
        let map: Keyed<u64, State> = Keyed::new(16 * 32);
        for key in 0..64 {
            map.get_or_default(&key).0.store(true, Relaxed);
        }
        for key in 1_000..100_000 {
            map.get_or_default(&key);
        }
        let kept = (0..64).filter(|key| map.get(key).is_some()).count();
        assert_eq!(kept, 64);
    }

    #[test]
    fn a_reload_takes_away_what_is_gone() {
        let map: Keyed<u64, State> = Keyed::new(10_000);
        for key in 0..50 {
            map.get_or_default(&key);
        }
        map.get_or_default(&7).0.store(true, Relaxed);
        map.retain(|key, state| key % 2 == 0 || !state.is_idle());
        assert_eq!(map.len(), 26);
        assert!(map.get(&7).is_some());
        assert!(map.get(&9).is_none());
    }
}

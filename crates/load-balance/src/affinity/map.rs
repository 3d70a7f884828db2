//! The pins, bounded.

use std::{fmt, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_128_with_seed;
use ziggurat_core::{Deployment, DeploymentId, Idle, Keyed, Secret};

/// What is pinned, as a hash: nothing that a client sent is kept.
pub(crate) type Key = u128;

/// Who is behind a deployment: which credential at which place.
pub(crate) type Account = u128;

/// A map from what requests have in common to where they went.
pub(crate) struct PinMap {
    pins: Keyed<Key, Pin>,
    seed: u64,
}

/// Where something is pinned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A deployment, and where it was found in its pool.
    Deployment(DeploymentId, usize),
    /// All deployments of an account.
    Account(Account),
}

#[derive(Debug, Default)]
struct Pin(Mutex<Option<(Place, Instant)>>);

impl Idle for Pin {
    fn is_idle(&self) -> bool {
        let held = self.0.lock();
        held.as_ref().is_none_or(|(_, end)| *end <= Instant::now())
    }
}

impl PinMap {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            pins: Keyed::new(capacity),
            seed: fastrand::u64(..),
        }
    }

    pub(crate) fn clear(&self) {
        self.pins.retain(|_, _| false);
    }

    /// The key of several texts. Who does not know the seed cannot choose texts whose keys collide.
    pub(crate) fn key(&self, parts: &[&[u8]]) -> Key {
        let mut seed = self.seed;
        let mut key = 0;
        for part in parts {
            key = xxh3_128_with_seed(part, seed);
            seed = (key >> 64) as u64 ^ key as u64;
        }
        key
    }

    pub(crate) fn account(&self, of: &Deployment) -> Account {
        self.key(&[
            of.provider().as_bytes(),
            of.base_url().unwrap_or_default().as_bytes(),
            of.credential().map_or("", Secret::expose).as_bytes(),
        ])
    }

    pub(crate) fn get(&self, key: Key) -> Option<Place> {
        let pin = self.pins.get(&key)?;
        let held = pin.0.lock();
        let (place, end) = held.as_ref()?;
        (*end > Instant::now()).then(|| place.clone())
    }

    /// Pins it, whatever it was pinned to.
    pub(crate) fn set(&self, key: Key, place: Place, time: Duration) {
        let end = Instant::now() + time;
        *self.pins.get_or_default(&key).0.lock() = Some((place, end));
    }

    /// Pins it, unless it is pinned to something else.
    pub(crate) fn set_if_free(&self, key: Key, place: &Place, time: Duration) {
        let now = Instant::now();
        let pin = self.pins.get_or_default(&key);
        let mut held = pin.0.lock();
        let is_free = held
            .as_ref()
            .is_none_or(|(other, end)| other == place || *end <= now);
        if is_free {
            *held = Some((place.clone(), now + time));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.pins.len()
    }
}

impl fmt::Debug for PinMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinMap")
            .field("pins", &self.pins)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: &str) -> Place {
        Place::Deployment(id.into(), 0)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_pin_ends_when_it_is_not_used() {
        let map = PinMap::new(100);
        map.set(1, place("a"), MINUTE);
        tokio::time::advance(MINUTE / 2).await;
        map.set(1, place("a"), MINUTE);
        tokio::time::advance(MINUTE / 2).await;
        assert_eq!(map.get(1), Some(place("a")));
        tokio::time::advance(MINUTE / 2).await;
        assert_eq!(map.get(1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_come_may_be_kept() {
        let map = PinMap::new(100);
        map.set_if_free(1, &place("a"), MINUTE);
        map.set_if_free(1, &place("b"), MINUTE);
        assert_eq!(map.get(1), Some(place("a")));
        tokio::time::advance(MINUTE).await;
        map.set_if_free(1, &place("b"), MINUTE);
        assert_eq!(map.get(1), Some(place("b")));
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_never_more_than_was_said() {
        let map = PinMap::new(160);
        for key in 0..10_000 {
            map.set(key, place("a"), MINUTE);
        }
        assert!(map.len() <= 160);
    }

    #[test]
    fn texts_that_are_cut_elsewhere_have_other_keys() {
        let map = PinMap::new(1);
        assert_eq!(map.key(&[b"ab", b"c"]), map.key(&[b"ab", b"c"]));
        assert_ne!(map.key(&[b"ab", b"c"]), map.key(&[b"a", b"bc"]));
        assert_ne!(
            map.key(&[b"ab"]),
            PinMap::new(1).key(&[b"ab"]),
            "the seed is secret"
        );
    }
}

//! The pins, bounded.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_128_with_seed;
use ziggurat_core::{Deployment, DeploymentId, Idle, Keyed, Secret};
use ziggurat_shared_log::Outbox;

use super::news::News;

/// What is pinned, as a hash: nothing that a client sent is kept.
pub(crate) type Key = u128;

/// Who is behind a deployment: which credential at which place.
pub(crate) type Account = u128;

/// How many pins there may be of which others are still to be told.
const NEWS: usize = 16_384;

/// A map from what requests have in common to where they went.
pub(crate) struct PinMap {
    pins: Keyed<Key, Pin>,
    /// The same in all instances that share.
    seed: AtomicU64,
    /// What other instances are to know.
    pub(super) outbox: Outbox<Key, News>,
}

/// Where something is pinned to.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A deployment, and where it may be found in its pool.
    Deployment(DeploymentId, usize),
    /// All deployments of an account, that of a deployment.
    Account(Account, DeploymentId),
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Deployment(one, _), Self::Deployment(other, _)) => one == other,
            (Self::Account(one, _), Self::Account(other, _)) => one == other,
            _ => false,
        }
    }
}

#[derive(Debug, Default)]
struct Pin(Mutex<Option<Held>>);

#[derive(Debug)]
struct Held {
    place: Place,
    end: Instant,
    /// When it ends by what others were told.
    told: Instant,
    /// Whether an answer in this process pinned it.
    is_ours: bool,
}

impl Held {
    /// Whether it keeps others away from what is pinned.
    fn excludes(&self, place: &Place, now: Instant) -> bool {
        self.place != *place && self.end > now
    }
}

impl Idle for Pin {
    fn is_idle(&self) -> bool {
        let held = self.0.lock();
        held.as_ref().is_none_or(|it| it.end <= Instant::now())
    }
}

impl PinMap {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            pins: Keyed::new(capacity),
            seed: AtomicU64::new(fastrand::u64(..)),
            outbox: Outbox::new(NEWS),
        }
    }

    pub(crate) fn clear(&self) {
        self.pins.retain(|_, _| false);
    }

    /// The key of several texts. Who does not know the seed cannot choose texts whose keys collide.
    pub(crate) fn key(&self, parts: &[&[u8]]) -> Key {
        let mut seed = self.seed();
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
        let held = held.as_ref().filter(|it| it.end > Instant::now())?;
        Some(held.place.clone())
    }

    /// Pins it, whatever it was pinned to.
    pub(crate) fn set(&self, key: Key, place: Place, time: Duration) {
        self.enter(key, place, time, false);
    }

    /// Pins it, unless it is pinned to something else.
    pub(crate) fn set_if_free(&self, key: Key, place: &Place, time: Duration) {
        self.enter(key, place.clone(), time, true);
    }

    /// Pins it, and lets others know if that is new to them: one that is renewed again and again is
    /// told anew when half of what they know of it is over.
    fn enter(&self, key: Key, place: Place, time: Duration, if_free: bool) {
        let now = Instant::now();
        let end = now + time;
        let pin = self.pins.get_or_default(&key);
        let mut held = pin.0.lock();
        let before = held.as_ref();
        if if_free && before.is_some_and(|before| before.excludes(&place, now)) {
            return;
        }
        let told = before.filter(|it| it.place == place).map(|it| it.told);
        let told = told.filter(|told| *told >= now + time / 2);
        if told.is_none() && self.outbox.is_open() {
            self.outbox.put(key, News::new(key, &place, end, if_free));
        }
        *held = Some(Held {
            place,
            end,
            told: told.unwrap_or(end),
            is_ours: true,
        });
    }

    /// Pins what another instance has pinned. What this one has yet to tell is newer to all.
    pub(super) fn learn(&self, key: Key, place: Place, end: Instant, if_free: bool) {
        if self.outbox.contains(&key) {
            return;
        }
        let pin = self.pins.get_or_default(&key);
        let mut held = pin.0.lock();
        let before = held.as_ref();
        if if_free && before.is_some_and(|it| it.excludes(&place, Instant::now())) {
            return;
        }
        let same = held.take().filter(|before| before.place == place);
        let until = same.as_ref().map_or(end, |same| same.end.max(end));
        // It may know where in the pool the deployment is.
        let place = same.map_or(place, |same| same.place);
        *held = Some(Held {
            place,
            end: until,
            told: end,
            is_ours: false,
        });
    }

    /// Tells others of everything that answers in this process have pinned.
    pub(super) fn tell_again(&self) {
        let now = Instant::now();
        self.pins.for_each(|key, pin| {
            let held = pin.0.lock();
            if let Some(held) = held.as_ref().filter(|it| it.is_ours && it.end > now) {
                self.outbox
                    .put(*key, News::new(*key, &held.place, held.end, false));
            }
        });
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed.load(Relaxed)
    }

    /// Takes the seed of others. What was pinned by another seed will never be found again.
    pub(super) fn agree_on(&self, seed: u64) {
        self.seed.store(seed, Relaxed);
        self.clear();
        self.outbox.clear();
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

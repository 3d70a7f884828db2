//! A bound on the bytes that are held at a time.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;

/// How many bytes of bodies may be held at a time, by all requests of a process together.
///
/// What is [reserved](Self::reserve) is given back when the [`HeldBytes`] are dropped, or when the last
/// clone of the [`Bytes`] is dropped that [they were put into](HeldBytes::keep). So a body counts for as
/// long as somebody has it: a queue, an attempt, a mirror, a stream that may have to be gone on with.
///
/// Clones share one count.
///
/// ```
/// use bytes::Bytes;
/// use ziggurat_core::ByteBudget;
///
/// let budget = ByteBudget::new(10);
/// let held = budget.reserve(6).expect("there is room");
/// assert!(budget.reserve(5).is_none());
///
/// let body = held.keep(Bytes::from_static(b"body"));
/// assert_eq!(budget.used(), 4);
/// drop(body);
/// assert_eq!(budget.used(), 0);
/// ```
#[derive(Clone)]
pub struct ByteBudget(Arc<Shared>);

struct Shared {
    limit: AtomicU64,
    used: AtomicU64,
}

impl ByteBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(Shared {
            limit: AtomicU64::new(limit),
            used: AtomicU64::new(0),
        }))
    }

    /// How many bytes may be held.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit.load(Relaxed)
    }

    /// Sets how many bytes may be held from now on. What is held already stays.
    pub fn set_limit(&self, limit: u64) {
        self.0.limit.store(limit, Relaxed);
    }

    /// How many bytes are held.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Relaxed)
    }

    /// Reserves so many bytes, or none if there is no room for all of them.
    #[must_use]
    pub fn reserve(&self, bytes: u64) -> Option<HeldBytes> {
        self.reserve_leaving(bytes, 0)
    }

    /// The same, or none if fewer than `free` bytes would be left then: for who has to leave some to
    /// others.
    #[must_use]
    pub fn reserve_leaving(&self, bytes: u64, free: u64) -> Option<HeldBytes> {
        self.add(bytes, free).then(|| self.held(bytes))
    }

    /// Counts bytes that are there already, whether there is room or not.
    pub fn count(&self, bytes: u64) -> HeldBytes {
        self.0.used.fetch_add(bytes, Relaxed);
        self.held(bytes)
    }

    fn held(&self, bytes: u64) -> HeldBytes {
        HeldBytes {
            budget: self.clone(),
            bytes,
        }
    }

    /// Whether there was room for so many bytes more, which count now, and for those that stay free.
    fn add(&self, bytes: u64, free: u64) -> bool {
        // It protects nothing but itself.
        let added = self.0.used.fetch_update(Relaxed, Relaxed, |used| {
            let sum = used.checked_add(bytes)?;
            let fits = sum.saturating_add(free) <= self.limit();
            (bytes == 0 || fits).then_some(sum)
        });
        added.is_ok()
    }
}

impl fmt::Debug for ByteBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteBudget")
            .field("limit", &self.limit())
            .field("used", &self.used())
            .finish()
    }
}

/// Bytes of a [`ByteBudget`], given back when they are dropped.
#[derive(Debug)]
#[must_use = "dropped, it is given back"]
pub struct HeldBytes {
    budget: ByteBudget,
    bytes: u64,
}

impl HeldBytes {
    /// How many they are.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes them at least so many. `false` if there is no room for that; then nothing changes.
    #[must_use]
    pub fn grow_to(&mut self, bytes: u64) -> bool {
        self.grow_leaving(bytes, 0)
    }

    /// The same, but not if fewer than `free` bytes would be left then.
    #[must_use]
    pub fn grow_leaving(&mut self, bytes: u64, free: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let added = self.budget.add(more, free);
        if added {
            self.bytes += more;
        }
        added
    }

    /// Makes them at least so many, whether there is room or not.
    pub fn count_to(&mut self, bytes: u64) {
        let more = bytes.saturating_sub(self.bytes);
        self.budget.0.used.fetch_add(more, Relaxed);
        self.bytes += more;
    }

    /// Makes them those that a body has, to be given back with it: when its last clone and its last
    /// slice are dropped.
    #[must_use]
    pub fn keep(mut self, body: Bytes) -> Bytes {
        let length = body.len() as u64;
        if length == 0 {
            return body;
        }
        // What is there cannot be refused; it was reserved, if nobody erred.
        self.count_to(length);
        self.give_back(self.bytes - length);
        self.bytes = length;
        Bytes::from_owner(Kept { body, _held: self })
    }

    fn give_back(&self, bytes: u64) {
        self.budget.0.used.fetch_sub(bytes, Relaxed);
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

struct Kept {
    body: Bytes,
    _held: HeldBytes,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_counts_until_its_last_slice_is_dropped() {
        let budget = ByteBudget::new(100);
        let held = budget.reserve(50).expect("there is room");
        let body = held.keep(Bytes::from(vec![1; 20]));
        let (clone, slice) = (body.clone(), body.slice(3..5));
        drop(body);
        drop(clone);
        assert_eq!((budget.used(), &slice[..]), (20, &[1, 1][..]));
        drop(slice);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_counted_leaves_less_room_for_what_is_reserved() {
        let budget = ByteBudget::new(10);
        let answer = budget.count(15);
        assert!(budget.reserve(1).is_none());
        assert!(budget.reserve(0).is_some(), "nothing takes no room");
        drop(answer);
        assert!(budget.reserve(10).is_some());
    }

    #[test]
    fn who_leaves_some_to_others_finds_less_room_and_they_find_theirs() {
        let budget = ByteBudget::new(10);
        let mut held = budget.reserve_leaving(6, 3).expect("there is room");
        assert!(held.grow_leaving(7, 3) && !held.grow_leaving(8, 3));
        assert!(budget.reserve_leaving(1, 3).is_none());
        assert!(budget.reserve_leaving(1, u64::MAX).is_none());
        assert!(
            budget.reserve_leaving(0, 20).is_some(),
            "nothing takes no room"
        );
        assert!(budget.reserve(3).is_some());
    }

    #[test]
    fn many_threads_never_hold_more_than_there_is() {
        let budget = ByteBudget::new(64);
        let peak = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (budget, peak) = (&budget, &peak);
                scope.spawn(move || {
                    for turn in 0..10_000_u64 {
                        let wanted = 1 + (turn * 7 + thread) % 40;
                        let Some(mut held) = budget.reserve(wanted) else {
                            continue;
                        };
                        _ = held.grow_to(wanted + 5);
                        peak.fetch_max(budget.used(), Relaxed);
                    }
                });
            }
        });
        assert!(peak.load(Relaxed) <= 64, "{peak:?}");
        assert_eq!(budget.used(), 0);
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_what_is_held(steps in prop::collection::vec((0_usize..4, 0_u64..40), 0..60)) {
            let budget = ByteBudget::new(100);
            let mut held: Vec<HeldBytes> = Vec::new();
            for (what, bytes) in steps {
                let sum: u64 = held.iter().map(HeldBytes::bytes).sum();
                match what {
                    0 => {
                        let fits = bytes == 0 || sum + bytes <= 100;
                        let reserved = budget.reserve(bytes);
                        prop_assert_eq!(reserved.is_some(), fits);
                        held.extend(reserved);
                    }
                    1 => {
                        if let Some(last) = held.last_mut() {
                            let more = bytes.saturating_sub(last.bytes());
                            let fits = more == 0 || sum + more <= 100;
                            prop_assert_eq!(last.grow_to(bytes), fits);
                        }
                    }
                    2 => drop(held.pop()),
                    _ => drop((!held.is_empty()).then(|| held.remove(0))),
                }
                let sum: u64 = held.iter().map(HeldBytes::bytes).sum();
                prop_assert_eq!(budget.used(), sum);
                prop_assert!(sum <= 100);
            }
            drop(held);
            prop_assert_eq!(budget.used(), 0);
        }
    }
}

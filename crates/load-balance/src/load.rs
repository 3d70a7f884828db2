//! What the balancer knows of a deployment from one moment to the next, in one word.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const IN_FLIGHT_BITS: u32 = 24;
const IN_FLIGHT: u64 = (1 << IN_FLIGHT_BITS) - 1;

/// Whether it is of use to ask as soon as an attempt has ended.
const IS_FULL: u64 = 1 << IN_FLIGHT_BITS;
const HINT_BITS: u32 = IN_FLIGHT_BITS + 1;

/// The attempts in flight, and the millisecond before which it is useless to ask.
///
/// Both are in one word, so that looking at a thousand deployments loads a thousand words. The
/// count is changed only by guards, each of which takes one and gives it back once, so it never
/// borrows from the bits above it.
#[derive(Debug, Default)]
pub(crate) struct Load(AtomicU64);

/// A [`Load`] as it was at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(u64);

impl Load {
    pub(crate) fn see(&self) -> Seen {
        Seen(self.0.load(Relaxed))
    }

    pub(crate) fn enter(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn leave(&self) {
        let before = self.0.fetch_sub(1, Relaxed);
        if before & IS_FULL != 0 {
            self.forget_hint();
        }
    }

    /// Remembers a refusal that ends at that millisecond.
    pub(crate) fn hint(&self, until: u64) {
        self.set(until << HINT_BITS);
    }

    /// Remembers that there is no place, until somebody leaves or that millisecond has come.
    pub(crate) fn hint_full(&self, until: u64) {
        self.set(until << HINT_BITS | IS_FULL);
    }

    fn set(&self, hint: u64) {
        let set = |word| Some(word & IN_FLIGHT | hint);
        let _ = self.0.fetch_update(Relaxed, Relaxed, set);
    }

    pub(crate) fn forget_hint(&self) {
        self.0.fetch_and(IN_FLIGHT, Relaxed);
    }
}

impl Seen {
    pub(crate) fn in_flight(self) -> u32 {
        (self.0 & IN_FLIGHT) as u32
    }

    pub(crate) fn hinted_until(self) -> u64 {
        self.0 >> HINT_BITS
    }

    pub(crate) fn is_hinted(self, now: u64) -> bool {
        self.hinted_until() > now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_and_the_hint_leave_each_other_alone() {
        let load = Load::default();
        load.enter();
        load.enter();
        load.hint(1_000);
        load.leave();
        let seen = load.see();
        assert_eq!((seen.in_flight(), seen.hinted_until()), (1, 1_000));
        load.hint(7);
        load.forget_hint();
        let seen = load.see();
        assert_eq!((seen.in_flight(), seen.hinted_until()), (1, 0));
    }

    #[test]
    fn one_that_is_full_is_so_until_somebody_leaves() {
        let load = Load::default();
        load.enter();
        load.enter();
        load.hint_full(1_000);
        assert!(load.see().is_hinted(999) && !load.see().is_hinted(1_000));
        load.leave();
        let seen = load.see();
        assert_eq!((seen.in_flight(), seen.hinted_until()), (1, 0));
        load.hint(1_000);
        load.leave();
        let seen = load.see();
        assert_eq!((seen.in_flight(), seen.hinted_until()), (0, 1_000));
    }

    #[test]
    fn a_hint_ends_at_its_millisecond() {
        let load = Load::default();
        load.hint(10);
        assert!(load.see().is_hinted(9));
        assert!(!load.see().is_hinted(10));
    }
}

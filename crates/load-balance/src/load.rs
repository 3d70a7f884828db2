//! What the balancer knows of a deployment from one moment to the next, in one word.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const IN_FLIGHT_BITS: u32 = 24;
const IN_FLIGHT: u64 = (1 << IN_FLIGHT_BITS) - 1;

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
        self.0.fetch_sub(1, Relaxed);
    }

    /// Remembers a refusal that ends at that millisecond.
    pub(crate) fn hint(&self, until: u64) {
        let set = |word| Some(word & IN_FLIGHT | until << IN_FLIGHT_BITS);
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
        self.0 >> IN_FLIGHT_BITS
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
    fn a_hint_ends_at_its_millisecond() {
        let load = Load::default();
        load.hint(10);
        assert!(load.see().is_hinted(9));
        assert!(!load.see().is_hinted(10));
    }
}

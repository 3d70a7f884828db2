//! How a deployment comes back from a rest.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The share with which a slow start begins.
const FIRST: f32 = 0.1;

const KIND_BITS: u32 = 2;
const RESTS: u64 = 1;
const IS_BACK: u64 = 2;

/// Whether a deployment rests, or since when it is back, in one word; zero where neither matters.
///
/// One that is back gets a share of its traffic that grows evenly from a tenth to the whole, so that
/// caches, connections and autoscalers behind it have time, and so that one that answers only now
/// and then costs few requests. Envoy has the same as its slow start mode (with an aggression of 1),
/// whose ramp stays at the first share for a tenth of the time, and which measures from the moment a
/// host is added or healthy, not from its first answer.
#[derive(Debug, Default)]
pub(crate) struct Recovery(AtomicU64);

impl Recovery {
    /// Whether it gets all of its traffic.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    /// It refuses because it rests. A rest begins with the first refusal.
    pub(crate) fn rest(&self, now: u64) {
        self.update(|kind, _| (kind != RESTS).then_some((RESTS, now)));
    }

    /// An attempt that began at that millisecond succeeded: the rest is over, if it began in it.
    pub(crate) fn succeed(&self, began: u64, now: u64) {
        self.update(|kind, at| (kind == RESTS && began >= at).then_some((IS_BACK, now)));
    }

    /// An attempt that began at that millisecond failed: a slow start that it fell into begins anew.
    pub(crate) fn fail(&self, began: u64, now: u64) {
        self.update(|kind, at| (kind == IS_BACK && began >= at).then_some((IS_BACK, now)));
    }

    pub(crate) fn forget(&self) {
        self.0.store(0, Relaxed);
    }

    /// Since when it is in slow start, which takes `time`.
    pub(crate) fn since(&self, now: u64, time: u64) -> Option<u64> {
        let (kind, at) = parts(self.0.load(Relaxed));
        (kind == IS_BACK && now < at.saturating_add(time)).then_some(at)
    }

    /// The part of its traffic that it gets, from 0 to 1, with so many attempts in flight there.
    ///
    /// Before it has answered it gets one request at a time, and few besides.
    pub(crate) fn share(&self, in_flight: u32, now: u64, time: u64) -> f32 {
        let word = self.0.load(Relaxed);
        let (kind, at) = parts(word);
        match kind {
            RESTS if time > 0 && in_flight > 0 => FIRST,
            IS_BACK if now < at.saturating_add(time) => ramp(now.saturating_sub(at), time),
            IS_BACK => {
                // What has been noted meanwhile is not lost.
                let _ = self.0.compare_exchange(word, 0, Relaxed, Relaxed);
                1.0
            }
            _ => 1.0,
        }
    }

    fn update(&self, new: impl Fn(u64, u64) -> Option<(u64, u64)>) {
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let (kind, at) = parts(word);
            new(kind, at).map(|(kind, at)| at << KIND_BITS | kind)
        });
    }
}

fn parts(word: u64) -> (u64, u64) {
    (word & ((1 << KIND_BITS) - 1), word >> KIND_BITS)
}

fn ramp(elapsed: u64, time: u64) -> f32 {
    FIRST + (1.0 - FIRST) * elapsed as f32 / time as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: u64 = 30_000;

    fn back_at(now: u64) -> Recovery {
        let recovery = Recovery::default();
        recovery.rest(now);
        recovery.succeed(now, now);
        recovery
    }

    fn percent(recovery: &Recovery, now: u64) -> u32 {
        (recovery.share(0, now, TIME) * 100.0).round() as u32
    }

    #[test]
    fn the_share_grows_evenly_from_a_tenth_to_the_whole() {
        let recovery = back_at(5_000);
        for (after, expected) in [(0, 10), (10_000, 40), (15_000, 55), (29_999, 100)] {
            assert_eq!(percent(&recovery, 5_000 + after), expected);
            assert!(!recovery.is_whole());
        }
        assert_eq!(recovery.since(34_999, TIME), Some(5_000));
        assert_eq!(recovery.since(35_000, TIME), None);
        assert_eq!(percent(&recovery, 35_000), 100);
        assert!(recovery.is_whole());
    }

    #[test]
    fn what_began_before_the_rest_does_not_end_it() {
        let recovery = Recovery::default();
        recovery.rest(1_000);
        recovery.rest(4_000);
        recovery.succeed(999, 2_000);
        assert_eq!(recovery.since(2_000, TIME), None);
        recovery.succeed(3_000, 5_000);
        assert_eq!(recovery.since(5_000, TIME), Some(5_000));
    }

    #[test]
    fn only_what_fell_into_the_slow_start_makes_it_begin_anew() {
        let recovery = back_at(1_000);
        recovery.fail(999, 9_000);
        assert_eq!(recovery.since(9_000, TIME), Some(1_000));
        recovery.fail(1_000, 9_000);
        assert_eq!(recovery.since(9_000, TIME), Some(9_000));
        recovery.rest(9_500);
        assert_eq!(recovery.since(9_500, TIME), None);
        recovery.fail(9_600, 9_700);
        recovery.succeed(9_800, 9_900);
        assert_eq!(recovery.since(9_900, TIME), Some(9_900));
    }

    #[test]
    fn before_it_has_answered_it_gets_one_at_a_time_and_few_besides() {
        let recovery = Recovery::default();
        recovery.rest(0);
        assert_eq!(recovery.share(0, 0, TIME), 1.0);
        assert_eq!(recovery.share(1, 0, TIME), FIRST);
    }

    #[test]
    fn no_time_is_no_slow_start() {
        let recovery = Recovery::default();
        recovery.rest(0);
        assert_eq!(recovery.share(9, 0, 0), 1.0);
        recovery.succeed(0, 0);
        assert_eq!(recovery.share(9, 0, 0), 1.0);
        assert!(recovery.is_whole());
    }

    #[test]
    fn who_never_rested_is_whole_whatever_it_answers() {
        let recovery = Recovery::default();
        recovery.succeed(0, 0);
        recovery.fail(0, 0);
        assert!(recovery.is_whole());
    }
}

//! Which deployments have just failed.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use ziggurat_core::{Error, ErrorKind};

/// How long a deployment counts as failing after its first failure, in milliseconds.
const FIRST: u64 = 1_000;

/// And after any number of them in a row, or whatever its `Retry-After` says.
const LONGEST: u64 = 60_000;

/// For how long after that it gets one request at a time, until one succeeds.
const PROBATION: u64 = 120_000;

const COUNT_BITS: u32 = 8;
const FIRM: u64 = 1 << COUNT_BITS;
const TIME_SHIFT: u32 = COUNT_BITS + 1;

/// The failures in a row, until when they count, and whether only time ends that: in one word.
///
/// A failing deployment is avoided, so that one that fails fast, and so has nothing in flight, used
/// nothing and looks quick, does not attract requests. It is a matter of a second for the first
/// failure, and twice as long for each in a row after that; those that come while it is failing
/// already are of the same incident. Then it gets one request at a time until one succeeds.
///
/// Any success ends it, except after a rate limit: answers to earlier requests say nothing of that,
/// so it stays failing until its time is over, and gets its share after that.
#[derive(Debug, Default)]
pub(crate) struct Health(AtomicU64);

/// A failure that a deployment is to blame for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    /// How long it asks to be left alone.
    retry_after: Option<Duration>,
    is_limit: bool,
}

impl Failure {
    pub(crate) fn new(error: &Error) -> Self {
        let retry_after = error.retry_after();
        Self {
            retry_after,
            is_limit: retry_after.is_some() || error.kind() == ErrorKind::RateLimited,
        }
    }

    /// How long it asks to be left alone, in milliseconds, within bounds.
    pub(crate) fn rest(&self) -> u64 {
        let asked = self.retry_after.unwrap_or_default().as_millis();
        u64::try_from(asked).unwrap_or(LONGEST).min(LONGEST)
    }
}

impl Health {
    pub(crate) fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    /// Whether a deployment with so many attempts in flight is to be avoided now.
    pub(crate) fn is_failing(&self, in_flight: u32, now: u64) -> bool {
        let word = self.0.load(Relaxed);
        word != 0 && is_failing(word, in_flight, now)
    }

    /// Whether the last thing that is known is a failure.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    pub(crate) fn fail(&self, failure: Failure, now: u64) {
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let (until, count) = (word >> TIME_SHIFT, word & (FIRM - 1));
            let count = if now < until { count } else { count + 1 };
            let count = count.clamp(1, FIRM - 1);
            let pause = FIRST << (count - 1).min(6);
            let pause = pause.max(failure.rest()).min(LONGEST);
            let firm = if failure.is_limit { FIRM } else { 0 };
            Some(until.max(now + pause) << TIME_SHIFT | word & FIRM | firm | count)
        });
    }

    /// An attempt that began at that millisecond succeeded.
    pub(crate) fn succeed(&self, began: u64) {
        let word = self.0.load(Relaxed);
        if word != 0 && (word & FIRM == 0 || began >= word >> TIME_SHIFT) {
            // One that failed meanwhile is not lost.
            let _ = self.0.compare_exchange(word, 0, Relaxed, Relaxed);
        }
    }
}

#[cold]
fn is_failing(word: u64, in_flight: u32, now: u64) -> bool {
    let until = word >> TIME_SHIFT;
    let on_probation = word & FIRM == 0 && in_flight > 0 && now < until + PROBATION;
    now < until || on_probation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> Failure {
        Failure::new(&Error::new(ErrorKind::Internal, "broken"))
    }

    fn limited(secs: u64) -> Failure {
        let error = Error::new(ErrorKind::RateLimited, "slow down");
        Failure::new(&error.with_retry_after(Duration::from_secs(secs)))
    }

    #[test]
    fn the_time_doubles_with_each_failure_in_a_row_up_to_a_minute() {
        let health = Health::default();
        let mut now = 0;
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            health.fail(broken(), now);
            let end = now + expected * 1_000;
            assert!(health.is_failing(0, end - 1));
            assert!(!health.is_failing(0, end), "{expected}");
            now = end;
        }
    }

    #[test]
    fn many_failures_at_once_are_one() {
        let health = Health::default();
        (0..100).for_each(|_| health.fail(broken(), 5));
        assert!(!health.is_failing(0, 1_005));
    }

    #[test]
    fn after_its_time_it_gets_one_request_at_a_time_until_a_success() {
        let health = Health::default();
        health.fail(broken(), 0);
        assert!(!health.is_failing(0, 1_000), "one may try");
        assert!(health.is_failing(1, 1_000), "a second may not");
        assert!(!health.is_failing(1, 1_000 + PROBATION), "not for ever");
        health.succeed(0);
        assert!(!health.is_failing(9, 500));
    }

    #[test]
    fn a_rate_limit_lasts_whatever_earlier_requests_come_to() {
        let health = Health::default();
        health.fail(limited(9), 0);
        health.succeed(0);
        assert!(health.is_failing(0, 8_999));
        assert!(!health.is_failing(3, 9_000), "its share is at once its own");
        health.succeed(9_000);
        health.fail(limited(1), 9_500);
        assert!(!health.is_failing(0, 10_500), "it counts anew");
    }

    #[test]
    fn no_rest_is_longer_than_a_minute() {
        let health = Health::default();
        health.fail(limited(u64::MAX), 0);
        assert!(!health.is_failing(0, LONGEST));
    }
}

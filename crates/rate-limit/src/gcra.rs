//! A bucket that drains all the time.
//!
//! This is the generic cell rate algorithm (ITU-T I.371; ATM Forum Traffic Management 4.0) in its
//! form as a continuous-state leaky bucket, with a burst of the whole limit. Arithmetic is in whole
//! units of "one token for one nanosecond", so nothing is rounded: charging `n` adds `n × period`,
//! and each nanosecond takes `limit` away.

use std::time::Duration;

use tokio::time::Instant;

use crate::refused::Wait;

/// How much is in the bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gcra {
    limit: u64,
    per: u64,
    level: u128,
    /// When `level` was right.
    at: Instant,
}

/// When the bucket will have drained down to, and with, what was charged: its theoretical arrival
/// time.
pub(crate) type Drained = Instant;

impl Gcra {
    pub(crate) fn new(limit: u64, per: Duration, now: Instant) -> Self {
        Self {
            limit,
            per: nanos(per),
            level: 0,
            at: now,
        }
    }

    /// Takes on another rate; what has been used stays.
    pub(crate) fn set(&mut self, limit: u64, per: Duration, now: Instant) {
        self.drain(now);
        self.limit = limit;
        let per = nanos(per);
        if per != self.per {
            let (old, new) = (u128::from(self.per), u128::from(per));
            self.level = self.level / old * new + self.level % old * new / old;
            self.per = per;
        }
        self.level = self.level.min(self.most());
    }

    /// How much is used, rounded up.
    pub(crate) fn used(&mut self, now: Instant) -> u64 {
        self.drain(now);
        let used = self.level.div_ceil(u128::from(self.per));
        used.try_into().unwrap_or(u64::MAX)
    }

    /// What has to be waited for until `amount` fits.
    pub(crate) fn wait(&mut self, amount: u64, now: Instant) -> Option<Wait> {
        self.drain(now);
        if self.limit == 0 || amount > self.limit {
            return Some(Wait::Never);
        }
        let excess = (self.level + self.units(amount)).saturating_sub(self.units(self.limit));
        let wait = time(excess.div_ceil(u128::from(self.limit)));
        (excess > 0).then(|| Wait::Until(self.at + wait))
    }

    /// Adds `amount`, whether it fits or not.
    pub(crate) fn charge(&mut self, amount: u64, now: Instant) -> Drained {
        self.drain(now);
        let level = self.level.saturating_add(self.units(amount));
        self.level = level.min(self.most());
        self.at + time(self.level / u128::from(self.limit.max(1)))
    }

    /// Takes back what is left of `amount` of a charge.
    ///
    /// What came before a charge drains before it, and a charge drains before what comes after it.
    /// By that reckoning never more is given back than would be there without the charge.
    pub(crate) fn refund(&mut self, drained: Drained, amount: u64, now: Instant) {
        self.drain(now);
        let time = nanos(drained.saturating_duration_since(self.at));
        let left = u128::from(time) * u128::from(self.limit);
        self.level = self.level.saturating_sub(left.min(self.units(amount)));
    }

    /// Forgets what was charged.
    pub(crate) fn clear(&mut self) {
        self.level = 0;
    }

    /// When nothing is used any more.
    pub(crate) fn empty_at(&mut self, now: Instant) -> Instant {
        self.drain(now);
        self.at + time(self.level.div_ceil(u128::from(self.limit.max(1))))
    }

    fn drain(&mut self, now: Instant) {
        let time = nanos(now.saturating_duration_since(self.at));
        let drained = u128::from(time) * u128::from(self.limit);
        self.level = self.level.saturating_sub(drained);
        self.at = self.at.max(now);
    }

    fn units(&self, amount: u64) -> u128 {
        u128::from(amount) * u128::from(self.per)
    }

    /// The most that is held against anybody: with twice the limit, nothing passes for a period.
    fn most(&self) -> u128 {
        match self.limit {
            0 => u128::MAX,
            limit => self.units(limit) * 2,
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// That many nanoseconds. No bucket takes longer than twice the longest period to drain.
fn time(nanos: u128) -> Duration {
    const LONGEST: Duration = Duration::from_secs(2 * 366 * 24 * 60 * 60);
    Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The other form of the algorithm, virtual scheduling, with all times multiplied by the limit
    /// so that they are whole numbers.
    struct VirtualScheduling {
        limit: u128,
        per: u128,
        arrival: u128,
    }

    impl VirtualScheduling {
        fn admit(&mut self, amount: u128, now: u128) -> bool {
            let now = now * self.limit;
            let arrival = self.arrival.max(now) + amount * self.per;
            let fits = arrival <= now + self.limit * self.per;
            if fits {
                self.arrival = arrival;
            }
            fits
        }
    }

    fn fits(bucket: &mut Gcra, amount: u64, now: Instant) -> bool {
        bucket.wait(amount, now).is_none()
    }

    proptest! {
        #[test]
        fn it_admits_what_virtual_scheduling_admits(
            limit in 1..50_u64,
            per in 1..2_000_u64,
            steps in prop::collection::vec((0..500_u64, 1..60_u64), 1..60),
        ) {
            let start = Instant::now();
            let mut bucket = Gcra::new(limit, Duration::from_nanos(per), start);
            let mut model = VirtualScheduling { limit: limit.into(), per: per.into(), arrival: 0 };
            let mut time = 0;
            for (pause, amount) in steps {
                time += pause;
                let now = start + Duration::from_nanos(time);
                let fits = fits(&mut bucket, amount, now);
                prop_assert_eq!(fits, model.admit(amount.into(), time.into()));
                if fits {
                    bucket.charge(amount, now);
                }
            }
        }

        #[test]
        fn who_waits_exactly_as_long_as_told_passes_and_not_a_nanosecond_sooner(
            limit in 1..50_u64,
            per in 1..2_000_u64,
            charges in prop::collection::vec((0..500_u64, 1..60_u64), 1..20),
            amount in 1..50_u64,
        ) {
            let amount = amount.min(limit);
            let mut now = Instant::now();
            let mut bucket = Gcra::new(limit, Duration::from_nanos(per), now);
            for (pause, charge) in charges {
                now += Duration::from_nanos(pause);
                bucket.charge(charge, now);
            }
            if let Some(wait) = bucket.wait(amount, now) {
                let Wait::Until(at) = wait else {
                    panic!("what fits the limit is never refused for good");
                };
                prop_assert!(at <= now + Duration::from_nanos(2 * per), "shut out too long");
                prop_assert!(!fits(&mut bucket, amount, at - Duration::from_nanos(1)));
                prop_assert!(fits(&mut bucket, amount, at));
            }
        }

        /// After a refund no less is used than if the charge had never been made, and exactly that
        /// if nothing came after it.
        #[test]
        fn a_refund_gives_back_no_more_than_was_taken(
            limit in 1..50_u64,
            per in 1..2_000_u64,
            before in 0..40_u64,
            amount in 1..40_u64,
            after in prop::collection::vec((0..800_u64, 0..40_u64), 1..10),
        ) {
            let mut now = Instant::now();
            let mut with = Gcra::new(limit * 1_000, Duration::from_nanos(per), now);
            with.charge(before, now);
            let mut without = with;
            let drained = with.charge(amount, now);
            for (pause, charge) in &after {
                now += Duration::from_nanos(*pause);
                with.charge(*charge, now);
                without.charge(*charge, now);
            }
            with.refund(drained, amount, now);
            without.drain(now);
            prop_assert!(with.level >= without.level);
            if after.iter().all(|(_, charge)| *charge == 0) {
                let one_nanosecond = u128::from(limit * 1_000);
                prop_assert!(with.level - without.level < one_nanosecond, "more was to be refunded");
            }
        }
    }

    #[test]
    fn another_limit_keeps_what_was_used() {
        let now = Instant::now();
        let mut bucket = Gcra::new(10, Duration::from_nanos(60_000), now);
        bucket.charge(7, now);
        bucket.set(8, Duration::from_nanos(1_000), now);
        assert_eq!(bucket.used(now), 7);
        assert!(fits(&mut bucket, 1, now) && !fits(&mut bucket, 2, now));
    }

    #[test]
    fn a_limit_that_is_lowered_shuts_nobody_out_for_longer_than_its_period() {
        let now = Instant::now();
        let mut bucket = Gcra::new(1_000, Duration::from_nanos(60), now);
        bucket.charge(1_000, now);
        bucket.set(1, Duration::from_nanos(60), now);
        assert_eq!(
            bucket.wait(1, now),
            Some(Wait::Until(now + 2 * Duration::from_nanos(60)))
        );
    }
}

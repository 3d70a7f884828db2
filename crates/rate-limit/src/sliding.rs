//! A sliding window.
//!
//! What was charged counts until the period has passed since. To bound the memory, charges that
//! come within a sixtieth of the period are put into one slice, which counts until the last of them
//! has left the window. So what is remembered is never less than an exact log would hold: nothing
//! is admitted that the log would refuse, and what the log would admit is admitted at most a
//! sixtieth of the period later. Charges that come further apart are counted exactly.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::refused::Wait;

const SLICES: u32 = 60;

/// Slices begin a sixtieth of the period apart, and each ends as much later at most.
const MOST_SLICES: usize = SLICES as usize + 2;

/// What was charged in the last period.
#[derive(Clone, Debug)]
pub(crate) struct Sliding {
    limit: u64,
    per: Duration,
    /// How long a slice takes charges.
    width: Duration,
    slices: VecDeque<Slice>,
    /// When the last slice began.
    began: Instant,
    /// How many slices have left the window.
    left: u64,
    total: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    amount: u64,
    /// The latest charge.
    last: Instant,
}

/// Which slice a charge is in, counted from the first there ever was.
pub(crate) type Place = u64;

impl Sliding {
    pub(crate) fn new(limit: u64, per: Duration, now: Instant) -> Self {
        Self {
            limit,
            per,
            width: per / SLICES,
            slices: VecDeque::new(),
            began: now,
            left: 0,
            total: 0,
        }
    }

    /// Takes on another limit; what has been used stays, as long as the new period says.
    pub(crate) fn set(&mut self, limit: u64, per: Duration) {
        self.limit = limit;
        if self.per != per {
            self.per = per;
            self.width = self.per / SLICES;
        }
    }

    /// How much is used.
    pub(crate) fn used(&mut self, now: Instant) -> u64 {
        while let Some(first) = self.slices.front()
            && first.last + self.per <= now
        {
            self.total = self.total.saturating_sub(first.amount);
            self.slices.pop_front();
            self.left += 1;
        }
        self.total
    }

    /// What has to be waited for until `amount` fits.
    pub(crate) fn wait(&mut self, amount: u64, now: Instant) -> Option<Wait> {
        let used = self.used(now);
        if self.limit == 0 || amount > self.limit {
            return Some(Wait::Never);
        }
        let mut excess = used.saturating_add(amount).saturating_sub(self.limit);
        if excess == 0 {
            return None;
        }
        for slice in &self.slices {
            excess = excess.saturating_sub(slice.amount);
            if excess == 0 {
                return Some(Wait::Until(slice.last + self.per));
            }
        }
        Some(Wait::Until(self.empty_at(now)))
    }

    /// Adds `amount`, whether it fits or not.
    pub(crate) fn charge(&mut self, amount: u64, now: Instant) -> Place {
        self.used(now);
        self.total = self.total.saturating_add(amount);
        let full = self.slices.len() >= MOST_SLICES;
        let last = match self.slices.back_mut() {
            Some(slice) if full || now < self.began + self.width => {
                slice.amount = slice.amount.saturating_add(amount);
                slice.last = slice.last.max(now);
                return self.left + self.slices.len() as u64 - 1;
            }
            Some(slice) => slice.last.max(now),
            None => now,
        };
        self.began = now;
        self.slices.push_back(Slice { amount, last });
        self.left + self.slices.len() as u64 - 1
    }

    /// Takes back `amount` of a charge, if that is still in the window.
    pub(crate) fn refund(&mut self, place: Place, amount: u64, now: Instant) {
        self.used(now);
        let slice = place
            .checked_sub(self.left)
            .and_then(|index| self.slices.get_mut(usize::try_from(index).ok()?));
        if let Some(slice) = slice {
            let amount = amount.min(slice.amount);
            slice.amount -= amount;
            self.total = self.total.saturating_sub(amount);
        }
    }

    /// Forgets what was charged. Charges of before are not given back any more.
    pub(crate) fn clear(&mut self) {
        self.left += self.slices.len() as u64;
        self.slices.clear();
        self.total = 0;
    }

    /// When nothing is used any more.
    pub(crate) fn empty_at(&mut self, now: Instant) -> Instant {
        if self.used(now) == 0 {
            return now;
        }
        self.slices
            .back()
            .map_or(now, |slice| slice.last + self.per)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PER: Duration = Duration::from_secs(60);

    /// The naive model: every charge, with its time.
    #[derive(Default)]
    struct Log(Vec<(Instant, u64)>);

    impl Log {
        fn used(&self, per: Duration, now: Instant) -> u64 {
            let counts = |(at, _): &&(Instant, u64)| *at + per > now;
            self.0.iter().filter(counts).map(|(_, amount)| amount).sum()
        }
    }

    fn fits(window: &mut Sliding, amount: u64, now: Instant) -> bool {
        window.wait(amount, now).is_none()
    }

    proptest! {
        #[test]
        fn it_admits_nothing_that_an_exact_log_refuses_and_little_later_all_else(
            limit in 1..50_u64,
            steps in prop::collection::vec((0..4_000_u64, 1..20_u64), 1..300),
        ) {
            let mut now = Instant::now();
            let mut window = Sliding::new(limit, PER, now);
            let mut log = Log::default();
            for (pause, amount) in steps {
                now += Duration::from_millis(pause);
                let amount = amount.min(limit);
                if fits(&mut window, amount, now) {
                    prop_assert!(log.used(PER, now) + amount <= limit);
                    window.charge(amount, now);
                    log.0.push((now, amount));
                } else {
                    prop_assert!(log.used(PER + SECOND, now) + amount > limit);
                }
                prop_assert!(window.slices.len() <= MOST_SLICES);
            }
        }

        #[test]
        fn charges_further_apart_than_a_slice_are_counted_exactly(
            steps in prop::collection::vec((1_000..9_000_u64, 1..20_u64), 1..100),
        ) {
            let mut now = Instant::now();
            let mut window = Sliding::new(50, PER, now);
            let mut log = Log::default();
            for (pause, amount) in steps {
                now += Duration::from_millis(pause);
                prop_assert_eq!(window.used(now), log.used(PER, now));
                window.charge(amount, now);
                log.0.push((now, amount));
            }
        }

        #[test]
        fn who_waits_exactly_as_long_as_told_passes_and_not_a_nanosecond_sooner(
            limit in 1..50_u64,
            charges in prop::collection::vec((0..4_000_u64, 1..60_u64), 1..60),
            amount in 1..50_u64,
        ) {
            let amount = amount.min(limit);
            let mut now = Instant::now();
            let mut window = Sliding::new(limit, PER, now);
            for (pause, charge) in charges {
                now += Duration::from_millis(pause);
                window.charge(charge, now);
            }
            if let Some(wait) = window.wait(amount, now) {
                let Wait::Until(at) = wait else {
                    panic!("what fits the limit is never refused for good");
                };
                prop_assert!(!fits(&mut window.clone(), amount, at - Duration::from_nanos(1)));
                prop_assert!(fits(&mut window, amount, at));
                prop_assert!(at <= now + 60 * SECOND, "shut out too long");
            }
        }
    }

    #[test]
    fn a_refund_concerns_its_own_charge_only() {
        let start = Instant::now();
        let mut window = Sliding::new(10, PER, start);
        let first = window.charge(4, start);
        window.charge(5, start + 30 * SECOND);
        window.refund(first, 3, start + 40 * SECOND);
        assert_eq!(window.used(start + 40 * SECOND), 6);
        window.refund(first, 1, start + 70 * SECOND);
        assert_eq!(window.used(start + 70 * SECOND), 5, "it has left already");
    }

    #[test]
    fn another_limit_keeps_what_was_used() {
        let start = Instant::now();
        let mut window = Sliding::new(10, PER, start);
        window.charge(7, start);
        window.set(8, PER);
        assert!(fits(&mut window, 1, start) && !fits(&mut window, 2, start));
        window.set(8, 10 * SECOND);
        assert_eq!(window.used(start + 9 * SECOND), 7);
        assert_eq!(window.used(start + 10 * SECOND), 0);
    }

    #[test]
    fn a_period_that_grows_does_not_make_it_grow() {
        let mut now = Instant::now();
        let mut window = Sliding::new(10, PER, now);
        for seconds in [1, 60, 3_600] {
            let per = Duration::from_secs(seconds);
            window.set(10, per);
            for _ in 0..100 {
                window.charge(1, now);
                now += per / 100;
            }
        }
        assert!(window.slices.len() <= MOST_SLICES);
    }
}

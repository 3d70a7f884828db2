//! One period after the other.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::{Period, refused::Wait};

/// A century is as good as for ever, and can be added to any time.
const CENTURY: Duration = Duration::from_secs(36_525 * 24 * 60 * 60);

/// How much of an amount is used in the current period.
#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    limit: u64,
    period: Period,
    used: u64,
    /// When the period ends in which something was used; a calendar's as the clocks said at its start.
    ends_at: Option<Instant>,
    /// Which period it is, counted.
    number: u64,
}

/// The number of the period in which something was charged.
pub(crate) type Number = u64;

impl Fixed {
    pub(crate) fn new(limit: u64, period: Period) -> Self {
        Self {
            limit,
            period,
            used: 0,
            ends_at: None,
            number: 0,
        }
    }

    pub(crate) fn set(&mut self, limit: u64, period: Period, now: Instant) {
        self.limit = limit;
        if self.period != period {
            self.period = period;
            self.ends_at = (self.used > 0).then(|| self.end(now)).flatten();
        }
    }

    /// When the period ends that this is in.
    fn end(&self, now: Instant) -> Option<Instant> {
        let wall = SystemTime::now();
        let left = match self.period {
            Period::Rolling(time) => Some(time),
            calendar => calendar
                .end(wall)
                .and_then(|end| end.duration_since(wall).ok()),
        };
        left.map(|left| now + left.min(CENTURY))
    }

    pub(crate) fn used(&mut self, now: Instant) -> u64 {
        if self.ends_at.is_some_and(|end| end <= now) {
            self.used = 0;
            self.ends_at = None;
            self.number += 1;
        }
        self.used
    }

    pub(crate) fn wait(&mut self, amount: u64, now: Instant) -> Option<Wait> {
        let used = self.used(now);
        if self.limit == 0 || amount > self.limit {
            return Some(Wait::Never);
        }
        (used.saturating_add(amount) > self.limit)
            .then(|| self.ends_at.map_or(Wait::Never, Wait::Until))
    }

    pub(crate) fn charge(&mut self, amount: u64, now: Instant) -> Number {
        self.used(now);
        if self.ends_at.is_none() {
            self.ends_at = self.end(now);
        }
        self.used = self.used.saturating_add(amount);
        self.number
    }

    pub(crate) fn refund(&mut self, number: Number, amount: u64, now: Instant) {
        self.used(now);
        if number == self.number {
            self.used = self.used.saturating_sub(amount);
        }
    }

    /// Forgets what was charged; the next period begins with the next use.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.ends_at = None;
        self.number += 1;
    }

    /// Begins anew with the next period, of which so much is used already. Charges that were made
    /// keep their number.
    pub(crate) fn restart(&mut self, used: u64, now: Instant) {
        self.used = 0;
        self.ends_at = None;
        if used > 0 {
            self.charge(used, now);
        }
    }

    /// When nothing is used any more; `None` for what is used for ever.
    pub(crate) fn empty_at(&mut self, now: Instant) -> Option<Instant> {
        match self.used(now) {
            0 => Some(now),
            _ => self.ends_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rolling_period_begins_with_the_first_use_and_all_is_there_after_it() {
        let mut now = Instant::now();
        let mut fixed = Fixed::new(10, Period::Rolling(60 * SECOND));
        now += 100 * SECOND;
        fixed.charge(10, now);
        assert_eq!(
            fixed.wait(1, now + 59 * SECOND),
            Some(Wait::Until(now + 60 * SECOND))
        );
        now += 60 * SECOND;
        assert_eq!((fixed.wait(10, now), fixed.used(now)), (None, 0));
    }

    #[test]
    fn what_was_charged_in_an_earlier_period_is_given_back_to_nobody() {
        let now = Instant::now();
        let mut fixed = Fixed::new(10, Period::Rolling(SECOND));
        let first = fixed.charge(5, now);
        let later = now + SECOND;
        fixed.charge(3, later);
        fixed.refund(first, 5, later);
        assert_eq!(fixed.used(later), 3);
    }

    #[test]
    fn what_is_for_ever_comes_never_back() {
        let now = Instant::now();
        let mut fixed = Fixed::new(1, Period::Forever);
        fixed.charge(1, now);
        assert_eq!(fixed.wait(1, now + CENTURY), Some(Wait::Never));
    }

    proptest! {
        /// The naive model: every charge with the period it was made in, which is named by its end.
        #[test]
        fn it_admits_what_a_list_of_charges_admits(
            limit in 1..40_u64,
            steps in prop::collection::vec((0..40_u64, 1..50_u64, any::<bool>()), 1..120),
        ) {
            let mut now = Instant::now();
            let mut fixed = Fixed::new(limit, Period::Rolling(60 * SECOND));
            let mut log: Vec<(Instant, Number, u64)> = Vec::new();
            for (pause, amount, is_given_back) in steps {
                now += Duration::from_secs(pause);
                log.retain(|(end, ..)| *end > now);
                let used: u64 = log.iter().map(|(.., amount)| amount).sum();
                prop_assert_eq!(fixed.used(now), used);
                let fits = used + amount <= limit;
                let wait = fixed.wait(amount, now);
                prop_assert_eq!(wait.is_none(), fits);
                if fits {
                    let end = log.first().map_or(now + 60 * SECOND, |(end, ..)| *end);
                    log.push((end, fixed.charge(amount, now), amount));
                } else if amount <= limit {
                    prop_assert_eq!(wait, Some(Wait::Until(log[0].0)));
                }
                if is_given_back && let Some((_, number, amount)) = log.last_mut() {
                    fixed.refund(*number, *amount, now);
                    *amount = 0;
                }
            }
        }
    }
}

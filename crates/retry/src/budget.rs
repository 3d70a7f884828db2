//! How many retries a process may make.

use std::fmt;

use parking_lot::Mutex;
use tokio::time::Instant;
use tower::retry::budget::Budget;

/// How long a deposit counts, in seconds; each has a slice of its own.
const SLICES: u64 = 10;

/// What one retry costs.
const RETRY: i64 = 1000;

/// A retry budget: retries are held to a share of the requests of the last ten seconds, plus a
/// minimum.
///
/// So when a provider is down, its retries are a fifth more work for it and not a multiple. Every
/// request deposits its share with its first attempt, every retry withdraws one; what nobody
/// withdraws is forgotten after ten seconds. The idea is Finagle's `RetryBudget`. The sums are whole
/// numbers, thousandths of a retry, in slices of a second.
///
/// ```
/// use tower::retry::budget::Budget;
/// use ziggurat_retry::RetryBudget;
///
/// let budget = RetryBudget::new(500, 0);
/// budget.deposit();
/// assert!(!budget.withdraw(), "one request is worth half a retry");
/// budget.deposit();
/// assert!(budget.withdraw());
/// ```
pub struct RetryBudget {
    share: i64,
    reserve: i64,
    epoch: Instant,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    /// Deposits less withdrawals, by the second modulo [`SLICES`].
    slices: [i64; SLICES as usize],
    /// The latest second seen.
    now: u64,
    /// The second of the latest refusal.
    refused: Option<u64>,
}

impl RetryBudget {
    /// A budget of `share` retries for each thousand requests, and in addition `minimum` retries a
    /// second on average, all of which may be made at once after ten quiet seconds.
    ///
    /// The default is 200 and 10.
    #[must_use]
    pub fn new(share: u32, minimum: u32) -> Self {
        Self {
            share: share.into(),
            reserve: i64::from(minimum) * SLICES as i64 * RETRY,
            epoch: Instant::now(),
            window: Mutex::new(Window {
                slices: [0; SLICES as usize],
                now: 0,
                refused: None,
            }),
        }
    }

    fn deposit_at(&self, now: Instant) {
        let mut window = self.window.lock();
        *window.at(self.second(now)) += self.share;
    }

    fn withdraw_at(&self, now: Instant) -> bool {
        let mut window = self.window.lock();
        *window.at(self.second(now)) -= RETRY;
        if window.slices.iter().sum::<i64>() + self.reserve >= 0 {
            return true;
        }
        let second = window.now;
        *window.at(second) += RETRY;
        let last = window.refused.replace(second);
        drop(window);
        if last.is_none_or(|last| second - last >= SLICES) {
            tracing::debug!("retry budget exhausted");
        }
        false
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs()
    }
}

impl Window {
    /// The slice of that second, or of the latest one if others were there before; those that time
    /// has passed over are emptied.
    fn at(&mut self, second: u64) -> &mut i64 {
        if second > self.now {
            let passed = (second - self.now).min(SLICES);
            for second in second - passed + 1..=second {
                self.slices[(second % SLICES) as usize] = 0;
            }
            self.now = second;
        }
        &mut self.slices[(self.now % SLICES) as usize]
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(200, 10)
    }
}

impl Budget for RetryBudget {
    fn deposit(&self) {
        self.deposit_at(Instant::now());
    }

    fn withdraw(&self) -> bool {
        self.withdraw_at(Instant::now())
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("share", &self.share)
            .field("reserve", &self.reserve)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// The naive model: every movement, with its second.
    struct Ledger {
        share: i64,
        reserve: i64,
        movements: Vec<(u64, i64)>,
    }

    impl Ledger {
        fn balance(&self, second: u64) -> i64 {
            let counts = |(at, _): &&(u64, i64)| at + SLICES > second;
            let sum: i64 = self.movements.iter().filter(counts).map(|(_, by)| by).sum();
            sum + self.reserve
        }

        fn withdraw(&mut self, second: u64) -> bool {
            let enough = self.balance(second) >= RETRY;
            if enough {
                self.movements.push((second, -RETRY));
            }
            enough
        }
    }

    proptest! {
        #[test]
        fn it_gives_what_the_sum_over_all_movements_gives(
            share in 0..3000_u32, minimum in 0..2_u32, steps in prop::collection::vec((0..1500_u64, 0..4_u8), 1..200),
        ) {
            let budget = RetryBudget::new(share, minimum);
            let mut model = Ledger {
                share: share.into(), reserve: i64::from(minimum) * 10 * RETRY, movements: Vec::new(),
            };
            let mut at = Duration::ZERO;
            for (millis, what) in steps {
                // Now and then a long silence.
                at += Duration::from_millis(if millis > 1400 { millis * 10 } else { millis });
                let (now, second) = (budget.epoch + at, at.as_secs());
                if what == 0 {
                    budget.deposit_at(now);
                    model.movements.push((second, model.share));
                } else {
                    prop_assert_eq!(budget.withdraw_at(now), model.withdraw(second));
                }
            }
        }
    }

    #[test]
    fn an_outage_at_a_thousand_requests_a_second_costs_a_fifth_more_and_the_minimum() {
        let budget = RetryBudget::default();
        let (seconds, per_second) = (60, 1000);
        let (mut offered, mut dispatched) = (0_u64, 0_u64);
        for request in 0..seconds * per_second {
            let now = budget.epoch + Duration::from_millis(request);
            budget.deposit_at(now);
            offered += 1;
            dispatched += 1;
            for _retry in 0..3 {
                if !budget.withdraw_at(now) {
                    break;
                }
                dispatched += 1;
            }
        }
        let minimum = 10 * (seconds + SLICES);
        assert!(
            dispatched * 10 <= offered * 12 + minimum * 10,
            "{dispatched}"
        );
        assert!(
            dispatched * 10 >= offered * 12,
            "the share is used: {dispatched}"
        );
    }

    #[test]
    fn a_clock_that_another_thread_read_earlier_changes_nothing() {
        let budget = RetryBudget::new(1000, 0);
        budget.deposit_at(budget.epoch + Duration::from_secs(20));
        assert!(budget.withdraw_at(budget.epoch + Duration::from_secs(11)));
        assert!(!budget.withdraw_at(budget.epoch + Duration::from_secs(20)));
    }
}

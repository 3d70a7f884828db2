//! How many hedges may be sent.

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a request counts, in seconds; each has a slice of its own.
const SLICES: u64 = 10;

/// All requests, in the unit of shares: hundredths of a percent.
pub(crate) const WHOLE: u64 = 10_000;

/// Holds the hedges to a share of the requests of the last ten seconds.
#[derive(Debug)]
pub(crate) struct Budget {
    epoch: Instant,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    /// By the second modulo [`SLICES`].
    slices: [Slice; SLICES as usize],
    /// The latest second seen.
    now: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    requests: u64,
    hedges: u64,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            window: Mutex::default(),
        }
    }

    /// Notes a request.
    pub(crate) fn deposit(&self, now: Instant) {
        self.window.lock().at(self.second(now)).requests += 1;
    }

    /// Takes a hedge, if it is within the share.
    pub(crate) fn withdraw(&self, share: u64, now: Instant) -> bool {
        let mut window = self.window.lock();
        window.at(self.second(now));
        let requests: u64 = window.slices.iter().map(|slice| slice.requests).sum();
        let hedges: u64 = window.slices.iter().map(|slice| slice.hedges).sum();
        let is_within = (hedges + 1) * WHOLE <= requests * share;
        if is_within {
            let second = window.now;
            window.at(second).hedges += 1;
        }
        is_within
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs()
    }
}

impl Window {
    /// The slice of that second, or of the latest one if others were there before; those that time
    /// has passed over are emptied.
    fn at(&mut self, second: u64) -> &mut Slice {
        if second > self.now {
            let passed = (second - self.now).min(SLICES);
            for second in second - passed + 1..=second {
                self.slices[(second % SLICES) as usize] = Slice::default();
            }
            self.now = second;
        }
        &mut self.slices[(self.now % SLICES) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_gives_what_counting_all_of_them_gives(
            share in 0..=WHOLE, steps in prop::collection::vec((0..1500_u64, 0..4_u8), 1..300),
        ) {
            let budget = Budget::new();
            let (mut requests, mut hedges) = (Vec::new(), Vec::new());
            let mut at = Duration::ZERO;
            for (millis, what) in steps {
                // Now and then a long silence.
                at += Duration::from_millis(if millis > 1400 { millis * 10 } else { millis });
                let (now, second) = (budget.epoch + at, at.as_secs());
                let recent = |all: &Vec<u64>| {
                    all.iter().filter(|at| **at + SLICES > second).count() as u64
                };
                if what < 3 {
                    budget.deposit(now);
                    requests.push(second);
                    continue;
                }
                let expected = (recent(&hedges) + 1) * WHOLE <= recent(&requests) * share;
                prop_assert_eq!(budget.withdraw(share, now), expected);
                if expected {
                    hedges.push(second);
                }
            }
        }
    }

    #[test]
    fn a_clock_that_another_thread_read_earlier_changes_nothing() {
        let budget = Budget::new();
        budget.deposit(budget.epoch + Duration::from_secs(20));
        assert!(budget.withdraw(WHOLE, budget.epoch + Duration::from_secs(11)));
        assert!(!budget.withdraw(WHOLE, budget.epoch + Duration::from_secs(20)));
    }
}

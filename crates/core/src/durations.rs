//! How long something took of late.

use std::{fmt, time::Duration};

use parking_lot::Mutex;

/// Steps in each doubling of the time.
const STEPS: u32 = 4;
/// From a millisecond on for eighteen doublings: over four minutes.
const BUCKETS: usize = 18 * STEPS as usize + 1;
/// When so many have been noted, each counts half.
const HALVE_AT: u32 = 1024;

/// A histogram of durations that forgets: each thousand observations halve the weight of those
/// before. A quantile is within a fifth of the truth, from 1 ms to 4 minutes.
///
/// Small, and locked for some nanoseconds.
pub struct Durations(Mutex<Counts>);

struct Counts {
    buckets: [u16; BUCKETS],
    total: u32,
}

impl Durations {
    /// Nothing noted yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Counts {
            buckets: [0; BUCKETS],
            total: 0,
        }))
    }

    /// Notes a duration.
    pub fn note(&self, took: Duration) {
        let counts = &mut *self.0.lock();
        counts.buckets[bucket(took)] += 1;
        counts.total += 1;
        if counts.total >= HALVE_AT {
            counts.buckets.iter_mut().for_each(|count| *count /= 2);
            counts.total = counts.buckets.iter().map(|count| u32::from(*count)).sum();
        }
    }

    /// How many observations there are to go by.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.lock().total
    }

    /// The duration that this share of the observations, from 0 to 1, did not exceed; `None` if
    /// there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let counts = self.0.lock();
        let wanted = (f64::from(counts.total) * share.clamp(0.0, 1.0)).ceil();
        let wanted = (wanted as u32).max(1);
        let mut seen = 0;
        let within = counts.buckets.iter().position(|count| {
            seen += u32::from(*count);
            seen >= wanted
        });
        within.map(upper)
    }
}

/// The bucket of a duration: the first whose upper end is not below it.
fn bucket(took: Duration) -> usize {
    let millis = took.as_secs_f64() * 1000.0;
    let step = (millis.max(1.0).log2() * f64::from(STEPS)).ceil();
    (step as usize).min(BUCKETS - 1)
}

fn upper(bucket: usize) -> Duration {
    let millis = (bucket as f64 / f64::from(STEPS)).exp2();
    Duration::from_secs_f64(millis / 1000.0)
}

impl Default for Durations {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durations")
            .field("count", &self.count())
            .field("median", &self.quantile(0.5))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_is_near_that_of_the_sorted_list(
            mut millis in prop::collection::vec(1..200_000_u64, 1..400), share in 0.0..=1.0_f64,
        ) {
            let durations = Durations::new();
            for took in &millis {
                durations.note(Duration::from_millis(*took));
            }
            millis.sort_unstable();
            let rank = ((millis.len() as f64 * share).ceil() as usize).clamp(1, millis.len());
            let truth = millis[rank - 1] as f64;
            let told = durations.quantile(share).expect("has some").as_secs_f64() * 1000.0;
            prop_assert!(told >= truth * 0.999 && told <= truth * 1.2, "{told} for {truth}");
        }
    }

    #[test]
    fn what_is_new_outweighs_what_is_old() {
        let durations = Durations::new();
        assert_eq!(durations.quantile(0.5), None);
        (0..3_000).for_each(|_| durations.note(Duration::from_millis(10)));
        (0..1_500).for_each(|_| durations.note(Duration::from_secs(1)));
        assert!(durations.count() < HALVE_AT);
        let median = durations.quantile(0.5).expect("has some");
        assert!(median >= Duration::from_secs(1), "{median:?}");
        durations.note(Duration::MAX);
        assert!(durations.quantile(1.0).expect("has some") < Duration::from_secs(300));
    }
}

//! How long things took.

use std::time::Duration;

/// Upper bounds of all buckets but the last, in milliseconds.
const BOUNDS: [u64; 31] = [
    5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000,
    7_500, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 90_000, 120_000, 180_000, 300_000,
    450_000, 600_000,
];

/// How many buckets there are.
pub(crate) const BUCKETS: usize = BOUNDS.len() + 1;

/// How often which time was seen: counts in 32 fixed buckets, from 5 ms to ten minutes and longer.
///
/// Two of them can be [added](Self::merge), in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram([u64; BUCKETS]);

impl Histogram {
    /// Notes a time.
    pub fn record(&mut self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.add(BOUNDS.partition_point(|bound| *bound < time), 1);
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, more) in other.0.iter().enumerate() {
            self.add(bucket, *more);
        }
    }

    pub(crate) fn add(&mut self, bucket: usize, more: u64) {
        if let Some(count) = self.0.get_mut(bucket) {
            *count = count.saturating_add(more);
        }
    }

    /// How many times were noted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |sum: u64, more| sum.saturating_add(*more))
    }

    /// The counts, each with the upper bound of its bucket; `None` is without one.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.iter().map(|bound| Duration::from_millis(*bound));
        let bounds = bounds.map(Some).chain([None]);
        bounds.zip(self.0)
    }

    pub(crate) fn counts(&self) -> &[u64; BUCKETS] {
        &self.0
    }

    /// The time that a part `q` of those noted did not exceed, from 0 to 1: exact to its bucket, and
    /// taken to be spread evenly within. What is over ten minutes counts as ten minutes. `None` if
    /// nothing was noted.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        // The rank of the one that is meant, counted from 1.
        let rank = (q.clamp(0.0, 1.0) * count as f64).ceil().max(1.0);
        let mut below = 0.0;
        for (bucket, n) in self.0.iter().enumerate() {
            let n = *n as f64;
            if below + n >= rank {
                return Some(within(bucket, (rank - below) / n));
            }
            below += n;
        }
        Some(within(BUCKETS - 1, 1.0))
    }
}

/// The time that lies at a part of the width of a bucket.
fn within(bucket: usize, part: f64) -> Duration {
    let last = BOUNDS[BOUNDS.len() - 1];
    let low = bucket.checked_sub(1).map_or(0, |below| BOUNDS[below]);
    let high = BOUNDS.get(bucket).copied().unwrap_or(last);
    let (low, high) = (low as f64, high as f64);
    Duration::from_secs_f64((low + (high - low) * part) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for time in times {
            histogram.record(Duration::from_millis(*time));
        }
        histogram
    }

    #[test]
    fn nothing_noted_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn what_is_longer_than_all_buckets_counts_as_the_last_bound() {
        let longest = Duration::from_secs(600);
        assert_eq!(of(&[10_000_000]).quantile(0.5), Some(longest));
        assert_eq!(of(&[u64::MAX]).quantile(1.0), Some(longest));
    }

    proptest! {
        #[test]
        fn a_quantile_lies_in_the_bucket_of_the_true_one(
            mut times in prop::collection::vec(0_u64..900_000, 1..200),
            q in 0.0_f64..=1.0,
        ) {
            let told = of(&times).quantile(q).expect("there are some").as_secs_f64() * 1_000.0;
            times.sort_unstable();
            let rank = ((q * times.len() as f64).ceil() as usize).max(1);
            let truth = times[rank - 1].min(600_000);
            let bucket = BOUNDS.partition_point(|bound| *bound < truth);
            let low = bucket.checked_sub(1).map_or(0, |below| BOUNDS[below]);
            prop_assert!(low as f64 <= told && told <= BOUNDS[bucket] as f64 + 1e-6, "{told} for {truth}");
        }

        #[test]
        fn added_histograms_are_that_of_all_times(
            a in prop::collection::vec(0_u64..900_000, 0..50),
            b in prop::collection::vec(0_u64..900_000, 0..50),
        ) {
            let mut sum = of(&a);
            sum.merge(&of(&b));
            prop_assert_eq!(sum, of(&[a, b].concat()));
        }
    }
}

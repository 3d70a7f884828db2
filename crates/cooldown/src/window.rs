//! How many answers of late were failures.

use std::time::Duration;

use tokio::time::Instant;

const SLICES: usize = 6;

/// Counts over a window that slides in steps of a sixth of it.
#[derive(Debug)]
pub(crate) struct Window {
    began: Instant,
    /// The newest slice; slice `n` is kept at `n % SLICES`.
    newest: u64,
    slices: [Counts; SLICES],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) successes: u32,
    pub(crate) failures: u32,
}

impl Counts {
    /// Whether more than a share of at least `min` are failures.
    pub(crate) fn exceed(self, share: f64, min: u32) -> bool {
        let total = self.successes.saturating_add(self.failures);
        total >= min && f64::from(self.failures) > share * f64::from(total)
    }
}

impl Window {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            newest: 0,
            slices: [Counts::default(); SLICES],
        }
    }

    pub(crate) fn success(&mut self, length: Duration, now: Instant) {
        let slice = self.slice(length, now);
        slice.successes = slice.successes.saturating_add(1);
    }

    pub(crate) fn failure(&mut self, length: Duration, now: Instant) {
        let slice = self.slice(length, now);
        slice.failures = slice.failures.saturating_add(1);
    }

    /// The sum over the slices that have not slid out.
    pub(crate) fn counts(&self) -> Counts {
        self.slices
            .iter()
            .fold(Counts::default(), |sum, slice| Counts {
                successes: sum.successes.saturating_add(slice.successes),
                failures: sum.failures.saturating_add(slice.failures),
            })
    }

    /// The slice of now; what is older than the window is forgotten.
    fn slice(&mut self, length: Duration, now: Instant) -> &mut Counts {
        let number = nanos(now.saturating_duration_since(self.began))
            / (nanos(length) / SLICES as u64).max(1);
        for passed in 1..=number.saturating_sub(self.newest).min(SLICES as u64) {
            self.slices[place(self.newest + passed)] = Counts::default();
        }
        self.newest = self.newest.max(number);
        &mut self.slices[place(self.newest)]
    }
}

fn place(number: u64) -> usize {
    (number % SLICES as u64) as usize
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(60);

    proptest! {
        #[test]
        fn it_counts_what_fell_into_the_last_six_slices(
            events in prop::collection::vec((0_u64..40, any::<bool>()), 1..60)
        ) {
            let began = Instant::now();
            let mut window = Window::new(began);
            let mut log = Vec::new();
            let mut secs = 0;
            for (pause, success) in events {
                secs += pause;
                let now = began + Duration::from_secs(secs);
                if success {
                    window.success(LENGTH, now);
                } else {
                    window.failure(LENGTH, now);
                }
                log.push((secs / 10, success));
                let count = |which| {
                    let recent = |(slice, kind): &&(u64, bool)| slice + 6 > secs / 10 && *kind == which;
                    u32::try_from(log.iter().filter(recent).count()).expect("is small")
                };
                let expected = Counts { successes: count(true), failures: count(false) };
                prop_assert_eq!(window.counts(), expected);
            }
        }
    }

    #[test]
    fn a_share_counts_only_above_it_and_among_enough() {
        let counts = |failures, successes| Counts {
            failures,
            successes,
        };
        assert!(!counts(4, 0).exceed(0.5, 5));
        assert!(counts(5, 0).exceed(0.5, 5));
        assert!(!counts(5, 5).exceed(0.5, 5));
        assert!(counts(6, 5).exceed(0.5, 5));
        assert!(!counts(100, 0).exceed(1.0, 5));
    }
}

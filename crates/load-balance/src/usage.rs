//! What a deployment has used in the current minute.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How long a window is, in milliseconds.
pub(crate) const WINDOW: u64 = 60_000;

const COUNT_BITS: u32 = 40;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// A count that starts anew with each window: the window's number and the count in one word.
#[derive(Debug, Default)]
pub(crate) struct Windowed(AtomicU64);

impl Windowed {
    /// The count in the window of `now`, a time in milliseconds.
    pub(crate) fn get(&self, now: u64) -> u64 {
        count(self.0.load(Relaxed), now / WINDOW)
    }

    pub(crate) fn add(&self, n: u64, now: u64) {
        self.update(now, |count| count.saturating_add(n).min(COUNT));
    }

    /// Takes back what was added; what the window has forgotten since is not taken twice.
    pub(crate) fn sub(&self, n: u64, now: u64) {
        self.update(now, |count| count.saturating_sub(n));
    }

    /// Forgets what was counted.
    pub(crate) fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    fn update(&self, now: u64, change: impl Fn(u64) -> u64) {
        let window = now / WINDOW;
        let change = |word| Some(window << COUNT_BITS | change(count(word, window)));
        let _ = self.0.fetch_update(Relaxed, Relaxed, change);
    }
}

fn count(word: u64, window: u64) -> u64 {
    if word >> COUNT_BITS == window {
        word & COUNT
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_counts_what_a_map_of_windows_counts(
            steps in prop::collection::vec((0..40_000_u64, 0..1_000_u64, any::<bool>()), 1..60),
        ) {
            let windowed = Windowed::default();
            let mut model = std::collections::HashMap::<u64, u64>::new();
            let mut now = 0;
            for (later, n, add) in steps {
                now += later;
                let count = model.entry(now / WINDOW).or_default();
                if add {
                    windowed.add(n, now);
                    *count += n;
                } else {
                    windowed.sub(n, now);
                    *count = count.saturating_sub(n);
                }
                prop_assert_eq!(windowed.get(now), *count);
                prop_assert_eq!(windowed.get(now + WINDOW), 0);
            }
        }
    }
}

//! What a limit keeps to.

use std::num::NonZeroU32;

use ziggurat_core::{Concurrency, ConcurrencyMode, Deployment};

/// From so many places in flight on a refusal speaks of how many they are.
const MIN: u32 = 4;

/// The first limit of [`ConcurrencyMode::Gradient`], as in Netflix's concurrency-limits.
const INITIAL: u32 = 20;

/// The bounds of one deployment, which fit each other: `1 <= min <= initial <= max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) mode: ConcurrencyMode,
    pub(crate) min: u32,
    pub(crate) initial: u32,
    pub(crate) max: u32,
}

impl Bounds {
    /// Of a deployment, by what it says itself and by what holds for all.
    ///
    /// Learning begins at the top where it learns from refusals alone: whoever has never refused is
    /// not limited to less.
    pub(crate) fn of(deployment: &Deployment, all: Concurrency) -> Self {
        let own = deployment.concurrency().or(all);
        let mode = own.mode.unwrap_or(ConcurrencyMode::Fixed);
        let hard = deployment.max_parallel().unwrap_or(u32::MAX).max(1);
        let max = own
            .max
            .map_or(Concurrency::DEFAULT_MAX, NonZeroU32::get)
            .min(hard);
        let min = own.min.map_or(MIN, NonZeroU32::get).min(max);
        let initial = own.initial.map(NonZeroU32::get);
        let initial = initial.unwrap_or(match mode {
            ConcurrencyMode::Gradient => INITIAL,
            _ => max,
        });
        Self {
            mode,
            min,
            initial: initial.clamp(min, max),
            max,
        }
    }

    pub(crate) fn clamp(&self, limit: f64) -> f64 {
        limit.clamp(f64::from(self.min), f64::from(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(n: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(n)
    }

    #[test]
    fn what_a_deployment_says_goes_before_what_holds_for_all_key_by_key() {
        let all = Concurrency {
            mode: Some(ConcurrencyMode::Gradient),
            min: n(2),
            max: n(50),
            ..Concurrency::default()
        };
        let own = Concurrency {
            max: n(9),
            ..Concurrency::default()
        };
        let deployment = Deployment::new("a", "g", "m").with_concurrency(own);
        let bounds = Bounds::of(&deployment, all);
        assert_eq!((bounds.mode, bounds.min), (ConcurrencyMode::Gradient, 2));
        assert_eq!((bounds.initial, bounds.max), (9, 9));
    }

    #[test]
    fn nothing_that_is_said_makes_them_contradict_each_other() {
        for values in [[9, 1, 5], [1, 9, 5], [5, 5, 1], [u32::MAX, 1, 1]] {
            let [min, initial, max] = values.map(n);
            let mode = Some(ConcurrencyMode::Aimd);
            let all = Concurrency {
                mode,
                min,
                initial,
                max,
            };
            for hard in [0, 1, 3, 100] {
                let deployment = Deployment::new("a", "g", "m").with_max_parallel(hard);
                let it = Bounds::of(&deployment, all);
                let fits = 1 <= it.min && it.min <= it.initial && it.initial <= it.max;
                assert!(fits && it.max <= hard.max(1), "{it:?}");
            }
        }
    }
}

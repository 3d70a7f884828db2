use std::fmt;

use crate::{Candidates, Strategy, Track};

/// A closure that asks the balancer to measure something.
///
/// A closure alone is a [`Strategy`] too; it sees what is in flight, what was used in the current
/// minute, and who fails.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_core::LlmRequest;
/// use ziggurat_load_balance::{Candidates, Custom, Track};
///
/// let decay = Duration::from_secs(10);
/// let quickest = Custom::new(
///     Track::default().peak_ewma(decay, Duration::from_secs(5)),
///     move |_: &LlmRequest, candidates: &Candidates<'_>| {
///         candidates.least(|candidate| (candidate.peak_ewma(decay) * 1e6) as u64)
///     },
/// );
/// # let _ = quickest;
/// ```
#[derive(Clone, Copy)]
pub struct Custom<F> {
    track: Track,
    pick: F,
}

impl<F> Custom<F> {
    /// Measures what `track` says, and picks with `pick`.
    #[must_use]
    pub fn new(track: Track, pick: F) -> Self {
        Self { track, pick }
    }
}

impl<R, F> Strategy<R> for Custom<F>
where
    F: Fn(&R, &Candidates<'_>) -> Option<usize> + Send + Sync + 'static,
{
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize> {
        (self.pick)(request, candidates)
    }

    fn track(&self, _: &str) -> Track {
        self.track
    }
}

impl<F> fmt::Debug for Custom<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom")
            .field("track", &self.track)
            .finish_non_exhaustive()
    }
}

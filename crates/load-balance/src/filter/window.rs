//! The filter by the size of context windows.

use std::{cell::OnceCell, fmt, sync::Arc};

use ziggurat_core::LlmRequest;

use super::{Filter, Members};

pub(crate) const CONTEXT_WINDOW: &str = "context window";

/// The input tokens of a request, counted exactly by somebody above: put it into the request's
/// [extensions](LlmRequest::extensions_mut), and [`ContextWindowFilter`] goes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExactInputTokens(pub u64);

/// Counts the input tokens of a request exactly, if it can. See [`ContextWindowFilter::counter`].
pub type TokenCounter = Arc<dyn Fn(&LlmRequest) -> Option<u64> + Send + Sync>;

/// Leaves out the deployments whose context window the request does not fit into.
///
/// The size of a request is [estimated](LlmRequest::estimated_input_tokens), unless somebody above
/// has counted it: [`ExactInputTokens`]. A deployment of unknown window serves. A request that names
/// its deployment by id is left alone.
///
/// Where nothing else keeps a request from a deployment, the error is of
/// [`ErrorKind::ContextWindow`](ziggurat_core::ErrorKind::ContextWindow) and not a refusal, so that
/// the fallbacks for long requests apply.
#[derive(Clone, Default)]
pub struct ContextWindowFilter {
    counter: Option<TokenCounter>,
}

impl ContextWindowFilter {
    /// By the estimate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts exactly where the estimate is within 3/4 and 3/2 of a window, so that it may err.
    ///
    /// It is called at most once for a search, on the task that polls the request: it must be quick.
    /// Where counting takes more than some microseconds, count above the balancer, off the runtime's
    /// threads, and attach [`ExactInputTokens`] instead.
    #[must_use]
    pub fn counter(
        mut self,
        count: impl Fn(&LlmRequest) -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        self.counter = Some(Arc::new(count));
        self
    }
}

impl Filter<LlmRequest> for ContextWindowFilter {
    fn filter(&self, request: &LlmRequest, members: &mut Members<'_>) {
        if members.is_by_id() {
            return;
        }
        let size = Size::new(request, self.counter.as_ref());
        members.retain_traits(
            CONTEXT_WINDOW,
            |member| {
                member
                    .max_input_tokens
                    .is_none_or(|window| size.fits(window))
            },
            |member| {
                let window = member.max_input_tokens.unwrap_or_default();
                format!("{} tokens asked, {window} fit", size.of(window))
            },
        );
    }
}

/// How large a request is; counted where that matters, and once.
struct Size<'a> {
    request: &'a LlmRequest,
    estimate: u64,
    exact: OnceCell<Option<u64>>,
    counter: Option<&'a TokenCounter>,
}

impl<'a> Size<'a> {
    fn new(request: &'a LlmRequest, counter: Option<&'a TokenCounter>) -> Self {
        let attached = request.extensions().get::<ExactInputTokens>();
        Self {
            request,
            estimate: request.estimated_input_tokens(),
            exact: attached.map_or_else(OnceCell::new, |exact| OnceCell::from(Some(exact.0))),
            counter,
        }
    }

    /// The size, as exact as it must be to compare it with a window.
    fn of(&self, window: u64) -> u64 {
        let near = self.estimate.saturating_mul(4) >= window.saturating_mul(3)
            && self.estimate.saturating_mul(2) <= window.saturating_mul(3);
        if near {
            let count = || self.counter.and_then(|count| count(self.request));
            self.exact.get_or_init(count);
        }
        self.exact.get().copied().flatten().unwrap_or(self.estimate)
    }

    fn fits(&self, window: u64) -> bool {
        self.of(window) <= window
    }
}

impl fmt::Debug for ContextWindowFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextWindowFilter")
            .field("counts", &self.counter.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use ziggurat_core::Deployment;

    use super::*;
    use crate::filter::members::left;

    /// A request that is estimated at that many tokens.
    fn request(tokens: usize) -> LlmRequest {
        let empty = LlmRequest::chat("g", "").estimated_input_tokens() as usize;
        let request = LlmRequest::chat("g", &"x".repeat((tokens - empty) * 4));
        assert_eq!(request.estimated_input_tokens() as usize, tokens);
        request
    }

    fn members(windows: &[u64]) -> Vec<Deployment> {
        let member = |window: &u64| {
            let member = Deployment::new(window.to_string().as_str(), "g", "m");
            match window {
                0 => member,
                window => member.with_max_input_tokens(*window),
            }
        };
        windows.iter().map(member).collect()
    }

    #[test]
    fn who_is_too_small_does_not_serve() {
        for (tokens, expected) in [
            (1_000, &["1000", "4000", "0"][..]),
            (1_001, &["4000", "0"]),
            (9_000, &["0"]),
        ] {
            let filter = ContextWindowFilter::new();
            let (left, refused) = left(&filter, &request(tokens), members(&[1_000, 4_000, 0]));
            assert_eq!(left, expected, "{tokens}");
            if tokens == 1_001 {
                let why = "1000 (context window: 1001 tokens asked, 1000 fit)";
                assert_eq!(refused, [why]);
            }
        }
    }

    #[test]
    fn only_near_a_window_is_a_request_counted_and_only_once() {
        for (tokens, exact, windows, counts, expected) in [
            (100, Some(1), &[1_000][..], 0, &["1000"][..]),
            (1_501, Some(1), &[1_000], 0, &[]),
            (750, Some(1_001), &[1_000], 1, &[]),
            (1_500, Some(1_000), &[1_000], 1, &["1000"]),
            (
                1_100,
                Some(990),
                &[1_000, 1_001, 2_000],
                1,
                &["1000", "1001", "2000"],
            ),
            (1_100, None, &[1_000, 1_100], 1, &["1100"]),
        ] {
            let counted = Arc::new(AtomicU32::new(0));
            let filter = ContextWindowFilter::new().counter({
                let counted = Arc::clone(&counted);
                move |_| {
                    counted.fetch_add(1, Relaxed);
                    exact
                }
            });
            let (left, _) = left(&filter, &request(tokens), members(windows));
            assert_eq!(
                (&left[..], counted.load(Relaxed)),
                (
                    &expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..],
                    counts
                ),
                "{tokens}"
            );
        }
    }

    #[test]
    fn what_somebody_counted_above_is_taken_as_it_is() {
        let mut request = request(1_000);
        request.extensions_mut().insert(ExactInputTokens(3_000));
        let filter = ContextWindowFilter::new().counter(|_| panic!("it was counted before"));
        let (left, _) = left(&filter, &request, members(&[1_000, 3_000]));
        assert_eq!(left, ["3000"]);
    }
}

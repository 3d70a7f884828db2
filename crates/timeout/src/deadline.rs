//! What a request says about its deadline.

use std::time::Duration;

use ziggurat_core::{Extract, LlmRequest};

/// The extractor that leaves every request the layer's default deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoDeadline;

impl<R> Extract<Option<Duration>, R> for NoDeadline {
    fn extract(&self, _: &R) -> Option<Duration> {
        None
    }
}

/// The extractor that lets an [`LlmRequest`] shorten its deadline by
/// [`Controls::deadline`](ziggurat_core::Controls::deadline), and not lengthen it.
///
/// A time of zero counts as not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDeadline {
    longest: Option<Duration>,
}

impl RequestDeadline {
    /// What the request asks for, but no longer than this; with `None`, whatever it asks for.
    #[must_use]
    pub fn new(longest: impl Into<Option<Duration>>) -> Self {
        Self {
            longest: longest.into(),
        }
    }
}

impl Extract<Option<Duration>, LlmRequest> for RequestDeadline {
    fn extract(&self, request: &LlmRequest) -> Option<Duration> {
        let asked = request.controls().deadline.filter(|time| !time.is_zero());
        asked.into_iter().chain(self.longest).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_shorten_its_deadline_and_not_lengthen_it() {
        for (longest, asked, expected) in [
            (Some(10), None, Some(10)),
            (Some(10), Some(4), Some(4)),
            (Some(10), Some(60), Some(10)),
            (Some(10), Some(0), Some(10)),
            (None, Some(60), Some(60)),
            (None, None, None),
        ] {
            let mut request = LlmRequest::chat("gpt", "hi");
            request.controls_mut().deadline = asked.map(Duration::from_secs);
            let deadline = RequestDeadline::new(longest.map(Duration::from_secs));
            let seen = deadline.extract(&request);
            assert_eq!(seen, expected.map(Duration::from_secs));
        }
    }
}

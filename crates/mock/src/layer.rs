use tower_layer::Layer;
use ziggurat_core::FromParam;

use crate::{MockAnswer, MockFailure, failures::Position};

/// Plays failures of the requested group. *Pass-through*, above the balancer.
///
/// A request without a [`Ledger`](ziggurat_core::Ledger) passes: nobody counts its tries. See the
/// [crate docs](crate) for an example and the two places.
#[derive(Clone, Debug)]
pub struct MockFailureLayer<X = FromParam> {
    position: Position,
    extract: X,
}

impl MockFailureLayer {
    /// A layer between fallback and retry: the requested group fails as it is asked to, whenever it
    /// is asked; groups that the request falls back to are served.
    ///
    /// It fails with [`Internal`](ziggurat_core::ErrorKind::Internal) for `mock_testing_fallbacks`,
    /// [`ContextWindow`](ziggurat_core::ErrorKind::ContextWindow) for
    /// `mock_testing_context_fallbacks`,
    /// [`ContentPolicy`](ziggurat_core::ErrorKind::ContentPolicy) for
    /// `mock_testing_content_policy_fallbacks`.
    #[must_use]
    pub const fn group() -> Self {
        Self {
            position: Position::Group,
            extract: FromParam,
        }
    }

    /// A layer between retry and the balancer: the first try in the requested group fails with
    /// [`RateLimited`](ziggurat_core::ErrorKind::RateLimited) for `mock_testing_rate_limit_error`;
    /// every other try is served.
    #[must_use]
    pub const fn attempt() -> Self {
        Self {
            position: Position::Attempt,
            extract: FromParam,
        }
    }
}

impl<X> MockFailureLayer<X> {
    /// Sets how a request is asked for its failures: an
    /// [`Extract<Failures, Request>`](ziggurat_core::Extract), such as a closure. It is asked once
    /// for each call.
    #[must_use]
    pub fn failures_by<Y>(self, extract: Y) -> MockFailureLayer<Y> {
        MockFailureLayer {
            position: self.position,
            extract,
        }
    }
}

impl<S, X: Clone> Layer<S> for MockFailureLayer<X> {
    type Service = MockFailure<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        MockFailure::new(inner, self.position, self.extract.clone())
    }
}

/// Plays the answers of deployments. *Pass-through*, below the balancer, right above the leaf.
///
/// A request with `mock_response`, or to a deployment with
/// [one](ziggurat_core::Deployment::mock_response), is answered with that text and not sent: whole
/// or as a stream of words for chats and completions, with the text ignored and a small vector for
/// each input for embeddings. Any other operation fails with
/// [`Unprocessable`](ziggurat_core::ErrorKind::Unprocessable). The tokens are
/// [estimated](ziggurat_core::Usage::estimated), one for four bytes.
///
/// Texts that name an error are that failure: `litellm.RateLimitError`,
/// `litellm.InternalServerError`, `litellm.ContextWindowExceededError`,
/// `litellm.ContentPolicyViolationError`, `litellm.Timeout`, and `Exception: …`.
///
/// A request with `mock_timeout` gets no answer at all. It is pending until a clock of the layers
/// above runs out, or the client goes; without a clock, for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct MockAnswerLayer(());

impl MockAnswerLayer {
    /// The layer; there is nothing to set.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for MockAnswerLayer {
    type Service = MockAnswer<S>;

    fn layer(&self, inner: S) -> Self::Service {
        MockAnswer::new(inner)
    }
}

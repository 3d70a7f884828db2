//! The layers.

use std::{sync::Arc, time::Duration};

use tower_layer::Layer;
use ziggurat_core::Timeouts;

use crate::{Deadline, NoDeadline, RequestClocks, RequestDeadline, Timeout, learned::Learned};

/// Gives a request a deadline for everything beneath: attempts, pauses, waits in queues.
///
/// *Pass-through.* It brings the deadline of the request's [`Ledger`] forward, so that nothing
/// beneath starts or waits for what would pass it, and fails with
/// [`Clock::Total`](ziggurat_core::Clock::Total) what is still pending then. A request without a
/// ledger is held to the layer's own time alone.
///
/// A stream is not cut by the deadline once its first item has come, unless
/// [`streams`](Self::streams) says so.
///
/// See the [crate's docs](crate) for an example.
///
/// [`Ledger`]: ziggurat_core::Ledger
#[derive(Clone, Copy, Debug)]
pub struct DeadlineLayer<X = NoDeadline> {
    default: Option<Duration>,
    extract: X,
    streams: bool,
}

impl DeadlineLayer {
    /// A deadline that long after the request arrives; with `None`, that of the request's ledger
    /// if it has one.
    #[must_use]
    pub fn new(default: impl Into<Option<Duration>>) -> Self {
        Self {
            default: default.into(),
            extract: NoDeadline,
            streams: false,
        }
    }

    /// Lets each [`LlmRequest`](ziggurat_core::LlmRequest) shorten its deadline by
    /// [`Controls::deadline`](ziggurat_core::Controls::deadline). It cannot lengthen it.
    #[must_use]
    pub fn by_request(self) -> DeadlineLayer<RequestDeadline> {
        let extract = RequestDeadline::new(self.default);
        self.per_request(extract)
    }
}

impl<X> DeadlineLayer<X> {
    /// Asks each request for a time of its own, which may be longer or shorter than the default.
    ///
    /// The extractor is an [`Extract<Option<Duration>, R>`](ziggurat_core::Extract), such as a closure; `None`
    /// leaves the default.
    #[must_use]
    pub fn per_request<Y>(self, extract: Y) -> DeadlineLayer<Y> {
        DeadlineLayer {
            default: self.default,
            extract,
            streams: self.streams,
        }
    }

    /// Sets whether the deadline ends streams too, in the middle. Off by default: a stream that
    /// flows for half an hour is healthy.
    #[must_use]
    pub const fn streams(mut self, streams: bool) -> Self {
        self.streams = streams;
        self
    }
}

impl<S, X: Clone> Layer<S> for DeadlineLayer<X> {
    type Service = Deadline<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline::new(inner, self.default, self.extract.clone(), self.streams)
    }
}

/// Holds each attempt to its clocks.
///
/// *Pass-through*, below the balancer. An answer that is not streamed has to be complete in time, a
/// streamed one has to begin in time, or the attempt fails with
/// [`Clock::Attempt`](ziggurat_core::Clock::Attempt) or
/// [`Clock::FirstToken`](ziggurat_core::Clock::FirstToken) and the deployment's id. A stream that
/// falls silent ends with [`Clock::Idle`](ziggurat_core::Clock::Idle). At the deadline of the
/// request's ledger the attempt fails with [`Clock::Total`](ziggurat_core::Clock::Total), which
/// speaks against no deployment; while somebody else could still answer, it has half of the time
/// until then.
///
/// How long first tokens take is learned for each deployment, by all services that a layer and its
/// clones make together. See [`RequestClocks`] for the rules, and the [crate's docs](crate) for an
/// example.
#[derive(Clone, Debug)]
pub struct TimeoutLayer<X = RequestClocks> {
    extract: X,
    learned: Arc<Learned>,
}

impl TimeoutLayer {
    /// Clocks for [`Routed<LlmRequest>`](ziggurat_core::Routed): what the request and its
    /// deployment set, else these. See [`RequestClocks`].
    #[must_use]
    pub fn new(defaults: Timeouts) -> Self {
        Self::with_extractor(RequestClocks::new(defaults))
    }
}

impl<X> TimeoutLayer<X> {
    /// Clocks that an [`Extract<AttemptClocks, R>`](ziggurat_core::Extract), such as a closure or
    /// [`RequestClocks`] with more settings, reads from each request.
    #[must_use]
    pub fn with_extractor(extract: X) -> Self {
        Self {
            extract,
            learned: Arc::new(Learned::new()),
        }
    }

    /// A layer with other clocks that goes on with what this one has learned: for a reload.
    #[must_use]
    pub fn with_clocks<Y>(&self, extract: Y) -> TimeoutLayer<Y> {
        TimeoutLayer {
            extract,
            learned: Arc::clone(&self.learned),
        }
    }
}

impl<S, X: Clone> Layer<S> for TimeoutLayer<X> {
    type Service = Timeout<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout::new(inner, self.extract.clone(), Arc::clone(&self.learned))
    }
}

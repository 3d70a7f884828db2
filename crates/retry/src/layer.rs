use std::{sync::Arc, time::Duration};

use tower::retry::budget::Budget;
use tower_layer::Layer;
use ziggurat_core::FromParam;

use crate::{Retries, Retry, policy::Policy};

/// Tries a request again when it failed: on another deployment, or on the same one after a pause.
/// *Deferring.*
///
/// All services that a layer and its clones make share one budget. See the [crate docs](crate) for
/// an example and the rules.
#[derive(Clone, Debug)]
pub struct RetryLayer<X = FromParam> {
    policy: Policy,
    extract: X,
}

impl RetryLayer {
    /// A layer that tries two times more, with pauses of up to half a second, one second and so on
    /// to eight, within the default [`RetryBudget`](crate::RetryBudget).
    #[must_use]
    pub fn new() -> Self {
        Self {
            policy: Policy::new(),
            extract: FromParam,
        }
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<X> RetryLayer<X> {
    /// Sets how often a request is tried again if it says nothing itself: a number, or
    /// [one for each kind](Retries::of_kind) of failure.
    #[must_use]
    pub fn num_retries(mut self, retries: impl Into<Retries>) -> Self {
        self.policy.retries = retries.into();
        self
    }

    /// Sets the pause before a deployment is asked again: a random time of at most `base` for the
    /// first retry, of at most twice that for the second and so on, never more than `cap`.
    #[must_use]
    pub fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.policy.base = base;
        self.policy.cap = cap;
        self
    }

    /// Sets the least pause before a deployment is asked again. The default is none.
    #[must_use]
    pub fn retry_after(mut self, least: Duration) -> Self {
        self.policy.floor = least;
        self
    }

    /// Sets the longest wait, a minute by default: for what a provider asks for with `Retry-After`,
    /// and for all the times together that a request waits for resting deployments. What takes
    /// longer fails at once.
    #[must_use]
    pub fn max_wait(mut self, longest: Duration) -> Self {
        self.policy.max_wait = longest;
        self
    }

    /// Sets the budget, to share it with other layers. A request that was dispatched deposits once,
    /// every retry withdraws once; a refusal does neither.
    #[must_use]
    pub fn budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.policy.budget = budget;
        self
    }

    /// Sets how a request is asked for its own number: an
    /// [`Extract<Retries, Request>`](ziggurat_core::Extract), such as a closure. It is asked at
    /// each failure.
    #[must_use]
    pub fn retries_by<Y>(self, extract: Y) -> RetryLayer<Y> {
        RetryLayer {
            policy: self.policy,
            extract,
        }
    }
}

impl<S, X: Clone> Layer<S> for RetryLayer<X> {
    type Service = Retry<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, Arc::new(self.policy.clone()), self.extract.clone())
    }
}

use std::{sync::Arc, time::Duration};

use tower::retry::budget::Budget;
use tower_layer::Layer;
use ziggurat_core::FromParam;

use crate::{Retry, RetryPolicy, settings::Settings};

/// Tries a request again when it failed: on another deployment, or on the same one after a pause.
/// *Deferring.*
///
/// All services that a layer and its clones make share one budget. See the [crate docs](crate) for
/// an example and the rules.
#[derive(Clone, Debug)]
pub struct RetryLayer<X = FromParam> {
    settings: Settings,
    extract: X,
}

impl RetryLayer {
    /// A layer that tries two times more, with pauses of up to half a second, one second and so on
    /// to eight, within the default [`RetryBudget`](crate::RetryBudget).
    #[must_use]
    pub fn new() -> Self {
        Self {
            settings: Settings::new(),
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
    /// Sets how often a failure is tried again where neither a request nor a policy nor a deployment
    /// says a number. The default is 2.
    #[must_use]
    pub fn num_retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// Sets how often failures of each kind are tried again. By default there is no policy.
    #[must_use]
    pub fn policy(mut self, policy: RetryPolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets the same for one group. There it replaces the [`policy`](Self::policy) of the layer as a
    /// whole, also for kinds it says nothing of.
    #[must_use]
    pub fn group_policy(mut self, group: impl Into<Arc<str>>, policy: RetryPolicy) -> Self {
        self.settings.groups.insert(group.into(), policy);
        self
    }

    /// Sets whether a request whose retries are used up goes on to the deployments of its group that
    /// are still untried, one after the other, while it has attempts left. The default is that it
    /// does in groups with tiers only.
    #[must_use]
    pub fn failover(mut self, failover: bool) -> Self {
        self.settings.failover = failover;
        self
    }

    /// Sets the pause before a deployment is asked again: a random time of at most `base` for the
    /// first retry, of at most twice that for the second and so on, never more than `cap`.
    #[must_use]
    pub fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.settings.base = base;
        self.settings.cap = cap;
        self
    }

    /// Sets the least pause before a deployment is asked again. The default is none.
    #[must_use]
    pub fn retry_after(mut self, least: Duration) -> Self {
        self.settings.floor = least;
        self
    }

    /// Sets the longest wait, a minute by default: for what a provider asks for with `Retry-After`,
    /// and for all the times together that a request waits for resting deployments. What takes
    /// longer fails at once.
    #[must_use]
    pub fn max_wait(mut self, longest: Duration) -> Self {
        self.settings.max_wait = longest;
        self
    }

    /// Sets the longest `Retry-After` that is waited for although another group could answer, three
    /// seconds by default; once in a request. With zero the other group is asked at once.
    #[must_use]
    pub fn wait_before_fallback(mut self, longest: Duration) -> Self {
        self.settings.wait_before_fallback = longest;
        self
    }

    /// Sets the budget, to share it with other layers. A request that was dispatched deposits once,
    /// every retry withdraws once, but for one after the pause that a 429 asked for. A refusal does
    /// neither.
    #[must_use]
    pub fn budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.settings.budget = budget;
        self
    }

    /// Sets how a request is asked for its own number and its group: an
    /// [`Extract<Retries, Request>`](ziggurat_core::Extract) of [`Retries`](crate::Retries), such as
    /// a closure. It is asked at each failure.
    #[must_use]
    pub fn retries_by<Y>(self, extract: Y) -> RetryLayer<Y> {
        RetryLayer {
            settings: self.settings,
            extract,
        }
    }
}

impl<S, X: Clone> Layer<S> for RetryLayer<X> {
    type Service = Retry<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, Arc::new(self.settings.clone()), self.extract.clone())
    }
}

//! What is left of limits.

use tokio::time::Instant;
use ziggurat_core::{Caller, LlmRequest};
use ziggurat_rate_limit::{
    Charges, Left, Limit, LimitKey, LimitSink, Limiter as _, Measure, Window,
};

use super::Limiter;
use crate::Router;

/// What is left of one limit of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitLeft {
    /// Whose it is.
    pub key: LimitKey,
    /// What is left.
    pub left: Left,
}

/// Limits.
impl Router {
    /// What a caller has left of its limits, as far as this process knows: those of its key, its
    /// team, its user, in all and for each model, its tags, and of all requests together.
    ///
    /// ```no_run
    /// # fn run(router: &ziggurat::Router) {
    /// use ziggurat::Caller;
    ///
    /// for one in router.limits_of(&Caller::new().with_key("batch")) {
    ///     println!("{}: {} left of {}", one.key, one.left.remaining(), one.left.limit);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn limits_of(&self, caller: &Caller) -> Vec<LimitLeft> {
        self.left(&self.built().callers.of_caller(caller))
    }

    /// What is left of the limits that a request is charged to before a deployment is chosen: those of
    /// its caller, in all and for the model that it asks for, of its tags and its address.
    #[must_use]
    pub fn limits_of_request(&self, request: &LlmRequest) -> Vec<LimitLeft> {
        let built = self.built();
        if built.callers.has_none_for(request) {
            return Vec::new();
        }
        let mut left = self.left(&built.callers.of_request(request));
        if let Some(groups) = &built.groups {
            let snapshot = self.deployments().load();
            left.extend(self.left(&groups.of_caller(request, &snapshot)));
        }
        left
    }

    /// Whether limits are those of several instances together: then what is left is told as this one
    /// heard it last. One that has not served somebody knows nothing of what it has used.
    #[must_use]
    pub fn shares_limits(&self) -> bool {
        matches!(self.state().limiter, Limiter::Together(..))
    }

    /// What a model group has left of the limits that are set for it as a whole; none for a name that
    /// leads nowhere. What its deployments have left together tells [`group_usage`](Self::group_usage).
    #[must_use]
    pub fn limits_of_group(&self, name: &str) -> Vec<LimitLeft> {
        let snapshot = self.deployments().load();
        let built = self.built();
        match (snapshot.resolve(name), &built.groups) {
            (Some(group), Some(groups)) => self.left(&groups.on(group)),
            _ => Vec::new(),
        }
    }

    /// What a deployment has left of its limits, of those of its provider, and of the quotas it draws
    /// on; none for one that is not there.
    #[must_use]
    pub fn limits_of_deployment(&self, id: &ziggurat_core::DeploymentId) -> Vec<LimitLeft> {
        let snapshot = self.deployments().load();
        match snapshot.get(id) {
            Some(deployment) => self.left(&self.built().attempts.on(deployment)),
            None => Vec::new(),
        }
    }

    /// Whether requests are limited by the [address](crate::ClientAddress) that they come from.
    #[must_use]
    pub fn limits_addresses(&self) -> bool {
        self.built().callers.limits_addresses()
    }

    fn left(&self, charges: &Charges) -> Vec<LimitLeft> {
        let (limiter, now) = (&self.state().limiter, Instant::now());
        let mut all = Vec::new();
        for charge in charges.iter() {
            let left = limiter.left(charge, now).into_iter();
            all.extend(left.map(|left| LimitLeft {
                key: charge.key().clone(),
                left,
            }));
        }
        all
    }

    /// Tells a sink of limits that are nearly used up, and of those that are; from now on, whatever
    /// settings change.
    pub fn on_limit(&self, sink: impl LimitSink + 'static) {
        self.state().limit_sinks.add(sink);
    }

    /// Forgets what has been used of some limits, budgets included. What is in flight stays counted.
    ///
    /// Over Redis it is forgotten for all instances, of the keys that this one knows: that it has had
    /// requests of since it started. That takes effect when Redis has heard of it, within some
    /// milliseconds; while it is gone, when it is back. What the other instances used and have not told,
    /// of the last 0.1 s, counts.
    ///
    /// `forgets` runs under a lock: it must not ask the router what is left.
    pub fn reset_limits(&self, forgets: impl FnMut(&LimitKey, &Limit) -> bool) {
        self.state().limiter.clear(forgets);
    }

    /// Forgets what has been spent of budgets; over Redis for all instances, as
    /// [`reset_limits`](Self::reset_limits) does.
    pub fn reset_budgets(&self) {
        self.reset_limits(|_, limit| limit.measure() == Measure::Money);
    }

    /// Forgets what has been used of rates.
    pub(crate) fn reset_rates(&self) {
        self.reset_limits(|_, limit| !matches!(limit.window(), Window::Fixed(_)));
    }
}

//! What a request says of its own retries.

use std::sync::Arc;

use ziggurat_core::{Deployment, ErrorKind, HasLedger, LlmRequest, ModelGroup, Param, Routed};

use crate::RetryPolicy;

/// What the layer asks of each request that fails: its own count, its group, and where it was.
///
/// An [`LlmRequest`] answers with its `num_retries`, its group, and the deployment that failed last.
/// Below the balancer, a [`Routed`] one says in addition that every retry goes to the
/// [same deployment](Self::on). Which count holds, the [crate docs](crate) say.
///
/// ```
/// use ziggurat_core::ModelGroup;
/// use ziggurat_retry::{Retries, RetryLayer, RetryPolicy};
///
/// let layer = RetryLayer::new()
///     .group_policy("slow", RetryPolicy::new().otherwise(0))
///     .retries_by(|path: &&'static str| {
///         let group = if path.starts_with("/batch") { "slow" } else { "fast" };
///         Retries::default().in_group(ModelGroup::new(group))
///     });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Retries {
    own: RetryPolicy,
    group: Option<ModelGroup>,
    failed: Option<Arc<Deployment>>,
    is_bound: bool,
    stays: bool,
}

impl Retries {
    /// That many tries after the first one, whatever the layer says. The default says nothing.
    ///
    /// 0 means that nothing is tried again for any reason: not past a dead key, and not in the next
    /// tier of the group.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self {
            own: RetryPolicy::new().otherwise(count),
            ..Self::default()
        }
    }

    /// Another number for failures of one kind; see [`RetryPolicy::of_kind`].
    #[must_use]
    pub fn of_kind(mut self, kind: ErrorKind, count: u32) -> Self {
        self.own = self.own.of_kind(kind, count);
        self
    }

    /// Says which group the request is for: one with a policy of its own, perhaps.
    #[must_use]
    pub fn in_group(mut self, group: ModelGroup) -> Self {
        self.group = Some(group);
        self
    }

    /// Says which deployment failed last. Its `num_retries` holds where nobody of higher rank says
    /// a number, and its group is looked up where the request's name has no policy: the name may be
    /// an alias, or a model of a wildcard.
    #[must_use]
    pub fn failed_on(mut self, deployment: Arc<Deployment>) -> Self {
        self.failed = Some(deployment);
        self
    }

    /// Says that the request has been routed and every retry goes to that deployment again.
    ///
    /// So another deployment is no reason to omit the pause, and a refusal is the balancer's
    /// business. Each retry is charged to the request's ledger, as the balancer charges its own.
    #[must_use]
    pub fn on(mut self, deployment: Arc<Deployment>) -> Self {
        self.failed = Some(deployment);
        self.is_bound = true;
        self
    }

    /// Says that the retries are all there is: where they are used up, the request does not go on
    /// to what is [left of its group](crate::RetryLayer::failover).
    #[must_use]
    pub fn without_failover(mut self) -> Self {
        self.stays = true;
        self
    }

    pub(crate) fn own(&self) -> &RetryPolicy {
        &self.own
    }

    /// The names by which the group may have a policy, in order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        let named = self.group.as_ref().map(ModelGroup::as_str);
        named
            .into_iter()
            .chain(self.failed().map(Deployment::group))
    }

    pub(crate) fn failed(&self) -> Option<&Deployment> {
        self.failed.as_deref()
    }

    /// Where every retry goes, if the request is bound to it.
    pub(crate) fn bound(&self) -> Option<&Arc<Deployment>> {
        self.failed.as_ref().filter(|_| self.is_bound)
    }

    pub(crate) fn fails_over(&self) -> bool {
        !self.stays
    }
}

impl Param<Retries> for LlmRequest {
    fn param(&self) -> Retries {
        let controls = self.controls();
        let last = |ledger: &ziggurat_core::Ledger| {
            ledger.with_trail(|trail| Some(Arc::clone(trail.entries().last()?.deployment())))
        };
        Retries {
            group: Some(self.group().clone()),
            failed: self.ledger().and_then(last),
            // The tiers of a group are fallbacks for whoever sends that.
            stays: controls.disable_fallbacks,
            ..controls.num_retries.map(Retries::new).unwrap_or_default()
        }
    }
}

impl<R: Param<Retries>> Param<Retries> for Routed<R> {
    fn param(&self) -> Retries {
        self.request().param().on(Arc::clone(self.deployment()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Count;

    fn asked(request: &LlmRequest) -> Retries {
        request.param()
    }

    #[test]
    fn a_request_says_its_number_its_group_and_where_it_failed_last() {
        let mut request = LlmRequest::chat("gpt", "hi");
        assert_eq!(asked(&request).own(), &RetryPolicy::new());
        assert_eq!(asked(&request).groups().collect::<Vec<_>>(), ["gpt"]);
        let ledger = request.ledger().expect("has one").clone();
        for id in ["a", "b"] {
            let deployment = Arc::new(Deployment::new(id, "real", "m"));
            let _attempt = ledger.attempt(&deployment).expect("is allowed");
        }
        request.controls_mut().num_retries = Some(0);
        let asked = asked(&request);
        assert_eq!(asked.groups().collect::<Vec<_>>(), ["gpt", "real"]);
        assert_eq!(asked.failed().map(|it| it.id().as_str()), Some("b"));
        assert_eq!(
            asked.own().find(ErrorKind::Internal),
            Some(Count::of_any(0))
        );
        assert!(asked.bound().is_none());
    }

    #[test]
    fn who_wants_no_fallback_wants_no_further_tier() {
        let mut request = LlmRequest::chat("gpt", "hi");
        assert!(asked(&request).fails_over());
        request.controls_mut().disable_fallbacks = true;
        assert!(!asked(&request).fails_over());
    }

    #[test]
    fn below_the_balancer_a_retry_is_bound_to_its_deployment() {
        let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
        let routed = Routed::new(LlmRequest::chat("gpt", "hi"), Arc::clone(&deployment));
        let retries: Retries = routed.param();
        let bound = retries.bound().expect("is bound");
        assert!(Arc::ptr_eq(bound, &deployment));
    }
}

//! How often a request may be tried again.

use std::sync::Arc;

use ziggurat_core::{Deployment, ErrorKind, HasLedger, LlmRequest, Param, Routed};

/// How often a failed request may be tried again, and where.
///
/// The layer has such a value for all requests, and asks each request that fails for one of its
/// own; where that says nothing, the layer's counts. Above the balancer an [`LlmRequest`] answers
/// with its `num_retries`, or else with that of the deployment that failed last. Below it, a
/// [`Routed`] one says in addition that every retry goes to the [same deployment](Self::on).
///
/// ```
/// use ziggurat_core::ErrorKind;
/// use ziggurat_retry::{Retries, RetryLayer};
///
/// let policy = Retries::new(2).of_kind(ErrorKind::RateLimited, 5);
/// let layer = RetryLayer::new().num_retries(policy);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Retries {
    count: Option<u32>,
    kinds: Option<Arc<Vec<(ErrorKind, u32)>>>,
    deployment: Option<Arc<Deployment>>,
}

impl Retries {
    /// That many tries after the first one. The default says nothing.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self {
            count: Some(count),
            ..Self::default()
        }
    }

    /// Another number for failures of one kind.
    ///
    /// The number is compared with all retries of the request so far, whatever they were for. A
    /// kind that is never retried stays so.
    #[must_use]
    pub fn of_kind(mut self, kind: ErrorKind, count: u32) -> Self {
        let kinds = self.kinds.get_or_insert_default();
        Arc::make_mut(kinds).push((kind, count));
        self
    }

    /// Says that the request has been routed and every retry goes to that deployment again.
    ///
    /// So another deployment is no reason to omit the pause, and a refusal is the balancer's
    /// business. Each retry is charged to the request's ledger, as the balancer charges its own.
    #[must_use]
    pub fn on(mut self, deployment: Arc<Deployment>) -> Self {
        self.deployment = Some(deployment);
        self
    }

    /// The number for failures of that kind, if it says one.
    pub(crate) fn get(&self, kind: ErrorKind) -> Option<u32> {
        let kinds = self.kinds.iter().flat_map(|kinds| kinds.iter().rev());
        kinds
            .filter(|(of, _)| *of == kind)
            .map(|(_, count)| *count)
            .next()
            .or(self.count)
    }

    pub(crate) fn deployment(&self) -> Option<&Arc<Deployment>> {
        self.deployment.as_ref()
    }
}

impl From<u32> for Retries {
    fn from(count: u32) -> Self {
        Self::new(count)
    }
}

impl Param<Retries> for LlmRequest {
    fn param(&self) -> Retries {
        let of_last = |ledger: &ziggurat_core::Ledger| {
            ledger.with_trail(|trail| trail.entries().last()?.deployment().num_retries())
        };
        Retries {
            count: (self.controls().num_retries).or_else(|| self.ledger().and_then(of_last)),
            ..Retries::default()
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

    #[test]
    fn the_last_number_given_for_a_kind_counts_and_other_kinds_take_the_general_one() {
        let retries = Retries::new(2)
            .of_kind(ErrorKind::Internal, 0)
            .of_kind(ErrorKind::Internal, 7);
        assert_eq!(retries.get(ErrorKind::Internal), Some(7));
        assert_eq!(retries.get(ErrorKind::Connect), Some(2));
        assert_eq!(Retries::default().get(ErrorKind::Connect), None);
    }

    #[test]
    fn the_request_decides_before_the_deployment_that_failed() {
        let mut request = LlmRequest::chat("gpt", "hi");
        let count = |request: &LlmRequest| Param::<Retries>::param(request).count;
        assert_eq!(count(&request), None);
        let deployment = Arc::new(Deployment::new("a", "gpt", "m").with_num_retries(4));
        let ledger = request.ledger().expect("has one");
        let _attempt = ledger.attempt(&deployment).expect("is allowed");
        assert_eq!(count(&request), Some(4));
        request.controls_mut().num_retries = Some(0);
        assert_eq!(count(&request), Some(0));
    }

    #[test]
    fn below_the_balancer_a_retry_is_bound_to_its_deployment() {
        let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
        let routed = Routed::new(LlmRequest::chat("gpt", "hi"), Arc::clone(&deployment));
        let retries: Retries = routed.param();
        assert!(
            retries
                .deployment()
                .is_some_and(|on| Arc::ptr_eq(on, &deployment))
        );
    }
}

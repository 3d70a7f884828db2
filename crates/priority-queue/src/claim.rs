//! What a request brings to the queue.

use std::{num::NonZeroU32, sync::Arc};

use ziggurat_core::{Caller, Extract, HasLedger, Ledger, LlmRequest, Param, Priority, Routed};

/// What a request brings to the queue: its priority, whose it is, what it takes, and whether it was
/// here before.
///
/// An [`LlmRequest`] says it of itself: its `priority`, the key that asks, one unit, the size of its
/// body, and whether its ledger knows of attempts. [`claim_by`](crate::PriorityQueueLayer::claim_by) says it otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub(crate) priority: Priority,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) cost: usize,
    pub(crate) bytes: usize,
    pub(crate) again: bool,
}

impl Claim {
    /// One unit for nobody in particular, of no size, for the first time.
    #[must_use]
    pub const fn new(priority: Priority) -> Self {
        Self {
            priority,
            tenant: None,
            cost: 1,
            bytes: 0,
            again: false,
        }
    }

    /// The same with another priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Says whose request it is. Those of nobody are taken for one tenant's, of weight 1.
    #[must_use]
    pub fn with_tenant(mut self, tenant: Tenant) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Says how many units of the capacity it takes, such as tokens: at least one, at most
    /// [`max_cost`](crate::Rules::max_cost), and never more than the whole capacity.
    #[must_use]
    pub const fn with_cost(mut self, units: usize) -> Self {
        self.cost = units;
        self
    }

    /// Says how much memory it holds while it waits.
    #[must_use]
    pub const fn with_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Says whether it was let through once already, and what comes now is a try again or a fallback:
    /// it goes before the new ones of its class.
    #[must_use]
    pub const fn with_again(mut self, again: bool) -> Self {
        self.again = again;
        self
    }

    /// Its priority.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        self.priority
    }
}

/// Whose requests share a line of the queue, and what share of the capacity they get while others
/// wait too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub(crate) name: Arc<str>,
    pub(crate) weight: NonZeroU32,
}

impl Tenant {
    /// One of weight 1.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            weight: NonZeroU32::MIN,
        }
    }

    /// Sets its weight: one of weight 7 gets seven parts where one of weight 3 gets three. Where a
    /// tenant's requests disagree, the latest is believed.
    #[must_use]
    pub const fn with_weight(mut self, weight: NonZeroU32) -> Self {
        self.weight = weight;
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key of a caller, or else its team.
    fn of(caller: &Caller) -> Option<Self> {
        let name = caller.key.as_ref().or(caller.team.as_ref())?;
        Some(Self::new(Arc::clone(name)))
    }
}

impl Param<Claim> for LlmRequest {
    fn param(&self) -> Claim {
        Claim {
            priority: self.param(),
            tenant: self.caller().and_then(|caller| Tenant::of(caller)),
            cost: 1,
            bytes: self.body().len(),
            again: has_attempts(self, 1),
        }
    }
}

impl<R: Param<Claim> + HasLedger> Param<Claim> for Routed<R> {
    fn param(&self) -> Claim {
        // The attempt that asks is one of them.
        let again = has_attempts(self.request(), 2);
        self.request().param().with_again(again)
    }
}

fn has_attempts(request: &impl HasLedger, count: usize) -> bool {
    let has = |ledger: &Ledger| {
        let goes_on = ledger.retries() > 0 || ledger.fallbacks() > 0;
        goes_on && ledger.attempts() >= count
    };
    request.ledger().is_some_and(has)
}

/// Claims that differ in priority alone, which another extractor finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByPriority<X>(pub(crate) X);

impl<R, X: Extract<Priority, R>> Extract<Claim, R> for ByPriority<X> {
    fn extract(&self, request: &R) -> Claim {
        Claim::new(self.0.extract(request))
    }
}

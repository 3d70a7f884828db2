//! What a request brings to the queue.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc};

use ziggurat_config::{Plan, QueueCount, QueueTenant};
use ziggurat_core::{Extract, LlmRequest, Param as _, Priority, Routed};
use ziggurat_priority_queue::{Claim, Tenant};
use ziggurat_rate_limit::Cost;

/// What a request brings to the queue: by what it says, who asks, and the settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClaimOf(Arc<Claims>);

#[derive(Debug, Default)]
struct Claims {
    default_priority: i64,
    count: QueueCount,
    by: QueueTenant,
    keys: HashMap<Arc<str>, NonZeroU32>,
    teams: HashMap<Arc<str>, NonZeroU32>,
}

impl ClaimOf {
    pub(super) fn new(plan: &Plan) -> Self {
        let (callers, queue) = (&plan.callers, &plan.own.queue);
        let share = |name: &Arc<str>, share: Option<u32>| {
            Some((Arc::clone(name), NonZeroU32::new(share?)?))
        };
        let keys = callers.keys.iter();
        let teams = callers.teams.iter();
        Self(Arc::new(Claims {
            default_priority: plan.router.default_priority.unwrap_or_default(),
            count: queue.count,
            by: queue.tenant,
            keys: keys.filter_map(|it| share(&it.name, it.share)).collect(),
            teams: teams.filter_map(|it| share(&it.name, it.share)).collect(),
        }))
    }

    fn of(&self, claim: Claim, request: &LlmRequest) -> Claim {
        let claims = &*self.0;
        let priority: Option<Priority> = request.param();
        let claim = claim.with_priority(priority.unwrap_or(Priority(claims.default_priority)));
        let claim = match claims.count {
            QueueCount::Tokens => claim.with_cost(tokens(request)),
            _ => claim,
        };
        match self.tenant(request) {
            Some(tenant) => claim.with_tenant(tenant),
            None => claim,
        }
    }

    fn tenant(&self, request: &LlmRequest) -> Option<Tenant> {
        let claims = &*self.0;
        let caller = request.caller()?;
        let of_key = || {
            let key = caller.key.as_ref()?;
            Some((key, claims.keys.get(key)))
        };
        let of_team = || {
            let team = caller.team.as_ref()?;
            Some((team, claims.teams.get(team)))
        };
        let (name, share) = match claims.by {
            QueueTenant::Team => of_team().or_else(of_key),
            _ => {
                let team = || of_team().and_then(|(_, share)| share);
                let of_key = of_key().map(|(key, share)| (key, share.or_else(team)));
                of_key.or_else(of_team)
            }
        }?;
        let weight = share.copied().unwrap_or(NonZeroU32::MIN);
        Some(Tenant::new(Arc::clone(name)).with_weight(weight))
    }
}

/// How many tokens a request is expected to take.
fn tokens(request: &LlmRequest) -> usize {
    let cost = Cost::of(request);
    let tokens = cost
        .input()
        .saturating_add(cost.output().unwrap_or_default());
    usize::try_from(tokens).unwrap_or(usize::MAX)
}

impl Extract<Claim, LlmRequest> for ClaimOf {
    fn extract(&self, request: &LlmRequest) -> Claim {
        self.of(request.param(), request)
    }
}

impl Extract<Claim, Routed<LlmRequest>> for ClaimOf {
    fn extract(&self, request: &Routed<LlmRequest>) -> Claim {
        self.of(request.param(), request.request())
    }
}

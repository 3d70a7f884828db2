//! Who chooses among those that may be chosen.

mod by_group;
mod consistent_hash;
mod cost_based;
mod custom;
mod headroom;
mod latency_based;
mod least_busy;
mod p2c;
mod prequal;
mod price_list;
mod quotas;
mod ring;
mod round_robin;
mod simple_shuffle;
#[cfg(test)]
mod testing;
mod tokens;
mod usage_based;

use std::sync::Arc;

pub use self::{
    by_group::ByGroup,
    consistent_hash::{AffinityKey, ConsistentHash},
    cost_based::CostBased,
    custom::Custom,
    headroom::Headroom,
    latency_based::LatencyBased,
    least_busy::LeastBusy,
    p2c::P2c,
    prequal::Prequal,
    round_robin::RoundRobin,
    simple_shuffle::SimpleShuffle,
    tokens::{InputTokens, OutputTokens},
    usage_based::UsageBased,
};
pub(crate) use self::{
    price_list::{Expected, PriceList},
    quotas::Quotas,
    ring::Ring,
};
use crate::{Candidates, Track};

/// Chooses a deployment for a request.
///
/// It only chooses: which deployments may be chosen has been settled by filters, by `order`, by the
/// deployments tried for this request before, and by refusals that are remembered. A closure is a
/// strategy; so is this one, which takes the cheapest:
///
/// ```
/// use ziggurat_core::LlmRequest;
/// use ziggurat_load_balance::{Candidates, Strategy};
///
/// struct Cheapest;
///
/// impl Strategy<LlmRequest> for Cheapest {
///     fn pick(&self, _: &LlmRequest, candidates: &Candidates<'_>) -> Option<usize> {
///         candidates.least(|candidate| {
///             let price = candidate.deployment().prices().output;
///             price.map_or(u64::MAX - 1, |price| (price * 1e12) as u64)
///         })
///     }
/// }
/// ```
///
/// Whatever is drawn at random is drawn with [`fastrand`], so that `fastrand::seed` repeats it.
pub trait Strategy<R>: Send + Sync + 'static {
    /// Picks one of the candidates: the [`index`](crate::Candidate::index) of it.
    ///
    /// When the one picked refuses, this is called again with the rest. `None` declines them all;
    /// the balancer then goes on to those of the next `order`, and an index that is not a
    /// candidate's counts as `None`. It must not block, and should not allocate.
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize>;

    /// What the balancer is to measure for it of the members of a group: nothing, if not said
    /// otherwise. Asked for each attempt, so it should be at hand.
    fn track(&self, group: &str) -> Track {
        let _ = group;
        Track::default()
    }
}

impl<R, F> Strategy<R> for F
where
    F: Fn(&R, &Candidates<'_>) -> Option<usize> + Send + Sync + 'static,
{
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize> {
        self(request, candidates)
    }
}

impl<R: 'static> Strategy<R> for Arc<dyn Strategy<R>> {
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize> {
        (**self).pick(request, candidates)
    }

    fn track(&self, group: &str) -> Track {
        (**self).track(group)
    }
}

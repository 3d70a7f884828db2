//! Who chooses among those that may be chosen.

use std::sync::Arc;

use ziggurat_core::{LlmRequest, Param};

use crate::{Candidate, Candidates};

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
pub trait Strategy<R>: Send + Sync + 'static {
    /// Picks one of the candidates: the [`index`](Candidate::index) of it.
    ///
    /// When the one picked refuses, this is called again with the rest. `None` declines them all;
    /// the balancer then goes on to those of the next `order`, and an index that is not a
    /// candidate's counts as `None`. It must not block, and should not allocate.
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize>;
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
}

/// Picks at random, by weight: `simple-shuffle`.
///
/// The share of a deployment is its `weight`, if any deployment of its group and `order` has one
/// over zero; one that names none has the weight 1, and a weight of 0 serves only where no other is
/// left. Otherwise it is the requests a minute, otherwise the tokens a minute that it takes, and a
/// deployment without that limit has the mean of the others. Otherwise all are equal.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimpleShuffle;

impl<R> Strategy<R> for SimpleShuffle {
    fn pick(&self, _: &R, candidates: &Candidates<'_>) -> Option<usize> {
        candidates.weighted()
    }
}

/// Picks the deployment with the fewest attempts in flight, of several any: `least-busy`.
///
/// An attempt is in flight from the choice to the end of its answer, streams included, however it
/// ends. Weights do not matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastBusy;

impl<R> Strategy<R> for LeastBusy {
    fn pick(&self, _: &R, candidates: &Candidates<'_>) -> Option<usize> {
        candidates.least(|candidate| candidate.in_flight().into())
    }
}

/// The input tokens of a request, roughly: what [`UsageBased`] asks of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputTokens(pub u64);

impl Param<InputTokens> for LlmRequest {
    fn param(&self) -> InputTokens {
        InputTokens(self.estimated_input_tokens())
    }
}

/// Picks the deployment that has used the fewest tokens in the current minute, among those with
/// room for the request; of several any: `usage-based-routing-v2`.
///
/// There is room when neither one request more nor the input tokens more pass the deployment's `rpm`
/// and `tpm`. A deployment without room is picked only where none has some: refusing the request is
/// the business of a rate limit below the balancer, which also says when there will be room.
///
/// Tokens are counted when an answer ends, and requests as they are sent; one that a layer below
/// refuses does not count.
///
/// # Differences from LiteLLM
///
/// A deployment with `rpm: 3` serves three requests a minute, not two. Where no deployment has room,
/// the client is told by the layer that knows when there will be. Minutes begin with the balancer,
/// not with those of the clock. Each process counts what it has sent itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct UsageBased;

impl<R: Param<InputTokens>> Strategy<R> for UsageBased {
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize> {
        const FULL: u64 = 1 << 63;
        let InputTokens(input) = request.param();
        let full = |candidate: &Candidate<'_>| {
            let (rpm, tpm) = (candidate.deployment().rpm(), candidate.deployment().tpm());
            rpm.is_some_and(|rpm| candidate.requests_used() >= rpm)
                || tpm.is_some_and(|tpm| candidate.tokens_used().saturating_add(input) > tpm)
        };
        // Limits are looked at last: they lie apart, and who is full is mostly known to refuse.
        let index = candidates.least(Candidate::tokens_used)?;
        match candidates.get(index) {
            Some(candidate) if full(&candidate) => candidates.least(|candidate| {
                candidate.tokens_used() | if full(candidate) { FULL } else { 0 }
            }),
            _ => Some(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::time::Instant;
    use ziggurat_core::{Deployment, Snapshot};

    use super::*;
    use crate::{
        bits::Bits,
        pool::{Clock, Pool},
        usage::WINDOW,
    };

    struct Asks(u64);

    impl Param<InputTokens> for Asks {
        fn param(&self) -> InputTokens {
            InputTokens(self.0)
        }
    }

    /// A pool of members that take some requests and tokens a minute, and have used some.
    fn pool(members: &[(Option<u64>, Option<u64>, u64, u64)]) -> Pool {
        let snapshot = Snapshot::new(members.iter().enumerate().map(|(i, (rpm, tpm, ..))| {
            let mut member = Deployment::new(format!("d{i}").as_str(), "g", "m");
            if let Some(rpm) = rpm {
                member = member.with_rpm(*rpm);
            }
            if let Some(tpm) = tpm {
                member = member.with_tpm(*tpm);
            }
            member
        }));
        let group = snapshot.resolve("g").expect("the group has members");
        let pool = Pool::new(group, &HashMap::new(), Clock::new(Instant::now()));
        for (index, (_, _, requests, tokens)) in members.iter().enumerate() {
            let (block, at) = pool.place(index);
            block.requests[at].add(*requests, 0);
            block.tokens[at].add(*tokens, 0);
        }
        pool
    }

    fn pick_at(pool: &Pool, input: u64, now: u64) -> Option<usize> {
        let closed = Bits::default();
        let candidates = Candidates::new(pool, &pool.tiers()[0], &closed, now);
        UsageBased.pick(&Asks(input), &candidates)
    }

    #[test]
    fn the_fewest_tokens_used_win() {
        let pool = pool(&[
            (None, None, 0, 30),
            (None, None, 9, 10),
            (None, None, 0, 20),
        ]);
        assert_eq!(pick_at(&pool, 1_000, 0), Some(1));
    }

    #[test]
    fn who_has_no_room_for_the_request_is_passed_over() {
        let requests = pool(&[(Some(3), None, 3, 0), (Some(3), None, 2, 50)]);
        assert_eq!(
            pick_at(&requests, 1, 0),
            Some(1),
            "the third request passes"
        );
        let tokens = pool(&[(None, Some(100), 1, 10), (None, Some(1_000), 1, 500)]);
        assert_eq!(pick_at(&tokens, 90, 0), Some(0));
        assert_eq!(pick_at(&tokens, 91, 0), Some(1));
    }

    #[test]
    fn where_nobody_has_room_the_one_that_used_least_is_left_to_refuse() {
        let pool = pool(&[(Some(1), None, 1, 20), (Some(1), None, 1, 10)]);
        assert_eq!(pick_at(&pool, 1, 0), Some(1));
    }

    #[test]
    fn a_new_minute_begins_with_nothing_used() {
        let pool = pool(&[(Some(1), None, 1, 5), (None, None, 0, 10)]);
        assert_eq!(pick_at(&pool, 1, WINDOW - 1), Some(1));
        let picks: std::collections::HashSet<_> =
            (0..100).map(|_| pick_at(&pool, 1, WINDOW)).collect();
        assert_eq!(picks.len(), 2, "both have used nothing");
    }
}

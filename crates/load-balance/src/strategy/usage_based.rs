use ziggurat_core::Param;

use crate::{Candidate, Candidates, InputTokens, Strategy, strategy::Quotas};

/// Comes after all that fit.
const FULL: u64 = 1 << 62;

/// What a whole limit counts for, beside one attempt in flight.
const WHOLE: f32 = (1_u64 << 32) as f32;

/// Picks the deployment that has used the smallest part of its limits in the current minute, of
/// several any: `usage-based-routing` and `usage-based-routing-v2`.
///
/// It is the part of `rpm` or of `tpm`, whichever is more. A deployment without a limit that others
/// of its group and `order` have is compared as if it had the mean of theirs; where nobody has a
/// limit, the tokens used are compared. One whose limits the request would pass (one request more,
/// or its input tokens more) comes after all others: refusing it is the business of a rate limit
/// below the balancer, which also says when there will be room. One that has just failed comes
/// last.
///
/// Requests are counted as they are sent, and one that a layer below refuses does not count. Tokens
/// are counted when an answer ends; until then an attempt counts as much as one that has ended in
/// this minute did on average, so that a burst is spread.
///
/// It looks at all deployments of a group of up to 64, and is the best of a sample of 12 in a
/// larger one. Use it where limits are what is scarce and are known; where the provider says what
/// is left, [`Headroom`](crate::Headroom) knows better.
///
/// # Differences from LiteLLM
///
/// Shares are compared, not tokens: a deployment of ten times the limit gets ten times the tokens.
/// A deployment with `rpm: 3` serves three requests a minute, not two. Where no deployment has room,
/// the client is told by the layer that knows when there will be. Minutes begin with the balancer,
/// not with those of the clock. Each process counts what it has sent itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct UsageBased;

impl<R: Param<InputTokens>> Strategy<R> for UsageBased {
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize> {
        let InputTokens(input) = request.param();
        let tier = candidates.tier();
        let quotas = tier
            .quotas
            .get_or_init(|| Quotas::new(candidates.tier_members()));
        candidates.least(|candidate| {
            let at = candidate.index() - tier.members.start;
            let (requests, tokens) = (candidate.requests_used(), candidate.tokens_used());
            let share = quotas.share(at, requests, expected_tokens(candidate, requests, tokens));
            let full = if quotas.fits(at, requests, tokens, input) {
                0
            } else {
                FULL
            };
            ((share * WHOLE) as u64 + u64::from(candidate.in_flight())).min(FULL - 1) | full
        })
    }
}

/// The tokens used, once what is in flight has ended.
fn expected_tokens(candidate: &Candidate<'_>, requests: u64, tokens: u64) -> f32 {
    let in_flight = u64::from(candidate.in_flight());
    let ended = requests.saturating_sub(in_flight);
    let mean = if ended > 0 {
        tokens as f32 / ended as f32
    } else {
        0.0
    };
    tokens as f32 + mean * in_flight as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Strategy, bits::Bits, strategy::testing::Members, usage::WINDOW};

    struct Asks(u64);

    impl Param<InputTokens> for Asks {
        fn param(&self) -> InputTokens {
            InputTokens(self.0)
        }
    }

    type Member = (Option<u64>, Option<u64>, u64, u64);

    /// Members that take some requests and tokens a minute, and have used some.
    fn members(members: &[Member]) -> Members {
        let pool = Members::of(members.iter().zip(0..).map(|((rpm, tpm, ..), i)| {
            let mut member = Members::plain(i);
            if let Some(rpm) = rpm {
                member = member.with_rpm(*rpm);
            }
            if let Some(tpm) = tpm {
                member = member.with_tpm(*tpm);
            }
            member
        }));
        for (index, (_, _, requests, tokens)) in members.iter().enumerate() {
            let cell = pool.cell(index);
            cell.block.requests[cell.at].add(*requests, 0);
            cell.block.tokens[cell.at].add(*tokens, 0);
        }
        pool
    }

    fn pick_at(members: &Members, input: u64, now: u64) -> Option<usize> {
        let closed = Bits::default();
        UsageBased.pick(&Asks(input), &members.candidates_at(&closed, now))
    }

    #[test]
    fn the_smallest_share_used_wins() {
        let members = members(&[
            (None, Some(1_000), 0, 300),
            (Some(10), Some(9_000), 4, 900),
            (None, Some(500), 0, 125),
        ]);
        assert_eq!(pick_at(&members, 10, 0), Some(2));
    }

    #[test]
    fn without_limits_the_fewest_tokens_win() {
        let members = members(&[
            (None, None, 0, 30),
            (None, None, 9, 10),
            (None, None, 0, 20),
        ]);
        assert_eq!(pick_at(&members, 1_000, 0), Some(1));
    }

    #[test]
    fn who_has_no_room_for_the_request_is_passed_over() {
        let requests = members(&[(Some(3), None, 3, 0), (Some(3), None, 2, 50)]);
        assert_eq!(
            pick_at(&requests, 1, 0),
            Some(1),
            "the third request passes"
        );
        let tokens = members(&[(None, Some(100), 1, 10), (None, Some(1_000), 1, 500)]);
        assert_eq!(pick_at(&tokens, 90, 0), Some(0));
        assert_eq!(pick_at(&tokens, 91, 0), Some(1));
    }

    #[test]
    fn where_nobody_has_room_the_one_that_used_least_is_left_to_refuse() {
        let members = members(&[(Some(1), None, 2, 20), (Some(1), None, 1, 10)]);
        assert_eq!(pick_at(&members, 1, 0), Some(1));
    }

    #[test]
    fn a_new_minute_begins_with_nothing_used() {
        let members = members(&[(Some(1), None, 1, 5), (None, None, 0, 10)]);
        assert_eq!(pick_at(&members, 1, WINDOW - 1), Some(1));
        let picks: std::collections::HashSet<_> =
            (0..100).map(|_| pick_at(&members, 1, WINDOW)).collect();
        assert_eq!(picks.len(), 2, "both have used nothing");
    }

    #[test]
    fn what_is_in_flight_counts_before_it_has_ended() {
        let members = members(&[(None, None, 12, 100), (None, None, 10, 110)]);
        members.load(0, 2);
        assert_eq!(
            pick_at(&members, 1, 0),
            Some(1),
            "120 are expected of the first"
        );
    }

    proptest! {
        #[test]
        fn the_pick_is_one_that_a_naive_search_would_find(
            given in prop::collection::vec(
                (prop::option::of(1..9_u64), prop::option::of(1..999_u64), 0..9_u64, 0..999_u64),
                1..20,
            ),
            input in 0..200_u64,
        ) {
            let pool = members(&given);
            let mean = |limit: fn(&Member) -> Option<u64>| {
                let limits: Vec<_> = given.iter().filter_map(limit).collect();
                (!limits.is_empty()).then(|| limits.iter().sum::<u64>() as f64 / limits.len() as f64)
            };
            let (mean_rpm, mean_tpm) = (mean(|m| m.0), mean(|m| m.1));
            let score = |(rpm, tpm, requests, tokens): &Member| {
                let full = rpm.is_some_and(|rpm| *requests >= rpm)
                    || tpm.is_some_and(|tpm| tokens + input > tpm);
                let part = |used: u64, limit: Option<u64>, mean: Option<f64>| {
                    limit.map(|l| l as f64).or(mean).map(|limit| used as f64 / limit)
                };
                let by_requests = part(*requests, *rpm, mean_rpm);
                let by_tokens = part(*tokens, *tpm, mean_tpm);
                let neither = if by_requests.is_none() { *tokens as f64 / 1e6 } else { 0.0 };
                let share = by_requests.unwrap_or(0.0).max(by_tokens.unwrap_or(neither));
                (full, share)
            };
            let best = given.iter().map(score).min_by(|a, b| a.partial_cmp(b).expect("no NaN"));
            let (full, share) = best.expect("there is one");
            let picked = pick_at(&pool, input, 0).expect("one is picked");
            let (is_full, has) = score(&given[picked]);
            prop_assert_eq!(is_full, full);
            prop_assert!((has - share).abs() <= 1e-5 * share.max(1.0), "{} {}", has, share);
        }
    }
}

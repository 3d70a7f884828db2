use crate::{Candidate, Candidates, Strategy, Track, strategy::p2c::better_of_two};

/// What is assumed of a deployment whose provider says nothing, while something is in flight.
const HALF: f32 = 0.5;

/// Picks, of two drawn at random, the one whose provider has more left for us: `headroom`.
///
/// It is what the provider's answers say themselves in their rate limit headers: the part that is
/// left of the requests or of the tokens of the window, whichever is less, minus what has been sent
/// since. When the window ends it is all of it again, minus what is in flight. One that has nothing
/// left, or has just failed, is picked only where no other is left.
///
/// A deployment that has not said anything yet, or never does, counts as having everything left
/// while it has nothing in flight, and half while it has.
///
/// It keeps a few numbers for each deployment and takes a constant time. Drawing two keeps all
/// requests from going to the one that has just said it has the most. Use it where limits are what
/// is scarce, keys are shared with others, or limits are not known to the configuration.
///
/// LiteLLM has no such strategy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headroom;

impl<R> Strategy<R> for Headroom {
    fn pick(&self, _: &R, candidates: &Candidates<'_>) -> Option<usize> {
        let index = better_of_two(candidates, used)?;
        let has_some = |index| {
            candidates
                .get(index)
                .is_some_and(|candidate| used(&candidate) < 1.0)
        };
        if has_some(index) {
            return Some(index);
        }
        candidates.least(|candidate| (used(candidate).max(0.0) * 1e6) as u64)
    }

    fn track(&self, _: &str) -> Track {
        Track::default().headroom()
    }
}

/// The part that is used.
fn used(candidate: &Candidate<'_>) -> f32 {
    1.0 - match (candidate.headroom(), candidate.in_flight()) {
        (Some(left), _) => left,
        (None, 0) => 1.0,
        (None, _) => HALF,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use ziggurat_core::{ProviderLimits, Quota};

    use super::*;
    use crate::{bits::Bits, cells::Clock, strategy::testing::Members};

    /// Members of which so many requests of a hundred are left.
    fn members(left: &[Option<u64>]) -> Members {
        let members = Members::new(left.len());
        let now = Instant::now();
        for (index, left) in left.iter().enumerate() {
            if let Some(remaining) = *left {
                let quota = Quota {
                    limit: 100,
                    remaining,
                    resets_at: None,
                };
                let limits = ProviderLimits {
                    requests: Some(quota),
                    tokens: None,
                };
                let cell = members.cell(index);
                cell.gauges().limits(&limits, Clock::new(now), now);
            }
        }
        members
    }

    fn pick(members: &Members) -> Option<usize> {
        let closed = Bits::default();
        Headroom.pick(&(), &members.candidates(&closed))
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_the_one_with_more_left_is_picked() {
        fastrand::seed(10);
        let members = members(&[Some(90), Some(40), Some(60)]);
        members.assert_shares(9_000, || pick(&members), &[2.0, 0.0, 1.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_with_nothing_left_is_picked_only_where_no_other_is() {
        let members = members(&[Some(0), Some(0), Some(0), Some(1)]);
        for _ in 0..50 {
            assert_eq!(pick(&members), Some(3));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_says_nothing_is_full_while_idle_and_half_full_else() {
        let members = members(&[Some(80), None]);
        assert_eq!(pick(&members), Some(1));
        members.load(1, 1);
        assert_eq!(pick(&members), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_counts_before_the_provider_says_so() {
        let members = members(&[Some(50), Some(45)]);
        assert_eq!(pick(&members), Some(0));
        let cell = members.cell(0);
        (0..6).for_each(|_| cell.gauges().headroom.enter());
        assert_eq!(pick(&members), Some(1));
    }
}

use std::time::Duration;

use crate::{Candidate, Candidates, Strategy, Track};

const DECAY: Duration = Duration::from_secs(10);
const PENALTY: Duration = Duration::from_secs(5);

/// Picks the better of two drawn at random: `p2c`.
///
/// The better is the one of which a request would have to wait the shorter: the seconds until its
/// answers begin, times the attempts in flight with this one. The seconds are a moving average that
/// rises with a slow answer at once and falls with time, so that one that was slow is asked again
/// after a while. A failure counts as five seconds, or as its `Retry-After` if that is longer; a
/// deployment that has just failed is picked only where no other is left. One of which nothing is
/// known gets one request at a time until it has answered.
///
/// It keeps one number for each deployment and takes a constant time, whatever their number. Use it
/// where deployments differ in speed from one minute to the next: two choices are enough to keep
/// load even, and since not all requests go to the best one it is not overrun.
///
/// Sources: Mitzenmacher, *The Power of Two Choices in Randomized Load Balancing* (2001); Finagle's
/// peak EWMA; linkerd's penalty for failures, without which a deployment that fails fast wins.
///
/// LiteLLM has no such strategy.
#[derive(Clone, Copy, Debug)]
pub struct P2c {
    decay: Duration,
    penalty: Duration,
}

impl P2c {
    /// With a time constant of ten seconds and a penalty of five.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            decay: DECAY,
            penalty: PENALTY,
        }
    }

    /// Lets the average fall to about a third in that time.
    #[must_use]
    pub const fn decay(mut self, decay: Duration) -> Self {
        self.decay = decay;
        self
    }

    /// Counts a failure like an answer that took that long to begin.
    #[must_use]
    pub const fn penalty(mut self, penalty: Duration) -> Self {
        self.penalty = penalty;
        self
    }

    fn cost(&self, candidate: &Candidate<'_>) -> f32 {
        let (average, in_flight) = (candidate.peak_ewma(self.decay), candidate.in_flight());
        if average == 0.0 {
            return in_flight as f32 * self.penalty.as_secs_f32();
        }
        average * (in_flight as f32 + 1.0)
    }
}

impl Default for P2c {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> Strategy<R> for P2c {
    fn pick(&self, _: &R, candidates: &Candidates<'_>) -> Option<usize> {
        better_of_two(candidates, |candidate| self.cost(candidate))
    }

    fn track(&self, _: &str) -> Track {
        Track::default().peak_ewma(self.decay, self.penalty)
    }
}

/// Of two drawn at random the one of the lower cost; the lowest of many if both fail.
pub(super) fn better_of_two(
    candidates: &Candidates<'_>,
    cost: impl Fn(&Candidate<'_>) -> f32,
) -> Option<usize> {
    let [first, second] = candidates.any_two();
    let (first, second) = (first?, second);
    let better = match second {
        Some(second) => match (first.is_failing(), second.is_failing()) {
            (true, false) => second,
            (false, false) if cost(&second) < cost(&first) => second,
            _ => first,
        },
        None => first,
    };
    if second.is_some() && better.is_failing() {
        return candidates.least(|candidate| u64::from(ordered(cost(candidate))));
    }
    Some(better.index())
}

/// A number that is greater where the other is.
fn ordered(cost: f32) -> u32 {
    let bits = cost.to_bits();
    if bits >> 31 == 0 {
        bits | 1 << 31
    } else {
        !bits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Strategy, bits::Bits, strategy::testing::Members};

    fn slow(members: &Members, index: usize, seconds: f32) {
        let gauges = members.cell(index);
        gauges
            .gauges()
            .peak
            .observe(&Strategy::<()>::track(&P2c::new(), "g"), seconds, 0);
    }

    fn pick(members: &Members, now: u64) -> Option<usize> {
        let closed = Bits::default();
        P2c::new().pick(&(), &members.candidates_at(&closed, now))
    }

    #[test]
    fn of_two_the_quicker_wins_and_load_counts() {
        let members = Members::new(2);
        slow(&members, 0, 1.0);
        slow(&members, 1, 2.5);
        for _ in 0..20 {
            assert_eq!(pick(&members, 0), Some(0));
        }
        members.load(0, 2);
        assert_eq!(pick(&members, 0), Some(1));
    }

    #[test]
    fn of_many_the_slowest_is_never_picked_and_the_best_does_not_get_all() {
        fastrand::seed(9);
        let members = Members::new(4);
        (0..4).for_each(|index| slow(&members, index, 1.0 + index as f32));
        // Of the six pairs the best is in three.
        members.assert_shares(12_000, || pick(&members, 0), &[3.0, 2.0, 1.0, 0.0]);
    }

    #[test]
    fn who_is_not_known_gets_one_request_at_a_time() {
        let members = Members::new(2);
        slow(&members, 0, 1.0);
        assert_eq!(pick(&members, 0), Some(1));
        members.load(1, 1);
        assert_eq!(pick(&members, 0), Some(0));
    }

    #[test]
    fn who_was_slow_is_asked_again_after_a_while() {
        let members = Members::new(2);
        slow(&members, 0, 0.1);
        slow(&members, 1, 5.0);
        members.load(0, 1);
        assert_eq!(pick(&members, 0), Some(0));
        // Both fall alike; it is new samples that keep the one of use where it is.
        slow(&members, 0, 0.1);
        let cell = members.cell(0);
        cell.gauges()
            .peak
            .observe(&Strategy::<()>::track(&P2c::new(), "g"), 0.1, 40_000);
        assert_eq!(pick(&members, 40_000), Some(1));
    }

    #[test]
    fn failing_ones_lose_to_any_other_even_if_both_that_are_drawn_fail() {
        let members = Members::new(5);
        (0..4).for_each(|index| members.fail(index));
        slow(&members, 4, 9.0);
        for _ in 0..50 {
            assert_eq!(pick(&members, 0), Some(4));
        }
    }

    proptest! {
        #[test]
        fn numbers_keep_their_order(a in -1e9_f32..1e9, b in -1e9_f32..1e9) {
            prop_assert_eq!(a < b, ordered(a) < ordered(b));
        }
    }
}

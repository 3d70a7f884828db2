use std::sync::atomic::Ordering::Relaxed;

use crate::{Candidates, Strategy};

/// Picks one after the other, in a circle: `round-robin`.
///
/// Each `order` of each group has a circle of its own, which begins anywhere. The turn of a
/// deployment that may not be picked goes to any of the others at random, so that their shares stay
/// equal and it is not the next in the list that carries the load of a missing one. Weights and
/// load do not matter.
///
/// It keeps one number and takes a constant time unless nearly all are left out. Use it where
/// deployments and requests are alike, and an even spread matters more than anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin;

impl<R> Strategy<R> for RoundRobin {
    fn pick(&self, _: &R, candidates: &Candidates<'_>) -> Option<usize> {
        if candidates.is_again() {
            return candidates.any().map(|member| member.index());
        }
        let tier = candidates.tier();
        let turn = tier.turn.fetch_add(1, Relaxed) % tier.members.len();
        let member = candidates.get(tier.members.start + turn);
        let member = member.or_else(|| candidates.any())?;
        Some(member.index())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bits::Bits, strategy::testing::Members};

    #[test]
    fn each_has_its_turn() {
        let closed = Bits::default();
        let members = Members::new(4);
        let pick = || {
            RoundRobin
                .pick(&(), &members.candidates(&closed))
                .expect("one")
        };
        let first = pick();
        for i in 1..12 {
            assert_eq!(pick(), (first + i) % 4);
        }
    }

    #[test]
    fn the_turn_of_one_that_is_closed_goes_to_any_of_the_others() {
        fastrand::seed(7);
        let mut closed = Bits::default();
        closed.insert(1);
        closed.insert(2);
        let members = Members::new(5);
        let pick = || RoundRobin.pick(&(), &members.candidates(&closed));
        members.assert_shares(30_000, pick, &[1.0, 0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn a_member_that_always_refuses_does_not_double_the_share_of_the_next() {
        fastrand::seed(8);
        let members = Members::new(3);
        let pick = || {
            let mut closed = Bits::default();
            let first = RoundRobin.pick(&(), &members.candidates(&closed))?;
            if first > 0 {
                return Some(first);
            }
            closed.insert(0);
            RoundRobin.pick(&(), &members.candidates(&closed))
        };
        members.assert_shares(10_000, pick, &[0.0, 1.0, 1.0]);
    }
}

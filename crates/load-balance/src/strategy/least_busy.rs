use crate::{Candidates, Strategy};

/// Picks the deployment with the fewest attempts in flight, of several any: `least-busy`.
///
/// An attempt is in flight from the choice to the end of its answer, streams included, however it
/// ends. Weights do not matter, and one that has just failed is picked only where no other is left.
///
/// It looks at all deployments of a group of up to 64, and is the best of a sample of 12 in a
/// larger one. Use it where requests differ in length, or deployments in speed: whoever is slow has
/// more in flight, so gets less. It does not know that a deployment is small until it is slow.
///
/// # Differences from LiteLLM
///
/// Ties go to any, not to the first of the list; an attempt counts from the choice, so a burst is
/// spread; the count is exact, since it is a guard that cannot be lost.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastBusy;

impl<R> Strategy<R> for LeastBusy {
    fn pick(&self, _: &R, candidates: &Candidates<'_>) -> Option<usize> {
        candidates.least(|candidate| candidate.in_flight().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bits::Bits, strategy::testing::Members};

    #[test]
    fn the_fewest_in_flight_win_but_not_by_failing() {
        let closed = Bits::default();
        let members = Members::new(3);
        members.load(0, 1);
        members.load(1, 2);
        let pick = || LeastBusy.pick(&(), &members.candidates(&closed));
        assert_eq!(pick(), Some(2));
        members.fail(2);
        assert_eq!(pick(), Some(0));
        members.fail(0);
        members.fail(1);
        assert_eq!(pick(), Some(2), "where all fail they compare as usual");
    }
}

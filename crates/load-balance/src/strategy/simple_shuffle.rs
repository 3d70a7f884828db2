use crate::{Candidates, Strategy};

/// Picks at random, by weight: `simple-shuffle`.
///
/// The share of a deployment is its `weight`, if any deployment of its group and `order` has one
/// over zero; one that names none has the weight 1, and a weight of 0 serves only where no other is
/// left. Otherwise it is the requests a minute, otherwise the tokens a minute that it takes, and a
/// deployment without that limit has the mean of the others. Otherwise all are equal.
///
/// It keeps nothing and takes a constant time. Use it where shares are known in advance and
/// deployments do equally well; it sends a slow or failing one its share until a layer below rests
/// it.
///
/// # Differences from LiteLLM
///
/// A deployment without the weight or limit that counts is not starved.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimpleShuffle;

impl<R> Strategy<R> for SimpleShuffle {
    fn pick(&self, _: &R, candidates: &Candidates<'_>) -> Option<usize> {
        candidates.weighted()
    }
}

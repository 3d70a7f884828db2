//! Members on a circle of hashes.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;
use ziggurat_core::Deployment;

/// How many points a member of the mean share has on the ring, in a group of few and of many: the
/// more, the closer its part of the circle is to its share (to about one part in the square root).
const POINTS: usize = 256;
const FEWER_POINTS: usize = 16;
const ALL_POINTS: usize = 1 << 16;

/// Points on a circle, each of a member.
///
/// A key belongs to the member of the next point. When a member is added or taken away, only the
/// keys on its part of the circle move (Karger and others, *Consistent Hashing and Random Trees*,
/// 1997). Points depend on the id of a deployment and on its part of all shares, not on the order
/// of the list.
#[derive(Debug)]
pub(crate) struct Ring {
    hashes: Box<[u64]>,
    members: Box<[u32]>,
}

impl Ring {
    /// A ring of members with these shares; one without a share has no point.
    pub(crate) fn new(members: &[Arc<Deployment>], share: impl Fn(usize) -> u64) -> Self {
        let points = ALL_POINTS / members.len().max(1);
        let points = points.clamp(FEWER_POINTS, POINTS) as f64;
        let whole: u64 = (0..members.len()).map(&share).sum();
        let mean = whole as f64 / members.len() as f64;
        let mut ring = Vec::new();
        for (place, member) in members.iter().enumerate() {
            let share = share(place) as f64;
            if share > 0.0 {
                let points = (share / mean * points).round().max(1.0) as u64;
                let id = xxh3_64(member.id().as_str().as_bytes());
                ring.extend((0..points).map(|n| (point(id, n), place as u32)));
            }
        }
        ring.sort_unstable();
        let (hashes, members): (Vec<_>, Vec<_>) = ring.into_iter().unzip();
        Self {
            hashes: hashes.into(),
            members: members.into(),
        }
    }

    /// The places of the members in the order in which a key goes round, each as often as it has
    /// points.
    pub(crate) fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let first = self.hashes.partition_point(|hash| *hash < key);
        let (before, after) = self.members.split_at(first);
        after.iter().chain(before).map(|place| *place as usize)
    }
}

/// The point of that number: SplitMix64 (Steele, Lea, Flood, 2014), begun with the hash of the id.
fn point(id: u64, n: u64) -> u64 {
    let mut x = id.wrapping_add((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(ids: impl IntoIterator<Item = u32>) -> Vec<Arc<Deployment>> {
        ids.into_iter()
            .map(|id| Arc::new(Deployment::new(format!("d{id}").as_str(), "g", "m")))
            .collect()
    }

    fn first<'a>(ring: &Ring, members: &'a [Arc<Deployment>], key: u64) -> Option<&'a str> {
        ring.from(key).next().map(|at| members[at].id().as_str())
    }

    #[test]
    fn parts_of_the_circle_are_as_large_as_shares() {
        let members = members(0..4);
        let shares = [1_u64, 2, 3, 0];
        let ring = Ring::new(&members, |at| shares[at]);
        let mut rng = fastrand::Rng::with_seed(15);
        let mut counts = [0.0; 4];
        for _ in 0..60_000 {
            let at = ring.from(rng.u64(..)).next().expect("there are points");
            counts[at] += 1.0 / 60_000.0;
        }
        for (count, share) in counts.into_iter().zip(shares) {
            let share = share as f64 / 6.0;
            assert!(
                (count - share).abs() <= 0.15 * share,
                "{count}, not {share}"
            );
        }
    }

    proptest! {
        #[test]
        fn only_the_keys_of_a_member_that_leaves_move(
            count in 2..30_u32,
            leaves in 0..30_u32,
            keys in prop::collection::vec(any::<u64>(), 50),
        ) {
            let all = members(0..count);
            let left = members((0..count).rev().filter(|id| *id != leaves));
            let gone = format!("d{leaves}");
            let (before, after) = (Ring::new(&all, |_| 1), Ring::new(&left, |_| 1));
            for key in keys {
                let owner = first(&before, &all, key);
                if owner != Some(&gone) {
                    prop_assert_eq!(first(&after, &left, key), owner);
                }
            }
        }
    }
}

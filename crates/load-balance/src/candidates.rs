//! What a strategy chooses from.

use std::{ops::Range, sync::Arc};

use ziggurat_core::Deployment;

use crate::{
    bits::Bits,
    least::Least,
    load::Seen,
    pool::{Cells, Pool, Tier},
};

/// How often to draw at random before looking at all members.
const DRAWS: usize = 24;

/// How many of those drawn that may be picked to look at for one that cannot be beaten.
const OPEN_DRAWS: usize = 4;

/// The members of a group that a strategy may pick for a request.
///
/// They are of one `order`, and leave out those that a filter keeps from this request, that have
/// refused it or been tried for it, and that are known to refuse any request now.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    pool: &'a Pool,
    tier: &'a Tier,
    closed: &'a Bits,
    now: u64,
}

/// One member that may be picked, as it was at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pool: &'a Pool,
    block: &'a Cells,
    at: usize,
    index: usize,
    seen: Seen,
    now: u64,
}

impl<'a> Candidates<'a> {
    pub(crate) fn new(pool: &'a Pool, tier: &'a Tier, closed: &'a Bits, now: u64) -> Self {
        Self {
            pool,
            tier,
            closed,
            now,
        }
    }

    /// The member of that index, if it may be picked.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Candidate<'a>> {
        if !self.range().contains(&index) {
            return None;
        }
        let (block, at) = self.pool.place(index);
        let member = self.member(index, block, at);
        self.is_open(&member).then_some(member)
    }

    /// Those that may be picked, by index.
    pub fn iter(&self) -> impl Iterator<Item = Candidate<'a>> {
        let this = *self;
        let stretches = self.pool.stretches(self.range());
        stretches.flat_map(move |(first, block, places)| {
            let places = places.enumerate();
            places.filter_map(move |(offset, at)| {
                let member = this.member(first + offset, block, at);
                this.is_open(&member).then_some(member)
            })
        })
    }

    /// Picks one at random, each as often as its share says.
    ///
    /// A member whose share is zero is picked only where no other is left. Takes a constant time
    /// unless nearly all of many members are left out.
    #[must_use]
    pub fn weighted(&self) -> Option<usize> {
        let cumulative = &*self.tier.cumulative;
        let whole = *cumulative.last()?;
        let drawn = self.draw(|| {
            let point = fastrand::u64(..whole);
            cumulative.partition_point(|sum| *sum <= point)
        });
        if let Some(member) = drawn.into_iter().flatten().next() {
            return Some(member.index);
        }
        let mut left = 0;
        self.scan(|member, open| left += if open { self.share(&member) } else { 0 });
        if left == 0 {
            return self.least(|_| 0);
        }
        let mut point = fastrand::u64(..left);
        let at_point = self.iter().find(|member| {
            let share = self.share(member);
            let found = point < share;
            point = point.wrapping_sub(share);
            found
        });
        // What was open a moment ago may be closed by now, so the point may lie past the end.
        at_point.map_or_else(|| self.least(|_| 0), |member| Some(member.index))
    }

    /// Picks the one of the least score; of several, any with equal probability.
    ///
    /// A member of the score `u64::MAX` is never picked. A score of zero cannot be beaten, so where
    /// many have it, not all members are looked at. `score` may be asked of members that cannot be
    /// picked.
    #[must_use]
    pub fn least(&self, score: impl Fn(&Candidate<'a>) -> u64) -> Option<usize> {
        let drawn = self.draw(|| fastrand::usize(..self.tier.members.len()));
        let mut drawn = drawn.into_iter().flatten().take(OPEN_DRAWS);
        if let Some(member) = drawn.find(|member| score(member) == 0) {
            return Some(member.index);
        }
        let mut best = Least::default();
        self.scan(|member, open| {
            let score = score(&member);
            best.offer(member.index, if open { score } else { u64::MAX });
        });
        best.index()
    }

    /// Draws some members, if there are more than are drawn; `at` says which.
    fn draw(&self, mut at: impl FnMut() -> usize) -> Option<impl Iterator<Item = Candidate<'a>>> {
        let first = self.tier.members.start;
        (self.tier.members.len() > DRAWS)
            .then(|| (0..DRAWS).filter_map(move |_| self.get(first + at())))
    }

    fn range(&self) -> Range<usize> {
        self.tier.members.clone()
    }

    fn share(&self, member: &Candidate<'_>) -> u64 {
        let at = member.index - self.range().start;
        let before = at.checked_sub(1).map_or(0, |at| self.tier.cumulative[at]);
        self.tier.cumulative[at] - before
    }

    fn is_open(&self, member: &Candidate<'_>) -> bool {
        !member.seen.is_hinted(self.now) && !self.closed.contains(member.index)
    }

    fn member(&self, index: usize, block: &'a Cells, at: usize) -> Candidate<'a> {
        Candidate {
            pool: self.pool,
            block,
            at,
            index,
            seen: block.loads[at].see(),
            now: self.now,
        }
    }

    /// Shows every member, and whether it may be picked.
    #[inline]
    fn scan(&self, visit: impl FnMut(Candidate<'a>, bool)) {
        if self.closed.is_empty() {
            self.scan_with(|_| false, visit);
        } else {
            self.scan_with(|index| self.closed.contains(index), visit);
        }
    }

    #[inline]
    fn scan_with(
        &self,
        is_closed: impl Fn(usize) -> bool,
        mut visit: impl FnMut(Candidate<'a>, bool),
    ) {
        let Self { pool, now, .. } = *self;
        for (first, block, places) in pool.stretches(self.range()) {
            let from = places.start;
            for (offset, load) in block.loads[places].iter().enumerate() {
                let (seen, index) = (load.see(), first + offset);
                let member = Candidate {
                    pool,
                    block,
                    at: from + offset,
                    index,
                    seen,
                    now,
                };
                visit(member, !seen.is_hinted(now) & !is_closed(index));
            }
        }
    }
}

impl<'a> Candidate<'a> {
    /// What a strategy returns to pick it.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The deployment.
    #[must_use]
    pub fn deployment(&self) -> &'a Arc<Deployment> {
        &self.pool.members()[self.index]
    }

    /// How many attempts this balancer has there, from the choice to the end of the answer.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.seen.in_flight()
    }

    /// How many attempts this balancer has sent there in the current minute.
    #[must_use]
    pub fn requests_used(&self) -> u64 {
        self.block.requests[self.at].get(self.now)
    }

    /// How many tokens the answers that ended in the current minute used.
    #[must_use]
    pub fn tokens_used(&self) -> u64 {
        self.block.tokens[self.at].get(self.now)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use proptest::prelude::*;
    use tokio::time::Instant;
    use ziggurat_core::{Reason, Rejection, Scope, Snapshot};

    use super::*;
    use crate::pool::Clock;

    fn pool(members: impl IntoIterator<Item = Deployment>) -> Pool {
        let snapshot = Snapshot::new(members);
        let group = snapshot.resolve("g").expect("the group has members");
        Pool::new(group, &HashMap::new(), Clock::new(Instant::now()))
    }

    fn equal(members: usize) -> impl Iterator<Item = Deployment> {
        (0..members).map(|i| Deployment::new(format!("d{i}").as_str(), "g", "m"))
    }

    fn hint(pool: &Pool, index: usize) {
        let refusal = Rejection::new(Reason::RateLimited, Scope::Deployment);
        let now = Instant::now();
        pool.cell(index)
            .refuse(&refusal, now, Duration::from_secs(60));
    }

    fn load(pool: &Pool, index: usize, attempts: u32) {
        (0..attempts).for_each(|_| pool.cell(index).load().enter());
    }

    fn candidates<'a>(pool: &'a Pool, closed: &'a Bits) -> Candidates<'a> {
        Candidates::new(pool, &pool.tiers()[0], closed, 0)
    }

    /// How often each member is picked.
    fn picks(members: usize, times: u32, pick: impl Fn() -> Option<usize>) -> Vec<f64> {
        let mut picks = vec![0.0; members];
        for _ in 0..times {
            picks[pick().expect("one may be picked")] += 1.0;
        }
        picks
    }

    /// Whether each count lies within three standard deviations of what is expected.
    fn assert_expected(picks: &[f64], shares: &[f64]) {
        let (times, whole) = (picks.iter().sum::<f64>(), shares.iter().sum::<f64>());
        for (index, (picks, share)) in picks.iter().zip(shares).enumerate() {
            let p = share / whole;
            let deviation = (times * p * (1.0 - p)).sqrt();
            let off = (picks - times * p).abs();
            assert!(
                off <= 3.0 * deviation,
                "{index}: {picks} of {times}, not {p}"
            );
        }
    }

    #[test]
    fn members_are_drawn_as_often_as_their_weights_say() {
        fastrand::seed(1);
        let weights = [9.0, 1.0, 0.5, 3.0, 0.0];
        let pool = pool(equal(5).zip(weights).map(|(d, w)| d.with_weight(w)));
        let mut closed = Bits::default();
        let drawn = picks(5, 20_000, || candidates(&pool, &closed).weighted());
        assert_expected(&drawn, &weights);
        hint(&pool, 0);
        closed.insert(1);
        let drawn = picks(5, 20_000, || candidates(&pool, &closed).weighted());
        assert_expected(&drawn, &[0.0, 0.0, 0.5, 3.0, 0.0]);
    }

    #[test]
    fn the_shares_among_those_that_are_left_are_kept_in_a_large_group() {
        fastrand::seed(2);
        let pool = pool(
            equal(1_000)
                .enumerate()
                .map(|(i, d)| d.with_weight(1.0 + i as f64)),
        );
        let closed = Bits::default();
        for left in [&[5_usize, 500, 999][..], &[0], &[7, 8]] {
            (0..1_000).for_each(|index| pool.cell(index).load().forget_hint());
            (0..1_000)
                .filter(|i| !left.contains(i))
                .for_each(|index| hint(&pool, index));
            let drawn = picks(1_000, 5_000, || candidates(&pool, &closed).weighted());
            let shares = (0..1_000).map(|i| {
                if left.contains(&i) {
                    1.0 + i as f64
                } else {
                    0.0
                }
            });
            assert_expected(&drawn, &shares.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_weight_of_zero_serves_where_nothing_else_is_left() {
        fastrand::seed(3);
        let weights = [1.0, 0.0, 0.0];
        let pool = pool(equal(3).zip(weights).map(|(d, w)| d.with_weight(w)));
        hint(&pool, 0);
        let closed = Bits::default();
        let drawn = picks(3, 10_000, || candidates(&pool, &closed).weighted());
        assert_expected(&drawn, &[0.0, 1.0, 1.0]);
    }

    #[test]
    fn of_several_with_the_least_score_each_is_picked_as_often() {
        fastrand::seed(4);
        for (members, load_of) in [
            (3, [1, 1, 1]),
            (3, [0, 0, 0]),
            (7, [2, 1, 1]),
            (200, [0, 0, 1]),
            (200, [5, 4, 4]),
        ] {
            let pool = pool(equal(members));
            for index in 0..members {
                load(&pool, index, load_of[index % 3]);
            }
            let least = load_of.iter().min().expect("there are three");
            let shares: Vec<_> = (0..members)
                .map(|index| f64::from(u8::from(load_of[index % 3] == *least)))
                .collect();
            let closed = Bits::default();
            let busy = |member: &Candidate<'_>| member.in_flight().into();
            let picks = picks(members, 30_000, || candidates(&pool, &closed).least(busy));
            if members < 10 {
                assert_expected(&picks, &shares);
            } else {
                // Of many numbers some lie beyond three deviations; so their squares, added up.
                let expected = 30_000.0 / shares.iter().sum::<f64>();
                let chi2: f64 = picks
                    .iter()
                    .zip(&shares)
                    .filter(|(_, share)| **share > 0.0)
                    .map(|(picks, _)| (picks - expected).powi(2) / expected)
                    .sum();
                let freedom = shares.iter().sum::<f64>() - 1.0;
                let bound = 3.0_f64.mul_add((2.0 * freedom).sqrt(), freedom);
                assert!(chi2 < bound, "{members}: {chi2} is over {bound}");
                let never = picks
                    .iter()
                    .zip(&shares)
                    .filter(|(_, share)| **share == 0.0);
                assert_eq!(never.map(|(picks, _)| picks).sum::<f64>(), 0.0);
            }
        }
    }

    proptest! {
        #[test]
        fn a_pick_is_one_that_a_naive_search_may_find(
            members in prop::collection::vec((0..4_u32, any::<bool>(), any::<bool>()), 1..80),
        ) {
            let pool = pool(equal(members.len()));
            let mut closed = Bits::default();
            for (index, (attempts, hinted, is_closed)) in members.iter().enumerate() {
                load(&pool, index, *attempts);
                if *hinted {
                    hint(&pool, index);
                }
                if *is_closed {
                    closed.insert(index);
                }
            }
            let open: Vec<_> = (0..members.len())
                .filter(|index| !members[*index].1 && !members[*index].2)
                .collect();
            let candidates = candidates(&pool, &closed);
            let seen: Vec<_> = candidates.iter().map(|member| member.index()).collect();
            prop_assert_eq!(&seen, &open);
            for index in 0..members.len() + 2 {
                prop_assert_eq!(candidates.get(index).is_some(), open.contains(&index));
            }
            let weighted = candidates.weighted();
            prop_assert_eq!(weighted.is_some(), !open.is_empty());
            prop_assert!(weighted.is_none_or(|index| open.contains(&index)));
            let least = candidates.least(|member| member.in_flight().into());
            prop_assert_eq!(
                least.map(|index| members[index].0),
                open.iter().map(|index| members[*index].0).min()
            );
            prop_assert!(least.is_none_or(|index| open.contains(&index)));
            prop_assert_eq!(candidates.least(|_| u64::MAX), None);
        }
    }
}

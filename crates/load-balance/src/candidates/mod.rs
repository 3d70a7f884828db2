//! What a strategy chooses from.

mod candidate;
#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc};

use smallvec::SmallVec;
use ziggurat_core::Deployment;

pub use self::candidate::Candidate;
use crate::{
    bits::Bits,
    cells::Cells,
    least::Least,
    pool::{Pool, Tier},
};

/// Up to how many members all of them are looked at.
pub(crate) const FEW: usize = 64;

/// Of more members, how many that may be picked are drawn to look at. The best of twelve is among
/// the best eight in a hundred, on average, and already the second one that is drawn does most of
/// what a look at all of them could (Mitzenmacher, 2001).
const SAMPLE: usize = 12;

/// How often to draw at random, for one or for a sample, before looking at all members.
const DRAWS: usize = 24;
const SAMPLE_DRAWS: usize = 64;

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
    again: bool,
}

impl<'a> Candidates<'a> {
    pub(crate) fn new(pool: &'a Pool, tier: &'a Tier, closed: &'a Bits, now: u64) -> Self {
        Self {
            pool,
            tier,
            closed,
            now,
            again: false,
        }
    }

    /// The same, for another pick in place of one that was passed over.
    pub(crate) fn again(mut self, again: bool) -> Self {
        self.again = again;
        self
    }

    /// Whether this is another pick in place of one that was passed over: it is nobody's turn.
    pub(crate) fn is_again(&self) -> bool {
        self.again
    }

    /// The name of the group.
    #[must_use]
    pub fn group(&self) -> &'a Arc<str> {
        self.pool.group().name()
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
            return self.any().map(|member| member.index);
        }
        let mut point = fastrand::u64(..left);
        let at_point = self.iter().find(|member| {
            let share = self.share(member);
            let found = point < share;
            point = point.wrapping_sub(share);
            found
        });
        // What was open a moment ago may be closed by now, so the point may lie past the end.
        at_point.or_else(|| self.any()).map(|member| member.index)
    }

    /// One at random, each as often.
    #[must_use]
    pub fn any(&self) -> Option<Candidate<'a>> {
        self.draw_any(self.range().len().min(SAMPLE_DRAWS))
            .next()
            .or_else(|| self.any_two_of_all()[0])
    }

    /// Two at random, or as many as there are; each pair as often.
    #[must_use]
    pub fn any_two(&self) -> [Option<Candidate<'a>>; 2] {
        if self.range().len() == 1 {
            return [self.get(self.range().start), None];
        }
        let mut drawn = self.draw_any(self.range().len().min(SAMPLE_DRAWS));
        if let Some(first) = drawn.next()
            && let Some(second) = drawn.find(|second| second.index != first.index)
        {
            return [Some(first), Some(second)];
        }
        self.any_two_of_all()
    }

    /// The same, having looked at all of them (Vitter, 1985: reservoir sampling).
    fn any_two_of_all(&self) -> [Option<Candidate<'a>>; 2] {
        let mut two = [None; 2];
        for (count, member) in self.iter().enumerate() {
            match count {
                0 | 1 => two[count] = Some(member),
                _ => {
                    if let Some(place) = two.get_mut(fastrand::usize(..=count)) {
                        *place = Some(member);
                    }
                }
            }
        }
        if two[1].is_some() && fastrand::bool() {
            two.swap(0, 1);
        }
        two
    }

    /// Picks the one of the least score; of several, any with equal probability.
    ///
    /// A member that is [failing](Candidate::is_failing) loses to every one that is not, whatever
    /// the scores, and one of the score `u64::MAX` is never picked.
    ///
    /// All members are looked at if there are no more than 64. Of more, 12 that may be picked are
    /// drawn at random, and all are looked at only if none of those will do.
    #[must_use]
    pub fn least(&self, score: impl Fn(&Candidate<'a>) -> u64) -> Option<usize> {
        if self.tier.members.len() > FEW {
            let mut best = Least::default();
            for member in self.draw_any(SAMPLE_DRAWS).take(SAMPLE) {
                if !member.is_failing() {
                    best.offer(member.index, score(&member));
                }
            }
            if let Some(index) = best.index() {
                return Some(index);
            }
        }
        let (mut best, mut failing) = (Least::default(), Least::default());
        self.scan(|member, open| {
            if !open {
            } else if member.is_failing() {
                failing.offer(member.index, score(&member));
            } else {
                best.offer(member.index, score(&member));
            }
        });
        best.index().or_else(|| failing.index())
    }

    /// Shows some members, to compare them with each other: all that may be picked and do not fail
    /// if there are no more than `few` members, else 12 drawn at random; if all fail, those. Never
    /// more than 64.
    pub(crate) fn each_of_some(&self, few: usize, mut visit: impl FnMut(&Candidate<'a>)) {
        let mut seen = 0;
        let mut show = |member: Candidate<'a>| {
            if !member.is_failing() {
                seen += 1;
                visit(&member);
            }
        };
        if self.tier.members.len() > few {
            self.draw_any(SAMPLE_DRAWS).take(SAMPLE).for_each(&mut show);
        } else {
            self.scan(|member, open| {
                if open {
                    show(member);
                }
            });
        }
        if seen > 0 {
            return;
        }
        let mut some = fill(self.iter().filter(|member| !member.is_failing()));
        if some.is_empty() {
            some = fill(self.iter());
        }
        for index in some {
            if let Some(member) = self.get(index as usize) {
                visit(&member);
            }
        }
    }

    /// What of the tier does not change while the list of deployments stays.
    pub(crate) fn tier(&self) -> &'a Tier {
        self.tier
    }

    pub(crate) fn tier_members(&self) -> &'a [Arc<Deployment>] {
        &self.pool.members()[self.range()]
    }

    /// Draws members until one has been drawn so many times; shows those that may be picked.
    pub(crate) fn draw_any(&self, draws: usize) -> impl Iterator<Item = Candidate<'a>> {
        // A generator of its own, since that of the thread is looked up each time.
        let mut random = fastrand::Rng::with_seed(fastrand::u64(..));
        let (this, range) = (*self, self.range());
        (0..draws).filter_map(move |_| this.get(random.usize(range.clone())))
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

    /// The share of the traffic that a member is to have.
    pub(crate) fn share(&self, member: &Candidate<'_>) -> u64 {
        self.share_at(member.index - self.range().start)
    }

    /// The same for the one at that place in the tier.
    pub(crate) fn share_at(&self, at: usize) -> u64 {
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

/// The indices of as many as there is room for, each with equal probability (Vitter, 1985).
fn fill<'a>(members: impl Iterator<Item = Candidate<'a>>) -> SmallVec<[u32; FEW]> {
    let mut some = SmallVec::new();
    for (count, member) in members.enumerate() {
        if count < FEW {
            some.push(member.index as u32);
        } else if let Some(place) = some.get_mut(fastrand::usize(..=count)) {
            *place = member.index as u32;
        }
    }
    some
}

//! What the strategy picks, and what slow starts make of that.

use smallvec::SmallVec;

use super::Search;
use crate::{Candidates, Strategy};

/// How many members in slow start are passed over for one pick.
const PASSED: usize = 8;

impl Search {
    /// The strategy's pick; if that is in slow start, now and then, else another.
    pub(super) fn pick<R>(
        &mut self,
        request: &R,
        strategy: &impl Strategy<R>,
        now: u64,
    ) -> Option<usize> {
        let index = self.pick_any(request, strategy, now, false)?;
        let (block, at) = self.pool().place(index);
        if block.recoveries[at].is_whole() {
            return Some(index);
        }
        Some(self.pick_slowly(index, request, strategy, now))
    }

    /// The first pick, or the first after it that is kept.
    #[cold]
    fn pick_slowly<R>(
        &mut self,
        first: usize,
        request: &R,
        strategy: &impl Strategy<R>,
        now: u64,
    ) -> usize {
        let mut passed: SmallVec<[usize; PASSED]> = SmallVec::new();
        let mut pick = Some(first);
        while let Some(index) = pick {
            if passed.len() == PASSED || self.keeps(index, now) {
                break;
            }
            self.closed.insert(index);
            passed.push(index);
            pick = self.pick_any(request, strategy, now, true);
        }
        for index in passed {
            self.closed.remove(index);
        }
        pick.unwrap_or(first)
    }

    /// Whether a pick is kept where there is a member in slow start. One that fails takes nothing
    /// from it.
    fn keeps(&self, index: usize, now: u64) -> bool {
        let cell = self.pool().cell(index);
        let in_flight = cell.load().see().in_flight();
        if cell.recovery().is_whole() {
            return !cell.health().is_failing(in_flight, now);
        }
        let share = cell.recovery().share(in_flight, now, self.slow_start);
        share >= 1.0 || fastrand::f32() < share
    }

    /// What the strategy picks of the first members that it does not decline, by `order`.
    fn pick_any<R>(
        &self,
        request: &R,
        strategy: &impl Strategy<R>,
        now: u64,
        again: bool,
    ) -> Option<usize> {
        let pool = self.pool();
        pool.tiers().iter().find_map(|tier| {
            let candidates = Candidates::new(pool, tier, &self.closed, now).again(again);
            let index = strategy.pick(request, &candidates)?;
            let is_open = tier.members.contains(&index) && !self.closed.contains(index);
            is_open.then_some(index)
        })
    }
}

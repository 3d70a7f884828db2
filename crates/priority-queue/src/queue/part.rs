//! A capacity that is a part of another, of which other instances have the rest.

use std::time::Duration;

use tokio::time::Instant;

use super::{Demand, Elsewhere, Outline, Queue, Woken, levels::millis};

/// How long somebody waits for this part to become larger, even where nobody waits; and how many may.
const ASKING: Duration = Duration::from_millis(250);
const ASKING_AT_ONCE: usize = 64;

impl<W> Queue<W> {
    /// Changes the capacity, a part of a whole. If it shrinks, turns that are taken are not cut
    /// short; what was kept for a large one is given up, as far as it is not the whole that shrinks.
    pub(crate) fn set_part(&mut self, part: usize, whole: usize, woken: &mut Woken<W>) {
        (self.capacity, self.whole) = (part, whole.max(part));
        self.admit(woken);
        if self.is_part()
            && let Some(gathers) = &mut self.gathers
        {
            let too_many = self.in_use.saturating_sub(self.capacity).min(gathers.has);
            gathers.has -= too_many;
            self.in_use -= too_many;
        }
    }

    /// Says what is known of those who have the other parts.
    pub(crate) fn set_elsewhere(&mut self, elsewhere: Option<Elsewhere>) {
        self.elsewhere = elsewhere;
    }

    /// How many units a request takes: never more than there are, even if fewer are here.
    pub(super) fn units_of(&self, cost: usize) -> usize {
        cost.min(self.whole).max(1)
    }

    const fn is_part(&self) -> bool {
        self.capacity < self.whole
    }

    /// How long somebody of a class waits at most.
    pub(super) fn patience(&self, class: usize) -> Option<Duration> {
        let most = self.rules.max_wait_of(class);
        if !self.is_part() {
            return most;
        }
        match self.rules.max_waiting {
            0 => Some(ASKING),
            _ => most.map(|time| time.max(ASKING)),
        }
    }

    /// How many may wait.
    pub(super) fn max_waiting(&self) -> usize {
        match self.rules.max_waiting {
            0 if self.is_part() => ASKING_AT_ONCE,
            most => most,
        }
    }

    /// What runs and waits, for those who have the other parts. In a step for each level.
    pub(crate) fn outline(&self, now: Instant) -> Outline {
        let mut demands: Vec<_> = self.levels.demands(self.whole, now).collect();
        let gathered = self.gathers.as_ref().map_or(0, |gathers| {
            let waiter = &self.waiters[gathers.slot];
            let waited = now.saturating_duration_since(waiter.arrival);
            let level = waiter.at.level;
            let rank = self.levels.rank_of(level).saturating_sub(millis(waited));
            let units = self.units_of(waiter.cost) as u64;
            let class = self.rules.classes.get(waiter.class);
            demands.push(Demand {
                level,
                weight: class.map_or(1, |class| class.weight.get()),
                head: rank,
                fresh: rank,
                first: units,
                units,
            });
            gathers.has
        });
        Outline {
            in_use: self.in_use - gathered,
            waiting: self.waiting(),
            running: self.in_flight,
            held: self.pace.of_unit(),
            order: self.levels.order(),
            demands,
        }
    }
}

//! What the balancer knows, to be read and to be forgotten.

use tokio::time::Instant;
use ziggurat_core::{Deployment, DeploymentId};

use crate::{LoadBalanceLayer, cells::Cell};

/// What the balancer knows of a deployment at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Attempts in flight, from the choice to the end of the answer.
    pub in_flight: u32,
    /// Attempts that were sent in the current minute.
    pub requests: u64,
    /// Tokens of the answers that ended in the current minute.
    pub tokens: u64,
    /// Whether it has just failed, so that it is avoided.
    pub is_failing: bool,
    /// Its slow start, if it is in one.
    pub slow_start: Option<SlowStart>,
}

/// How far a deployment is that comes back from a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowStart {
    /// When it answered again, or failed since.
    pub since: Instant,
    /// How much of its share it gets now, in percent.
    pub percent: u8,
}

impl SlowStart {
    pub(crate) fn of(cell: &Cell, now: u64, time: u64) -> Option<Self> {
        let since = cell.recovery().since(now, time)?;
        Some(Self {
            since: cell.block.clock.at(since),
            percent: (cell.recovery().share(0, now, time) * 100.0).round() as u8,
        })
    }
}

impl Stats {
    fn of(cell: &Cell, now: u64, slow_start: u64) -> Self {
        let in_flight = cell.load().see().in_flight();
        Self {
            in_flight,
            requests: cell.block.requests[cell.at].get(now),
            tokens: cell.block.tokens[cell.at].get(now),
            is_failing: cell.health().is_failing(in_flight, now),
            slow_start: SlowStart::of(cell, now, slow_start),
        }
    }
}

/// Reading and forgetting what is known of the deployments, for all services of the layer.
impl<P, F, A> LoadBalanceLayer<P, F, A> {
    /// What is known of a deployment; nothing if it is not in the list.
    #[must_use]
    pub fn stats(&self, id: &DeploymentId) -> Stats {
        let now = self.views().clock().millis(Instant::now());
        let view = self.views().load();
        view.cell(id)
            .map_or_else(Stats::default, |cell| self.stats_of(&cell, now))
    }

    /// Shows each member of the group that serves a name, with what is known of it; nothing, if none
    /// serves it.
    pub fn for_each_member(&self, name: &str, mut show: impl FnMut(&Deployment, Stats)) {
        let now = self.views().clock().millis(Instant::now());
        let view = self.views().load();
        if let Some((pool, _)) = view.route(name) {
            let pool = &view.pools()[pool];
            for (index, member) in pool.members().iter().enumerate() {
                show(member, self.stats_of(&pool.cell(index), now));
            }
        }
    }

    /// Forgets what has been used in the current minute.
    pub fn reset_usage(&self) {
        self.for_each_cell(|cell| {
            cell.block.requests[cell.at].reset();
            cell.block.tokens[cell.at].reset();
        });
    }

    /// Forgets how fast deployments were, what they said of their limits, and which have just failed.
    pub fn reset_measurements(&self) {
        self.for_each_cell(|cell| {
            cell.block.gauges[cell.at].reset();
            cell.block.health[cell.at].reset();
        });
    }

    /// Forgets which deployments refuse all requests, and which come back from doing so.
    pub fn reset_refusals(&self) {
        self.for_each_cell(|cell| {
            cell.load().forget_hint();
            cell.recovery().forget();
        });
    }

    fn stats_of(&self, cell: &Cell, now: u64) -> Stats {
        Stats::of(cell, now, self.limits().slow_start)
    }

    fn for_each_cell(&self, act: impl Fn(&Cell)) {
        let view = self.views().load();
        for pool in view.pools() {
            (0..pool.members().len()).for_each(|index| act(&pool.cell(index)));
        }
    }
}

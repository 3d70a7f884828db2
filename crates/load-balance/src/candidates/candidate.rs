//! One of those that a strategy chooses from.

use std::{sync::Arc, time::Duration};

use ziggurat_core::Deployment;

use crate::{
    Awaits,
    cells::Cells,
    load::Seen,
    measure::{Gauges, Summary},
    pool::Pool,
};

/// One member that may be picked, as it was at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub(super) pool: &'a Pool,
    pub(super) block: &'a Cells,
    pub(super) at: usize,
    pub(super) index: usize,
    pub(super) seen: Seen,
    pub(super) now: u64,
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

    /// Whether it has just failed: for a second after the first failure, twice as long for each in a
    /// row after that, up to a minute, or for as long as its `Retry-After` says; then, until a
    /// request succeeds, while one is in flight.
    ///
    /// Failures that the request was to blame for do not count.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.block.health[self.at].is_failing(self.seen.in_flight(), self.now)
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

    /// The seconds that an answer takes in that unit, by the latest of them: their mean or quantile,
    /// times the attempts that a success took. `None` if there was none of late.
    ///
    /// Known if the strategy's [`Track`](crate::Track) asks for latencies.
    #[must_use]
    pub fn latency(&self, unit: Awaits) -> Option<f32> {
        self.summary(unit).map(|summary| summary.seconds)
    }

    /// A moving average of the seconds until an answer begins, which has fallen with the time
    /// constant `decay` since the last one; zero if there was none.
    ///
    /// Known if the strategy's [`Track`](crate::Track) asks for it.
    #[must_use]
    pub fn peak_ewma(&self, decay: Duration) -> f32 {
        let decay = decay.as_secs_f32().max(0.001);
        self.gauges().peak.get(decay, self.now)
    }

    /// A moving average of the output tokens of answers, if there was one.
    ///
    /// Known if the strategy's [`Track`](crate::Track) asks for it.
    #[must_use]
    pub fn mean_output(&self) -> Option<f32> {
        self.gauges().means.output()
    }

    /// The part of the input that its provider had cached on average, from 0 to 1; 0 as long as
    /// nothing is known. Measured with [`Track::output`](crate::Track::output).
    #[must_use]
    pub fn mean_cached(&self) -> f32 {
        self.gauges().means.cached()
    }

    /// What part of its provider's limits is left, by the last answer that said it and what was
    /// sent since; of several limits the least. `None` if no answer said it.
    ///
    /// Known if the strategy's [`Track`](crate::Track) asks for it.
    #[must_use]
    pub fn headroom(&self) -> Option<f32> {
        let headroom = &self.gauges().headroom;
        headroom.get(self.seen.in_flight(), self.now)
    }

    pub(crate) fn summary(&self, unit: Awaits) -> Option<Summary> {
        self.gauges().latencies.get(unit, self.now)
    }

    fn gauges(&self) -> &'a Gauges {
        &self.block.gauges[self.at]
    }
}

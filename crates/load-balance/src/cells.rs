//! What changes about deployments.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{Reason, Rejection};

use crate::{
    load::Load,
    measure::{Gauges, Health},
    recovery::Recovery,
    usage::Windowed,
};

/// Milliseconds since the balancer was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn new(base: Instant) -> Self {
        Self(base)
    }

    pub(crate) fn millis(self, at: Instant) -> u64 {
        at.saturating_duration_since(self.0).as_millis() as u64
    }

    pub(crate) fn at(self, millis: u64) -> Instant {
        self.0 + Duration::from_millis(millis)
    }
}

/// What changes about deployments: loads, refusals, usage, and what is measured.
///
/// A pool makes one block for all its new members, and takes over the cells of those it has known,
/// block by block. So a scan reads words that lie side by side, and who holds a cell may keep it
/// over any number of reloads.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) clock: Clock,
    pub(crate) loads: Box<[Load]>,
    pub(crate) tokens: Box<[Windowed]>,
    pub(crate) requests: Box<[Windowed]>,
    pub(crate) health: Box<[Health]>,
    pub(crate) gauges: Box<[Gauges]>,
    pub(crate) recoveries: Box<[Recovery]>,
    refusals: Box<[Mutex<Option<Rejection>>]>,
}

impl Cells {
    pub(crate) fn new(len: usize, clock: Clock) -> Self {
        fn defaults<T: Default>(len: usize) -> Box<[T]> {
            std::iter::repeat_with(T::default).take(len).collect()
        }
        Self {
            clock,
            loads: defaults(len),
            tokens: defaults(len),
            requests: defaults(len),
            health: defaults(len),
            gauges: defaults(len),
            recoveries: defaults(len),
            refusals: defaults(len),
        }
    }
}

/// One deployment's part of its block.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) block: Arc<Cells>,
    pub(crate) at: usize,
}

impl Cell {
    pub(crate) fn load(&self) -> &Load {
        &self.block.loads[self.at]
    }

    pub(crate) fn health(&self) -> &Health {
        &self.block.health[self.at]
    }

    pub(crate) fn gauges(&self) -> &Gauges {
        &self.block.gauges[self.at]
    }

    pub(crate) fn recovery(&self) -> &Recovery {
        &self.block.recoveries[self.at]
    }

    /// Remembers that any request would be refused: until it ends, and no longer than `cap`.
    pub(crate) fn refuse(&self, refusal: &Rejection, now: Instant, cap: Duration) {
        let capped = now + cap;
        let until = refusal.ends_at().map_or(capped, |end| end.min(capped));
        let clock = self.block.clock;
        if matches!(refusal.reason(), Reason::Cooldown | Reason::Unhealthy) {
            self.recovery().rest(clock.millis(now));
        }
        *self.block.refusals[self.at].lock() = Some(refusal.clone());
        let until = clock.millis(until);
        match (refusal.reason(), refusal.ends_at()) {
            // Who has a place next finds it free at once.
            (Reason::Busy, None) => self.load().hint_full(until),
            _ => self.load().hint(until),
        }
    }

    pub(crate) fn last_refusal(&self) -> Option<Rejection> {
        self.block.refusals[self.at].lock().clone()
    }
}

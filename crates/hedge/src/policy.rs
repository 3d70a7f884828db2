//! When a second copy is sent.

use std::{collections::HashSet, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use tokio::time::Instant;
use ziggurat_core::{Durations, Idle, Keyed, Ledger, ModelGroup};

use crate::{Hedging, budget::Budget};

/// So many observations make a percentile.
const ENOUGH: u32 = 20;

/// Of how many groups the times are kept.
const GROUPS: usize = 10_000;

/// The settings of a layer, and what it shares with its clones.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// From 0 to 1.
    pub(crate) percentile: f64,
    /// In hundredths of a percent.
    pub(crate) share: u64,
    pub(crate) min_delay: Duration,
    pub(crate) groups: Option<Arc<HashSet<Arc<str>, RandomState>>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    times: Keyed<ModelGroup, Times>,
    budget: Budget,
}

/// What a group took until its answer was there.
#[derive(Debug, Default)]
struct Times {
    complete: Durations,
    streamed: Durations,
}

impl Times {
    fn of(&self, hedging: Hedging) -> &Durations {
        match hedging {
            Hedging::Streamed => &self.streamed,
            Hedging::Complete | Hedging::Off => &self.complete,
        }
    }
}

impl Idle for Times {
    fn is_idle(&self) -> bool {
        self.complete.count() == 0 && self.streamed.count() == 0
    }
}

impl Policy {
    pub(crate) fn new(percentile: f64, share: u64, min_delay: Duration) -> Self {
        Self {
            percentile,
            share,
            min_delay,
            groups: None,
            shared: Arc::new(Shared {
                times: Keyed::new(GROUPS),
                budget: Budget::new(),
            }),
        }
    }

    /// Whether requests for a group are hedged at all.
    pub(crate) fn covers(&self, group: &ModelGroup) -> bool {
        let groups = self.groups.as_ref();
        groups.is_none_or(|groups| groups.contains(group.as_str()))
    }
}

/// One try of one request.
#[derive(Debug)]
pub(crate) struct Race {
    policy: Arc<Policy>,
    group: ModelGroup,
    hedging: Hedging,
    ledger: Ledger,
    began: Instant,
    /// Whether the request is still to be counted for the budget.
    is_new: bool,
}

impl Race {
    /// Begins now.
    pub(crate) fn new(
        policy: Arc<Policy>,
        group: ModelGroup,
        hedging: Hedging,
        ledger: Ledger,
        now: Instant,
    ) -> Self {
        Self {
            policy,
            group,
            hedging,
            began: now,
            is_new: ledger.attempts() == 0,
            ledger,
        }
    }

    /// Notes that the request was not refused: it counts for the budget, once, however often it is
    /// tried.
    pub(crate) fn dispatched(&mut self) {
        if std::mem::take(&mut self.is_new) {
            self.policy.shared.budget.deposit(self.began);
        }
    }

    /// When it is late, if that is known.
    pub(crate) fn late_at(&self) -> Option<Instant> {
        let times = self.policy.shared.times.get(&self.group)?;
        let times = times.of(self.hedging);
        if times.count() < ENOUGH {
            return None;
        }
        let usual = times.quantile(self.policy.percentile)?;
        self.began.checked_add(usual.max(self.policy.min_delay))
    }

    /// Takes a hedge, if it may have one and somebody could answer it.
    pub(crate) fn hedge(&self, now: Instant) -> bool {
        self.ledger.untried() > 0
            && self.ledger.attempts_left() > 0
            && self.ledger.allows(now)
            && self.policy.shared.budget.withdraw(self.policy.share, now)
    }

    /// Notes that the answer came. If it is that of the second copy, the first would have taken
    /// longer: it counts as late in any case.
    pub(crate) fn answered(&self, now: Instant) {
        let times = self.policy.shared.times.get_or_default(&self.group);
        let took = now.saturating_duration_since(self.began);
        times.of(self.hedging).note(took);
    }
}

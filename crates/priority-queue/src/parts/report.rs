//! What an instance tells of a gate.

use std::collections::BTreeMap;

use crate::queue::Outline;

pub use crate::queue::Demand;

/// How many levels are told of. Those who come last are told of together.
const LEVELS: usize = 16;

/// How long a unit is held where nobody knows.
const USUAL: f64 = 1.0;

/// The time for which [`Report::ends`] is told, in seconds.
const AHEAD: f64 = 0.1;

/// What runs and what waits at a gate of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The units that run.
    pub in_use: u64,
    /// How many of them are expected to end within 0.1 s, in thousandths.
    pub ends: u64,
    /// How many requests wait.
    pub waiting: u64,
    /// How many requests run.
    pub running: u64,
    /// What waits, by level; of at most seventeen levels.
    pub demands: Vec<Demand>,
}

impl Report {
    /// Whether nobody is there.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.in_use == 0 && self.waiting == 0
    }

    /// Adds a gate that goes by the same capacity.
    pub(super) fn add(&mut self, outline: Outline) {
        let in_use = outline.in_use as u64;
        let part = (AHEAD / outline.held.unwrap_or(USUAL)).min(1.0);
        self.in_use += in_use;
        self.ends += ((in_use as f64 * 1_000.0 * part) as u64).max(in_use.min(1));
        self.waiting += outline.waiting as u64;
        self.running += outline.running as u64;
        self.demands.extend(outline.demands);
        fold(&mut self.demands, LEVELS);
    }
}

/// Makes so many demands of as many as there are, those who come last together.
pub(super) fn fold(demands: &mut Vec<Demand>, most: usize) {
    if demands.len() <= most {
        return;
    }
    demands.sort_by_key(|it| (it.head, it.level));
    let rest = demands.split_off(most);
    if let Some(last) = rest.into_iter().reduce(Demand::and) {
        demands.push(last);
    }
}

/// Those of several instances together, level by level.
pub(super) fn together(demands: impl IntoIterator<Item = Demand>) -> Vec<Demand> {
    let mut levels: BTreeMap<i64, Demand> = BTreeMap::new();
    for demand in demands {
        let of_level = levels.entry(demand.level);
        of_level
            .and_modify(|it| *it = it.and(demand))
            .or_insert(demand);
    }
    let mut demands: Vec<_> = levels.into_values().collect();
    fold(&mut demands, LEVELS);
    demands
}

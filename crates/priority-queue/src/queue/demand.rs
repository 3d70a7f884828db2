//! Who waits, as it is told elsewhere.

use crate::Order;

/// What waits at one level of a queue.
///
/// Who goes before whom is said by a *rank*, in milliseconds, lower is sooner: `level × aging −
/// waited`. Of all but the one that is next it is known only that they came between the one that has
/// waited longest and now: their ranks are taken to be spread evenly over that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The level: a priority, or the place of a class among the others.
    pub level: i64,
    /// What it weighs, for [`Order::Weighted`](crate::Order::Weighted).
    pub weight: u32,
    /// The rank of the one that has waited longest.
    pub head: i64,
    /// The rank of one that comes now. Not less than `head`.
    pub fresh: i64,
    /// The units that the next one takes.
    pub first: u64,
    /// The units that all of them take. Not less than `first`; it may be more than any capacity, and
    /// no store need tell of more than [`MOST`](crate::parts::MOST).
    pub units: u64,
}

impl Demand {
    /// The same so many milliseconds later, if nobody came and nobody went.
    #[must_use]
    pub const fn later(mut self, millis: i64) -> Self {
        self.head = self.head.saturating_sub(millis);
        self.fresh = self.fresh.saturating_sub(millis);
        self
    }

    /// How many units are of this rank or a better one. It grows with the rank.
    #[must_use]
    pub fn up_to(&self, rank: i64) -> u64 {
        if rank < self.head {
            return 0;
        }
        if rank >= self.fresh {
            return self.units;
        }
        let time = self.fresh.saturating_sub(self.head).max(1);
        let passed = rank.saturating_sub(self.head);
        let rest = self.units.saturating_sub(self.first);
        let rest = u128::from(rest) * passed.unsigned_abs() as u128 / time.unsigned_abs() as u128;
        self.first
            .saturating_add(u64::try_from(rest).unwrap_or(u64::MAX))
    }

    /// Both together, as if they were of one level.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let first = if other.head < self.head { other } else { self };
        Self {
            head: first.head,
            first: first.first,
            level: self.level.min(other.level),
            weight: self.weight.max(other.weight),
            fresh: self.fresh.max(other.fresh),
            units: self.units.saturating_add(other.units),
        }
    }
}

/// A queue at one moment, as it is told elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// The units that run, without what is kept for a large one.
    pub(crate) in_use: usize,
    /// How many requests wait.
    pub(crate) waiting: usize,
    /// How many run.
    pub(crate) running: usize,
    /// How long a unit is held, in seconds, as far as one knows.
    pub(crate) held: Option<f64>,
    pub(crate) order: Order,
    pub(crate) demands: Vec<Demand>,
}

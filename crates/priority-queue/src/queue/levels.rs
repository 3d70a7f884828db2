//! All who wait, class by class.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Demand,
    fair::{self, Fair, Virtual},
    level::{Entry, Key, Lane, Level, Load},
    tenants::TenantId,
};
use crate::Order;

/// How many levels there are at a time. A priority beyond that joins the next one after it.
const MOST: usize = 64;

/// Where somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) level: i64,
    pub(super) lane: Lane,
    pub(super) key: Key,
}

/// Whose requests of which level, and what both weigh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of {
    pub(super) level: i64,
    pub(super) level_weight: u32,
    pub(super) lane: Lane,
    pub(super) weight: u32,
}

/// All who wait.
///
/// # Which level is next
///
/// By weight, as [`Fair`] has it; or the lowest, where the effective number of a level is `level −
/// waited / aging`, for whoever has waited longest of the first in its lines. All gain at the same
/// rate, so that multiplying by `aging` and leaving out the time that is the same for all gives a key
/// that stays as it is while its first waits: `arrival + level × aging`.
#[derive(Debug)]
pub(super) struct Levels {
    order: Order,
    aging: Duration,
    epoch: Instant,
    levels: BTreeMap<i64, (Level, Rank)>,
    ages: BTreeSet<(i128, i64)>,
    active: BTreeSet<i64>,
    shares: Fair<i64>,
    pub(super) load: Load,
}

/// How a level stands among the others.
#[derive(Clone, Copy, Debug, Default)]
struct Rank {
    weight: u32,
    age: Option<i128>,
}

impl Levels {
    pub(super) fn new(order: Order, aging: Duration, now: Instant) -> Self {
        Self {
            order,
            aging,
            epoch: now,
            levels: BTreeMap::new(),
            ages: BTreeSet::new(),
            active: BTreeSet::new(),
            shares: Fair::new(),
            load: Load::default(),
        }
    }

    /// The level that somebody of this one joins.
    pub(super) fn nearest(&self, level: i64) -> i64 {
        if self.levels.len() < MOST || self.levels.contains_key(&level) {
            return level;
        }
        let after = self.levels.range(level..).next();
        let nearest = after.or_else(|| self.levels.last_key_value());
        nearest.map_or(level, |(level, _)| *level)
    }

    pub(super) fn add(&mut self, of: Of, entry: Entry) {
        self.load.add(&entry);
        let (level, rank) = self
            .levels
            .entry(of.level)
            .or_insert_with(|| (Level::new(), Rank::default()));
        rank.weight = of.level_weight;
        level.add(of.lane, of.weight, entry);
        self.rank(of.level);
    }

    pub(super) fn remove(&mut self, at: &At) -> Option<Entry> {
        let (level, _) = self.levels.get_mut(&at.level)?;
        let entry = level.remove(at.lane, &at.key)?;
        self.load.take(&entry);
        self.rank(at.level);
        Some(entry)
    }

    /// Takes somebody out who is served, and charges its tenant and its class what it takes.
    pub(super) fn serve(&mut self, at: &At, units: usize) -> Option<Entry> {
        let (level, _) = self.levels.get_mut(&at.level)?;
        let entry = level.serve(at.lane, &at.key, units)?;
        self.load.take(&entry);
        self.shares.charge(at.level, units);
        self.rank(at.level);
        Some(entry)
    }

    /// Who is next.
    pub(super) fn next(&self) -> Option<(At, Entry)> {
        let best = self.active.first().copied();
        let number = match self.order {
            Order::Strict => self.ages.first().map(|(_, level)| *level),
            Order::Weighted => self.shares.first(),
        }?;
        let is_aged = self.order == Order::Strict && best != Some(number);
        let (level, _) = self.levels.get(&number)?;
        let (lane, entry) = level.next(is_aged)?;
        let (level, key) = (number, entry.key);
        Some((At { level, lane, key }, entry))
    }

    /// Who would be served last: of the worst level in which somebody may be pushed out.
    pub(super) fn last(&self) -> Option<Last> {
        let mut worst = self.levels.iter().rev();
        worst.find_map(|(number, (level, _))| {
            let (end, tenant, entry) = level.last()?;
            let (level, lane, key) = (*number, Lane::Of(tenant), entry.key);
            Some(Last {
                at: At { level, lane, key },
                tenant,
                end,
            })
        })
    }

    /// When a tenant would have been served in a level if it had that much more waiting.
    pub(super) fn end_with(&self, of: Of, tenant: TenantId, more: usize) -> Virtual {
        match self.levels.get(&of.level) {
            Some((level, _)) => level.end_with(tenant, of.weight, more),
            None => fair::time_of(more, of.weight),
        }
    }

    /// How many bytes wait in levels after this one that may be pushed out.
    pub(super) fn may_go_after(&self, level: i64) -> usize {
        let worse = self.levels.iter().rev();
        let worse = worse.take_while(|(other, _)| **other > level);
        worse.map(|(_, (level, _))| level.may_go()).sum()
    }

    pub(super) fn park(&mut self, level: i64, tenant: TenantId) {
        if let Some((it, _)) = self.levels.get_mut(&level) {
            it.park(tenant);
            self.rank(level);
        }
    }

    /// Passes the lines of a tenant by no longer. It is found out again if it has too many in flight.
    pub(super) fn unpark(&mut self, tenant: TenantId) {
        let levels = self.levels.iter_mut();
        let changed = levels.filter_map(|(level, (it, _))| it.unpark(tenant).then_some(*level));
        let changed: Vec<i64> = changed.collect();
        changed.into_iter().for_each(|level| self.rank(level));
    }

    /// Forgets what was given to a tenant: its id is another's from now on.
    pub(super) fn forget(&mut self, tenant: TenantId) {
        for (level, _) in self.levels.values_mut() {
            level.forget(tenant);
        }
    }

    /// About how many units are served before somebody who comes now, if nobody comes after, of
    /// requests that take `most` units at most.
    pub(super) fn ahead(&self, of: Of, key: &Key, most: usize, now: Instant) -> usize {
        let level = self.levels.get(&of.level);
        let own = level.map_or(0, |(level, _)| level.ahead(of.lane, of.weight, key, most));
        let others = self.levels.iter().filter(|(other, _)| **other != of.level);
        match self.order {
            Order::Strict => others.fold(own, |sum, (other, (level, _))| {
                let units = if *other < of.level {
                    level.load.takes(most)
                } else {
                    self.aged(*other, of.level, now)
                        .map_or(0, |moment| level.before(moment, most))
                };
                sum.saturating_add(units)
            }),
            Order::Weighted => {
                let start = self.shares.start(of.level) + fair::time_of(own, of.level_weight);
                others.fold(own, |sum, (other, (level, rank))| {
                    let time = start.saturating_sub(self.shares.start(*other));
                    let units = fair::units_in(time, rank.weight).min(level.load.takes(most));
                    sum.saturating_add(units)
                })
            }
        }
    }

    /// How many of a tenant stand before a key in a level.
    pub(super) fn own_ahead(&self, level: i64, tenant: TenantId, key: &Key) -> usize {
        let level = self.levels.get(&level);
        level.map_or(0, |(level, _)| level.own_ahead(tenant, key))
    }

    /// The rank of somebody of a level who comes now: what of it is the same for all, in
    /// milliseconds. Bounded, so that levels keep apart even where nobody ages.
    pub(super) fn rank_of(&self, level: i64) -> i64 {
        const LEVELS: i64 = 1_000_000;
        const STEP: i64 = 1_000_000_000;
        let step = i64::try_from(self.aging.as_millis()).unwrap_or(STEP);
        level.clamp(-LEVELS, LEVELS) * step.min(STEP)
    }

    /// What waits at each level and could be served, of requests that take `most` units at most.
    pub(super) fn demands(&self, most: usize, now: Instant) -> impl Iterator<Item = Demand> {
        self.active.iter().filter_map(move |number| {
            let (level, rank) = self.levels.get(number)?;
            let waited = now.saturating_duration_since(level.oldest()?);
            let (_, next) = level.next(false)?;
            let fresh = self.rank_of(*number);
            let first = next.cost.min(most);
            let units = most.saturating_mul(level.load.requests);
            Some(Demand {
                level: *number,
                weight: rank.weight,
                head: fresh.saturating_sub(millis(waited)),
                fresh,
                first: first as u64,
                units: level.active_units().min(units).max(first) as u64,
            })
        })
    }

    pub(super) const fn order(&self) -> Order {
        self.order
    }

    /// Before which moment those of a worse level have come who go before a newcomer.
    fn aged(&self, worse: i64, than: i64, now: Instant) -> Option<Instant> {
        let steps = u32::try_from(worse.saturating_sub(than)).ok()?;
        now.checked_sub(self.aging.checked_mul(steps)?)
    }

    /// Puts a level where it belongs among the others, after a change of it.
    fn rank(&mut self, number: i64) {
        let Some((level, rank)) = self.levels.get_mut(&number) else {
            return;
        };
        let nanos = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        let age = level.oldest().map(|arrival| {
            let head_start = i128::from(number).saturating_mul(nanos(self.aging));
            let arrival = arrival.saturating_duration_since(self.epoch);
            head_start.saturating_add(nanos(arrival))
        });
        if level.is_active() && self.order == Order::Weighted {
            self.shares.begin(number, rank.weight);
        } else {
            self.shares.end(number);
        }
        if rank.age != age {
            if let Some(before) = rank.age {
                self.ages.remove(&(before, number));
            }
            if let Some(age) = age {
                self.ages.insert((age, number));
            }
            rank.age = age;
        }
        if age.is_some() {
            self.active.insert(number);
        } else {
            self.active.remove(&number);
        }
        if level.load.requests == 0 {
            self.levels.remove(&number);
        }
    }
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Who would be served last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    pub(super) at: At,
    pub(super) tenant: TenantId,
    pub(super) end: Virtual,
}

//! Those who wait in one class: a line for each tenant.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    fair::{self, Fair, Virtual},
    ranked::Ranked,
    tenants::TenantId,
};

/// A place in a line: the earliest deadline first, then who came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) deadline: Instant,
    pub(super) number: u64,
}

/// Somebody who waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    /// Where it is kept.
    pub(super) slot: usize,
    pub(super) arrival: Instant,
    pub(super) cost: usize,
    /// How much of that there was to take when it came.
    pub(super) units: usize,
    pub(super) bytes: usize,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) requests: usize,
    pub(super) units: usize,
    pub(super) bytes: usize,
}

impl Load {
    pub(super) const fn add(&mut self, entry: &Entry) {
        self.requests += 1;
        self.units = self.units.saturating_add(entry.units);
        self.bytes = self.bytes.saturating_add(entry.bytes);
    }

    pub(super) const fn take(&mut self, entry: &Entry) {
        self.requests -= 1;
        self.units = self.units.saturating_sub(entry.units);
        self.bytes = self.bytes.saturating_sub(entry.bytes);
    }

    /// The units that they take, each so many at most: there may be less than when they came.
    pub(super) fn takes(&self, most: usize) -> usize {
        self.units.min(self.requests.saturating_mul(most))
    }
}

/// The line of one tenant.
#[derive(Debug)]
struct Line {
    waiting: Ranked<Key, Entry>,
    units: usize,
    weight: u32,
    is_parked: bool,
    /// The arrival of its first, as it stands among the `heads`.
    head: Option<(Instant, u64)>,
    /// When all of it will have been served, as it stands among the `ends`.
    end: Virtual,
}

/// In which line of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// That of those who were let through once already, before all others.
    Again,
    /// That of a tenant.
    Of(TenantId),
}

/// Those who wait in one class, tenants by weighted shares.
#[derive(Debug)]
pub(super) struct Level {
    again: Ranked<Key, Entry>,
    again_load: Load,
    lines: HashMap<TenantId, Line>,
    fair: Fair<TenantId>,
    /// The first of each line that is not parked, by arrival.
    heads: BTreeSet<(Instant, u64, TenantId)>,
    ends: BTreeSet<(Virtual, TenantId)>,
    arrivals: Ranked<(Instant, u64), ()>,
    /// The units of the lines that are parked.
    parked: usize,
    pub(super) load: Load,
}

impl Level {
    pub(super) fn new() -> Self {
        Self {
            again: Ranked::new(),
            again_load: Load::default(),
            lines: HashMap::new(),
            fair: Fair::new(),
            heads: BTreeSet::new(),
            ends: BTreeSet::new(),
            arrivals: Ranked::new(),
            parked: 0,
            load: Load::default(),
        }
    }

    pub(super) fn add(&mut self, lane: Lane, weight: u32, entry: Entry) {
        self.load.add(&entry);
        self.arrivals.insert((entry.arrival, entry.key.number), ());
        let Lane::Of(tenant) = lane else {
            self.again_load.add(&entry);
            self.again.insert(entry.key, entry);
            return;
        };
        self.unlink(tenant);
        let line = self.lines.entry(tenant).or_insert_with(|| {
            self.fair.begin(tenant, weight);
            Line {
                waiting: Ranked::new(),
                units: 0,
                weight,
                is_parked: false,
                head: None,
                end: 0,
            }
        });
        if line.weight != weight {
            line.weight = weight;
            if !line.is_parked {
                self.fair.begin(tenant, weight);
            }
        }
        line.units = line.units.saturating_add(entry.units);
        if line.is_parked {
            self.parked = self.parked.saturating_add(entry.units);
        }
        line.waiting.insert(entry.key, entry);
        self.link(tenant);
    }

    /// Takes somebody out who is not served.
    pub(super) fn remove(&mut self, lane: Lane, key: &Key) -> Option<Entry> {
        let entry = match lane {
            Lane::Again => {
                let entry = self.again.remove(key)?;
                self.again_load.take(&entry);
                entry
            }
            Lane::Of(tenant) => {
                self.unlink(tenant);
                let line = self.lines.get_mut(&tenant)?;
                let entry = line.waiting.remove(key);
                let units = entry.map_or(0, |entry| entry.units);
                line.units = line.units.saturating_sub(units);
                if line.is_parked {
                    self.parked = self.parked.saturating_sub(units);
                }
                if line.waiting.len() == 0 {
                    self.lines.remove(&tenant);
                    self.fair.end(tenant);
                } else {
                    self.link(tenant);
                }
                entry?
            }
        };
        self.arrivals.remove(&(entry.arrival, key.number));
        self.load.take(&entry);
        Some(entry)
    }

    /// Takes somebody out who is served, and charges the tenant what it takes.
    pub(super) fn serve(&mut self, lane: Lane, key: &Key, units: usize) -> Option<Entry> {
        if let Lane::Of(tenant) = lane {
            self.fair.charge(tenant, units);
        }
        self.remove(lane, key)
    }

    /// Whether somebody could be served.
    pub(super) fn is_active(&self) -> bool {
        self.again.len() > 0 || !self.heads.is_empty()
    }

    /// The units of those who could be served.
    pub(super) const fn active_units(&self) -> usize {
        self.load.units.saturating_sub(self.parked)
    }

    /// When the one came who has waited longest, of the first in all lines.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let again = self.again.first().map(|(_, entry)| entry.arrival);
        let head = self.heads.first().map(|(arrival, ..)| *arrival);
        again.into_iter().chain(head).min()
    }

    /// Who is next; where that is since somebody has waited for long, the one who has.
    pub(super) fn next(&self, is_aged: bool) -> Option<(Lane, Entry)> {
        if let Some((_, entry)) = self.again.first() {
            return Some((Lane::Again, *entry));
        }
        let tenant = match is_aged {
            true => self.heads.first().map(|(.., tenant)| *tenant),
            false => self.fair.first(),
        }?;
        let (_, entry) = self.lines.get(&tenant)?.waiting.first()?;
        Some((Lane::Of(tenant), *entry))
    }

    /// Who would be served last, and when. Those who were let through once already are never it.
    pub(super) fn last(&self) -> Option<(Virtual, TenantId, Entry)> {
        let (end, tenant) = *self.ends.last()?;
        let (_, entry) = self.lines.get(&tenant)?.waiting.last()?;
        Some((end, tenant, *entry))
    }

    /// How many bytes of those may be pushed out who wait.
    pub(super) const fn may_go(&self) -> usize {
        self.load.bytes.saturating_sub(self.again_load.bytes)
    }

    /// When a tenant would have been served if it had that much more waiting.
    pub(super) fn end_with(&self, tenant: TenantId, weight: u32, more: usize) -> Virtual {
        let units = self.lines.get(&tenant).map_or(0, |line| line.units);
        self.fair.start(tenant) + fair::time_of(units.saturating_add(more), weight)
    }

    /// Passes a tenant by until it is unparked.
    pub(super) fn park(&mut self, tenant: TenantId) {
        self.unlink(tenant);
        if let Some(line) = self.lines.get_mut(&tenant) {
            if !line.is_parked {
                self.parked = self.parked.saturating_add(line.units);
            }
            line.is_parked = true;
            self.fair.end(tenant);
        }
        self.link(tenant);
    }

    /// Passes a tenant by no longer. Whether it was.
    pub(super) fn unpark(&mut self, tenant: TenantId) -> bool {
        let line = self.lines.get_mut(&tenant);
        let Some(line) = line.filter(|line| line.is_parked) else {
            return false;
        };
        line.is_parked = false;
        self.parked = self.parked.saturating_sub(line.units);
        self.fair.begin(tenant, line.weight);
        self.unlink(tenant);
        self.link(tenant);
        true
    }

    pub(super) fn forget(&mut self, tenant: TenantId) {
        self.fair.forget(tenant);
    }

    /// How many units are served before somebody who comes now with this key, where each takes so many
    /// at most.
    ///
    /// Before it starts, each other tenant is given what its weight is worth in the time that the
    /// newcomer's own tenant takes for what stands before it, as far as it has that much.
    pub(super) fn ahead(&self, lane: Lane, weight: u32, key: &Key, most: usize) -> usize {
        let again = self.again_load.takes(most);
        let Lane::Of(tenant) = lane else {
            return again;
        };
        let own = self.lines.get(&tenant);
        let own = own.map_or(0, |line| line.before(key, most));
        let start = self.fair.start(tenant) + fair::time_of(own, weight);
        let mut others: usize = 0;
        for (other, line) in self.lines.iter().filter(|(other, _)| **other != tenant) {
            let time = start.saturating_sub(self.fair.start(*other));
            let units = fair::units_in(time, line.weight).min(line.takes(most));
            others = others.saturating_add(units);
        }
        own.saturating_add(others).saturating_add(again)
    }

    /// How many of a tenant stand before a key.
    pub(super) fn own_ahead(&self, tenant: TenantId, key: &Key) -> usize {
        let line = self.lines.get(&tenant);
        line.map_or(0, |line| line.waiting.rank(key))
    }

    /// About how many units came before a moment, where each takes so many at most.
    pub(super) fn before(&self, moment: Instant, most: usize) -> usize {
        let rank = self.arrivals.rank(&(moment, 0));
        part(self.load.takes(most), rank, self.load.requests)
    }

    fn unlink(&mut self, tenant: TenantId) {
        if let Some(line) = self.lines.get_mut(&tenant) {
            self.ends.remove(&(line.end, tenant));
            if let Some((arrival, number)) = line.head.take() {
                self.heads.remove(&(arrival, number, tenant));
            }
        }
    }

    fn link(&mut self, tenant: TenantId) {
        if let Some(line) = self.lines.get_mut(&tenant) {
            line.end = self.fair.start(tenant) + fair::time_of(line.units, line.weight);
            self.ends.insert((line.end, tenant));
            let head = line.waiting.first().filter(|_| !line.is_parked);
            if let Some((key, entry)) = head {
                line.head = Some((entry.arrival, key.number));
                self.heads.insert((entry.arrival, key.number, tenant));
            }
        }
    }
}

impl Line {
    /// The units that all of it takes, each so many at most.
    fn takes(&self, most: usize) -> usize {
        self.units.min(self.waiting.len().saturating_mul(most))
    }

    /// About how many of them stand before a key.
    fn before(&self, key: &Key, most: usize) -> usize {
        part(self.takes(most), self.waiting.rank(key), self.waiting.len())
    }
}

/// That part of a number of units.
fn part(units: usize, of: usize, all: usize) -> usize {
    if of >= all {
        return units;
    }
    let part = units as u128 * of as u128 / all as u128;
    usize::try_from(part).unwrap_or(usize::MAX)
}

/// The time for which somebody who names no deadline stands in line as if it had one: it waits
/// behind those who have less, and not for ever.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

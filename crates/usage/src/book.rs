//! What deployments and groups did.

use std::{fmt, num::NonZeroUsize, ops::RangeInclusive, sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use ziggurat_core::{Deployment, DeploymentId, Idle, Keyed};
use ziggurat_settle::{Settlement, SettlementSink};

use crate::{Minute, Row, Subject, Tally, ring::Ring, tally::Sample};

const MINUTES: NonZeroUsize = NonZeroUsize::new(60).expect("is not zero");

/// More deployments, and more groups, than most configurations have. Beyond that those used least
/// are forgotten.
const KEYS: NonZeroUsize = NonZeroUsize::new(4_096).expect("is not zero");

/// What each deployment and each model group did, minute by minute. A handle: clones share it.
///
/// It is a [`SettlementSink`]. What is made of a deployment for a model or a client is counted as
/// what is configured, and a group is the configured one, not the name that a client gave it: so
/// there are no more keys than the configuration has, whatever clients ask for.
///
/// A key takes about 50 KB from its first attempt on, with an hour of minutes; after that nothing is
/// allocated. An attempt costs two looks into a map and two locks, each for one key.
#[derive(Clone)]
pub struct UsageBook(Arc<Shared>);

struct Shared {
    deployments: Keyed<DeploymentId, Entry>,
    groups: Keyed<String, Entry>,
    minutes: NonZeroUsize,
    /// When it was read last what other instances did.
    others: Mutex<Option<SystemTime>>,
}

/// What one key did.
#[derive(Debug)]
struct Entry(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    ring: Ring,
    totals: Tally,
    /// What other instances did, if that is known.
    others: Option<Ring>,
}

impl Entry {
    fn new(minutes: NonZeroUsize) -> Self {
        Self(Mutex::new(Counts {
            ring: Ring::new(minutes.get()),
            totals: Tally::default(),
            others: None,
        }))
    }

    fn record(&self, minute: Minute, sample: &Sample) {
        let counts = &mut *self.0.lock();
        counts.ring.at(minute).record(sample);
        counts.totals.record(sample);
    }
}

impl Idle for Entry {
    fn is_idle(&self) -> bool {
        let counts = self.0.lock();
        counts.totals.is_empty() && counts.others.is_none()
    }
}

impl UsageBook {
    /// An empty one, for the last hour of at most 4,096 deployments and as many groups.
    #[must_use]
    pub fn new() -> Self {
        Self::with_bounds(MINUTES, KEYS)
    }

    /// An empty one for so many minutes of so many deployments, and of as many groups.
    #[must_use]
    pub fn with_bounds(minutes: NonZeroUsize, keys: NonZeroUsize) -> Self {
        Self(Arc::new(Shared {
            deployments: Keyed::new(keys.get()),
            groups: Keyed::new(keys.get()),
            minutes,
            others: Mutex::new(None),
        }))
    }

    /// How many minutes are kept, the current one included.
    #[must_use]
    pub fn minutes(&self) -> usize {
        self.0.minutes.get()
    }

    /// What a deployment did; `None` if nothing is known of it.
    #[must_use]
    pub fn deployment(&self, id: &DeploymentId) -> Option<Page> {
        self.0.deployments.get(id).map(Page)
    }

    /// What the deployments of a group did, by the configured name of the group; `None` if nothing
    /// is known of it.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<Page> {
        self.0.groups.get(name).map(Page)
    }

    /// Notes an attempt that has ended, and how many were in flight at its deployment until then,
    /// itself included.
    pub fn record(&self, settlement: &Settlement, in_flight: u32) {
        // It ends now, and the time is known without another look at the clock.
        let started = settlement.started();
        let at = started.checked_add(settlement.took()).unwrap_or(started);
        let sample = Sample::new(settlement, in_flight);
        self.note(settlement.deployment(), at, &sample);
    }

    /// Notes that an earlier answer was given again to a request for a group, by its configured name,
    /// before a deployment was chosen: one request that used nothing.
    pub fn record_hit(&self, group: &str, at: SystemTime) {
        self.of_group(group).record(Minute::of(at), &Sample::hit());
    }

    /// All that is known of these minutes, a row for each deployment or group and minute in which it
    /// did something, in no order.
    #[must_use]
    pub fn rows(&self, minutes: &RangeInclusive<Minute>) -> Vec<Row> {
        let (first, last) = (minutes.start().number(), minutes.end().number());
        // No more than there are places.
        let first = first.max(last.saturating_sub(self.minutes() as u64 - 1));
        let mut rows = Vec::new();
        let mut add = |subject: Subject, entry: &Entry| {
            let counts = entry.0.lock();
            for minute in (first..=last).map(Minute::new) {
                if let Some(tally) = counts.ring.get(minute).filter(|it| !it.is_empty()) {
                    rows.push(Row::new(subject.clone(), minute, *tally));
                }
            }
        };
        let deployments = &self.0.deployments;
        deployments.for_each(|id, entry| add(Subject::Deployment(id.clone()), entry));
        let groups = &self.0.groups;
        groups.for_each(|name, entry| add(Subject::Group(name.as_str().into()), entry));
        rows
    }

    /// When it was read last what other instances did, by a [`UsageSync`](crate::UsageSync). `None`
    /// if that never was: then this book knows its own instance alone.
    #[must_use]
    pub fn others_read_at(&self) -> Option<SystemTime> {
        *self.0.others.lock()
    }

    /// Notes what other instances did in these minutes, in the place of what was noted before. A
    /// minute of which they say nothing stays as it was: a store that has lost what it knew gets it
    /// again.
    pub(crate) fn set_others(
        &self,
        minutes: &RangeInclusive<Minute>,
        rows: Vec<Row>,
        now: SystemTime,
    ) {
        *self.0.others.lock() = Some(now);
        for row in Row::merge(rows) {
            if !minutes.contains(&row.minute()) {
                continue;
            }
            let entry = match row.subject() {
                Subject::Deployment(id) => self.of(id),
                Subject::Group(name) => self.of_group(name),
            };
            let counts = &mut *entry.0.lock();
            let others = counts
                .others
                .get_or_insert_with(|| Ring::new(self.minutes()));
            *others.at(row.minute()) = *row.tally();
        }
    }

    fn of(&self, id: &DeploymentId) -> Arc<Entry> {
        let deployments = &self.0.deployments;
        deployments.get_or_insert_with(id, || Entry::new(self.0.minutes))
    }

    fn of_group(&self, name: &str) -> Arc<Entry> {
        let groups = &self.0.groups;
        groups.get_or_insert_with(name, || Entry::new(self.0.minutes))
    }

    fn note(&self, deployment: &Arc<Deployment>, at: SystemTime, sample: &Sample) {
        let deployment = deployment.configured();
        let minute = Minute::of(at);
        self.of(deployment.id()).record(minute, sample);
        self.of_group(deployment.group()).record(minute, sample);
    }
}

impl Default for UsageBook {
    fn default() -> Self {
        Self::new()
    }
}

impl SettlementSink for UsageBook {
    fn settle(&self, settlement: &Settlement) {
        self.record(settlement, 0);
    }
}

impl fmt::Debug for UsageBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageBook")
            .field("minutes", &self.0.minutes)
            .field("deployments", &self.0.deployments.len())
            .field("groups", &self.0.groups.len())
            .finish()
    }
}

/// What one deployment, or one group, did.
#[derive(Clone, Debug)]
pub struct Page(Arc<Entry>);

impl Page {
    /// In the minute that a moment is in.
    #[must_use]
    pub fn minute(&self, at: SystemTime) -> Tally {
        let counts = self.0.0.lock();
        counts.ring.get(Minute::of(at)).copied().unwrap_or_default()
    }

    /// In each of the last `n` minutes, the current one included, the oldest first; no more than are
    /// [kept](UsageBook::minutes).
    #[must_use]
    pub fn history(&self, now: SystemTime, n: usize) -> Vec<(Minute, Tally)> {
        self.0.0.lock().ring.last(Minute::of(now), n).collect()
    }

    /// In the last `n` minutes taken together.
    #[must_use]
    pub fn last(&self, now: SystemTime, n: usize) -> Tally {
        let mut sum = Tally::default();
        for (_, tally) in self.0.0.lock().ring.last(Minute::of(now), n) {
            sum.merge(&tally);
        }
        sum
    }

    /// Since the start of the process.
    #[must_use]
    pub fn totals(&self) -> Tally {
        self.0.0.lock().totals
    }

    /// The same of all instances, if a [`UsageSync`](crate::UsageSync) runs.
    #[must_use]
    pub fn of_all(&self) -> AllPage {
        AllPage(Arc::clone(&self.0))
    }
}

/// What one deployment, or one group, did at all instances.
///
/// This instance's part is as it is now; that of the others as they had written it when it was last
/// read, which is some seconds ago, or longer when the store is gone.
#[derive(Clone, Debug)]
pub struct AllPage(Arc<Entry>);

impl AllPage {
    /// In the minute that a moment is in.
    #[must_use]
    pub fn minute(&self, at: SystemTime) -> Tally {
        self.last(at, 1)
    }

    /// In each of the last `n` minutes, the current one included, the oldest first; no more than are
    /// [kept](UsageBook::minutes).
    #[must_use]
    pub fn history(&self, now: SystemTime, n: usize) -> Vec<(Minute, Tally)> {
        let counts = self.0.0.lock();
        let of_all = |(minute, mut tally): (Minute, Tally)| {
            if let Some(others) = counts.others.as_ref().and_then(|ring| ring.get(minute)) {
                tally.merge(others);
            }
            (minute, tally)
        };
        counts.ring.last(Minute::of(now), n).map(of_all).collect()
    }

    /// In the last `n` minutes taken together.
    #[must_use]
    pub fn last(&self, now: SystemTime, n: usize) -> Tally {
        let mut sum = Tally::default();
        let counts = self.0.0.lock();
        for ring in [Some(&counts.ring), counts.others.as_ref()] {
            let minutes = ring.into_iter().flat_map(|it| it.last(Minute::of(now), n));
            minutes.for_each(|(_, tally)| sum.merge(&tally));
        }
        sum
    }
}

#[cfg(test)]
mod tests;

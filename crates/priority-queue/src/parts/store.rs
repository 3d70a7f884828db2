//! Where instances meet.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::{Future, Ready, ready},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Report;

/// Keeps who holds how much of each gate's capacity. Clones are the same store.
///
/// All is by a clock of its own, so those of instances need not agree.
pub trait PartStore: Clone + Send + Sync + 'static {
    /// The exchange. `None` if the store is slow, full or gone: it is made again soon. Dropped, it
    /// may or may not have been made.
    type Exchange: Future<Output = Option<Answer>> + Send;

    /// Keeps what an instance tells of a gate, in the place of what it told before, sets a part of
    /// the capacity aside for it, and tells what the others have told, all in one step.
    ///
    /// What is set aside is what it [wants](Told::wants) as far as the others leave so much of the
    /// [whole](Told::whole), but never less than what runs. After `lease` it is forgotten, unless it is
    /// told again: so the part of an instance that has died is free. With a lease of zero it is
    /// forgotten at once.
    ///
    /// Without a gate, it is about the instances as such: which of them are there.
    fn exchange(
        &self,
        instance: &str,
        gate: Option<&str>,
        told: Told,
        lease: Duration,
    ) -> Self::Exchange;
}

/// What an instance tells of a gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The capacity of the gates of all instances together. At most [`MOST`](super::MOST).
    pub whole: u64,
    /// How much of it the instance wants. At most [`MOST`](super::MOST).
    pub wants: u64,
    /// What runs and what waits.
    pub report: Report,
}

impl Told {
    /// What is set aside for it where the others hold that much.
    #[must_use]
    pub fn grant(&self, taken: u64) -> u64 {
        let free = self.whole.saturating_sub(taken);
        self.wants.min(free).max(self.report.in_use)
    }
}

/// What an instance is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What is set aside for it.
    pub held: u64,
    /// The time, in milliseconds, by the clock of the store.
    pub now: u64,
    /// The others, in no order.
    pub others: Vec<Other>,
}

/// Another instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its name.
    pub instance: Arc<str>,
    /// How long ago it told this.
    pub age: Duration,
    /// What is set aside for it.
    pub held: u64,
    /// What runs and what waits there.
    pub report: Report,
}

/// A store of one process, for tests. Clones are the same store.
#[derive(Clone)]
pub struct MemoryPartStore(Arc<Shared>);

struct Shared {
    start: Instant,
    gates: Mutex<HashMap<Option<String>, BTreeMap<String, Row>>>,
}

struct Row {
    until: Instant,
    at: Instant,
    held: u64,
    report: Report,
}

impl MemoryPartStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            start: Instant::now(),
            gates: Mutex::default(),
        }))
    }

    /// Forgets everything, as a store that was restarted without its data.
    pub fn lose(&self) {
        self.0.gates.lock().clear();
    }

    /// How much of a gate's capacity is set aside, by instance.
    #[must_use]
    pub fn held(&self, gate: &str) -> BTreeMap<String, u64> {
        let gates = self.0.gates.lock();
        let rows = gates.get(&Some(gate.to_owned())).into_iter().flatten();
        let rows = rows.filter(|(_, row)| Instant::now() < row.until);
        rows.map(|(name, row)| (name.clone(), row.held)).collect()
    }
}

impl Default for MemoryPartStore {
    fn default() -> Self {
        Self::new()
    }
}

impl PartStore for MemoryPartStore {
    type Exchange = Ready<Option<Answer>>;

    fn exchange(
        &self,
        instance: &str,
        gate: Option<&str>,
        told: Told,
        lease: Duration,
    ) -> Self::Exchange {
        let now = Instant::now();
        let mut gates = self.0.gates.lock();
        let rows = gates.entry(gate.map(str::to_owned)).or_default();
        rows.retain(|name, row| now < row.until && name != instance);
        let others: Vec<_> = rows
            .iter()
            .map(|(name, row)| Other {
                instance: name.as_str().into(),
                age: now - row.at,
                held: row.held,
                report: row.report.clone(),
            })
            .collect();
        let held = told.grant(others.iter().map(|it| it.held).sum());
        if !lease.is_zero() {
            let row = Row {
                until: now + lease,
                at: now,
                held,
                report: told.report,
            };
            rows.insert(instance.to_owned(), row);
        }
        gates.retain(|_, rows| !rows.is_empty());
        let now = (now - self.0.start).as_millis() as u64;
        ready(Some(Answer { held, now, others }))
    }
}

impl fmt::Debug for MemoryPartStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPartStore")
            .field("gates", &self.0.gates.lock().len())
            .finish()
    }
}

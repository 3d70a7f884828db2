//! Which gate holds a request up: one for all, or one for each key.

use std::{fmt, hash::Hash, sync::Arc};

use ziggurat_core::{Extract, Keyed, Scope};

use self::sealed::{Every, Found, Of};
use crate::{
    Capacity, Rules,
    gate::Gate,
    queue::{Classes, Stats},
};

/// How many keys have a gate at a time, more than most configurations have. Beyond that those are
/// forgotten at which nobody is.
const KEYS: usize = 4_096;

/// What finds the gate of a request: [`One`] or [`Each`].
pub trait Gates<R>: Of<R> {}

impl<R, G: Of<R>> Gates<R> for G {}

/// What tells of its gates: [`One`] or [`Each`].
pub trait AllGates: Every {}

impl<G: Every> AllGates for G {}

pub(crate) mod sealed {
    use std::sync::Arc;

    use ziggurat_core::Scope;

    use crate::{
        gate::Gate,
        queue::{Classes, Stats},
    };

    pub trait Of<R> {
        /// The gate of a request; `None` if nothing holds it up.
        fn gate(&self, request: &R) -> Option<Found>;
    }

    pub trait Every {
        /// All gates together.
        fn stats(&self) -> Stats;

        /// What became of the requests of each class.
        fn classes(&self) -> Classes;

        /// Both.
        fn overview(&self) -> (Stats, Classes);
    }

    /// A gate, and whom its refusals concern.
    #[derive(Clone, Debug)]
    pub struct Found {
        pub(crate) gate: Arc<Gate>,
        pub(crate) scope: Scope,
    }
}

/// One gate for all requests, of [`PriorityQueueLayer::new`](crate::PriorityQueueLayer::new). Who is
/// refused is refused wherever it goes.
#[derive(Clone, Debug)]
pub struct One {
    found: Found,
    capacity: Capacity,
}

impl One {
    pub(crate) fn new(capacity: Capacity, rules: Rules) -> Self {
        let gate = Arc::new(Gate::new(capacity.get(), rules));
        capacity.lead(&gate);
        let scope = Scope::Request;
        let found = Found { gate, scope };
        Self { found, capacity }
    }

    pub(crate) const fn capacity(&self) -> &Capacity {
        &self.capacity
    }
}

impl<R> Of<R> for One {
    fn gate(&self, _: &R) -> Option<Found> {
        Some(self.found.clone())
    }
}

impl Every for One {
    fn stats(&self) -> Stats {
        self.found.gate.stats()
    }

    fn classes(&self) -> Classes {
        self.found.gate.classes()
    }

    fn overview(&self) -> (Stats, Classes) {
        self.found.gate.overview()
    }
}

/// A gate for each key, of [`PriorityQueueLayer::keyed`](crate::PriorityQueueLayer::keyed), made when
/// the first request for it comes. Who is refused by one may try another.
pub struct Each<K, X, S>(Arc<Inner<K, X, S>>);

struct Inner<K, X, S> {
    gates: Keyed<K, Gate>,
    key_by: X,
    capacity_of: S,
    rules: Rules,
}

impl<K: Hash + Eq + Clone, X, S> Each<K, X, S> {
    pub(crate) fn new(key_by: X, capacity_of: S, rules: Rules) -> Self {
        Self(Arc::new(Inner {
            gates: Keyed::new(KEYS),
            key_by,
            capacity_of,
            rules,
        }))
    }

    pub(crate) fn retain(&self, mut keep: impl FnMut(&K) -> bool) {
        self.0.gates.retain(|key, _| keep(key));
    }

    pub(crate) fn each(&self, mut each: impl FnMut(&K, &Gate)) {
        (self.0.gates).for_each(|key, gate| each(key, gate));
    }
}

impl<K, X, S, R> Of<R> for Each<K, X, S>
where
    K: Hash + Eq + Clone,
    X: Extract<K, R>,
    S: Extract<Option<Capacity>, K>,
{
    fn gate(&self, request: &R) -> Option<Found> {
        let inner = &*self.0;
        let key = inner.key_by.extract(request);
        let gate = match inner.gates.get(&key) {
            Some(gate) => gate,
            None => {
                let capacity = inner.capacity_of.extract(&key)?;
                let mut is_new = false;
                let gate = inner.gates.get_or_insert_with(&key, || {
                    is_new = true;
                    Gate::new(capacity.get(), inner.rules.clone())
                });
                if is_new {
                    capacity.lead(&gate);
                }
                gate
            }
        };
        let scope = Scope::Attempt;
        Some(Found { gate, scope })
    }
}

impl<K: Hash + Eq + Clone, X, S> Every for Each<K, X, S> {
    fn stats(&self) -> Stats {
        let mut all = Stats::default();
        self.each(|_, gate| all = all.and(gate.stats()));
        all
    }

    fn classes(&self) -> Classes {
        let mut all = Classes::new();
        self.each(|_, gate| add(&mut all, gate.classes()));
        all
    }

    fn overview(&self) -> (Stats, Classes) {
        let (mut all, mut classes) = (Stats::default(), Classes::new());
        self.each(|_, gate| {
            let (stats, of_gate) = gate.overview();
            all = all.and(stats);
            add(&mut classes, of_gate);
        });
        (all, classes)
    }
}

/// Adds the classes of a gate, which are the same at all.
fn add(all: &mut Classes, of_gate: Classes) {
    if all.is_empty() {
        *all = of_gate;
        return;
    }
    let pairs = all.iter_mut().zip(of_gate);
    pairs.for_each(|((_, sum), (_, stats))| *sum = sum.and(stats));
}

impl<K, X, S> Clone for Each<K, X, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, X, S> fmt::Debug for Each<K, X, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each")
            .field("rules", &self.0.rules)
            .finish_non_exhaustive()
    }
}

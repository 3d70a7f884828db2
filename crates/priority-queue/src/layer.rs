use std::{hash::Hash, num::NonZeroUsize, sync::Arc};

use tower_layer::Layer;
use tracing::debug;
use ziggurat_core::FromParam;

use crate::{AllGates, ByPriority, Capacity, ClassStats, Each, One, PriorityQueue, Rules, Stats};

/// Decides who goes next when capacity is short: a layer that makes requests wait in line, by
/// priority and fairly, instead of refusing them. *Deferring.*
///
/// All services that a layer and its clones make share its gates. See the [crate docs](crate) for an
/// example and the rules.
#[derive(Clone, Debug)]
pub struct PriorityQueueLayer<X = FromParam, G = One> {
    gates: G,
    claim_by: X,
}

impl PriorityQueueLayer {
    /// A layer that lets that much through at a time, by the default [`Rules`]. What a request takes,
    /// and whose it is, it says itself through [`Param<Claim>`](crate::Claim).
    #[must_use]
    pub fn new(capacity: impl Into<Capacity>) -> Self {
        Self::with_rules(capacity, Rules::new())
    }

    /// The same by other rules.
    #[must_use]
    pub fn with_rules(capacity: impl Into<Capacity>, rules: Rules) -> Self {
        Self {
            gates: One::new(capacity.into(), rules),
            claim_by: FromParam,
        }
    }
}

impl<K: Hash + Eq + Clone, Y, S> PriorityQueueLayer<FromParam, Each<K, Y, S>> {
    /// A layer with a gate for each key, such as each group or each deployment, of which none knows
    /// of the others: who waits for one that hangs holds up nobody else.
    ///
    /// `key_by` says for which key a request is, and `capacity_of` how much a key takes; requests for
    /// one without a capacity do not wait. Both are [`Extract`](ziggurat_core::Extract)s, such as
    /// closures. `capacity_of` is asked when a key is met first, or once more after it was forgotten;
    /// what changes later is the [`Capacity`] itself.
    #[must_use]
    pub fn keyed(key_by: Y, capacity_of: S, rules: Rules) -> Self {
        Self {
            gates: Each::new(key_by, capacity_of, rules),
            claim_by: FromParam,
        }
    }
}

impl<X, G> PriorityQueueLayer<X, G> {
    /// Sets what a request brings: an [`Extract<Claim, Request>`](ziggurat_core::Extract), such as a
    /// closure.
    ///
    /// A client that may name any priority may go before everybody else; this is the place to hold
    /// it to a range.
    #[must_use]
    pub fn claim_by<Y>(self, claim_by: Y) -> PriorityQueueLayer<Y, G> {
        PriorityQueueLayer {
            gates: self.gates,
            claim_by,
        }
    }

    /// Sets how the priority of a request is found, of requests that are all of one tenant and take
    /// one unit each: an [`Extract<Priority, Request>`](ziggurat_core::Extract), such as a closure.
    #[must_use]
    pub fn priority_by<Y>(self, priority_by: Y) -> PriorityQueueLayer<ByPriority<Y>, G> {
        self.claim_by(ByPriority(priority_by))
    }
}

impl<X> PriorityQueueLayer<X, One> {
    /// Changes the capacity. When it grows, the first in line go at once; when it shrinks, requests
    /// in flight stay, and none follows until there are few enough.
    ///
    /// Not for a part: what is set there holds until its instance hears of the store. Change the whole
    /// it is [of](crate::Parts::of).
    pub fn set_capacity(&self, capacity: NonZeroUsize) {
        self.gates.capacity().set(capacity.get());
        debug!(capacity, "capacity changed");
    }
}

impl<X, K: Hash + Eq + Clone, Y, S> PriorityQueueLayer<X, Each<K, Y, S>> {
    /// The queue of each key that has one, in no order.
    #[must_use]
    pub fn each(&self) -> Vec<(K, Stats)> {
        let mut all = Vec::new();
        (self.gates).each(|key, gate| all.push((key.clone(), gate.stats())));
        all
    }

    /// Forgets the gates of keys for which `keep` says no: what a reload took away. Who waits there
    /// goes on to wait.
    pub fn retain(&self, keep: impl FnMut(&K) -> bool) {
        self.gates.retain(keep);
    }
}

impl<X, G: AllGates> PriorityQueueLayer<X, G> {
    /// How many requests wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.stats().waiting
    }

    /// How many requests are in flight: from their turn to their settlement.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.stats().in_flight
    }

    /// All gates at this moment, together.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.gates.stats()
    }

    /// What became of the requests of each class, at all gates together. Without classes there is
    /// one, of no name.
    #[must_use]
    pub fn classes(&self) -> Vec<(Option<Arc<str>>, ClassStats)> {
        self.gates.classes()
    }

    /// Both [`stats`](Self::stats) and [`classes`](Self::classes), those of a gate at one moment.
    #[must_use]
    pub fn overview(&self) -> (Stats, Vec<(Option<Arc<str>>, ClassStats)>) {
        self.gates.overview()
    }
}

impl<S, X: Clone, G: Clone> Layer<S> for PriorityQueueLayer<X, G> {
    type Service = PriorityQueue<S, X, G>;

    fn layer(&self, inner: S) -> Self::Service {
        PriorityQueue::new(inner, self.gates.clone(), self.claim_by.clone())
    }
}

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use tower_layer::Layer;
use tracing::debug;
use ziggurat_core::FromParam;

use crate::{PriorityQueue, Stats, gate::Gate};

/// Decides who goes next when capacity is short: a layer that makes requests wait in line, by
/// priority, instead of refusing them. *Deferring.*
///
/// All services that a layer and its clones make share one capacity and one queue. See the
/// [crate docs](crate) for an example and the rules.
#[derive(Clone, Debug)]
pub struct PriorityQueueLayer<X = FromParam> {
    gate: Arc<Gate>,
    extract: X,
}

impl PriorityQueueLayer {
    /// A layer that lets that many requests through at a time.
    ///
    /// At most 1,000 wait, a waiter gains a step of priority every ten seconds, and the priority is
    /// what the request says through [`Param<Priority>`](ziggurat_core::Param).
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self {
            gate: Arc::new(Gate::new(capacity.get())),
            extract: FromParam,
        }
    }
}

impl<X> PriorityQueueLayer<X> {
    /// Sets how many requests may wait; the next one is refused. With zero nobody waits.
    #[must_use]
    pub fn max_waiting(self, requests: usize) -> Self {
        self.gate.with(|queue| {
            queue.set_max_waiting(requests);
            None
        });
        self
    }

    /// Sets how long a request waits for one step of priority: one of priority 3 that has waited
    /// for three times as long stands where one of priority 0 that comes now does.
    ///
    /// With [`Duration::ZERO`] only the order of arrival counts, with [`Duration::MAX`] nobody ages
    /// and the low priorities may starve. It concerns requests that come after the change.
    #[must_use]
    pub fn aging(self, step: Duration) -> Self {
        self.gate.with(|queue| {
            queue.set_aging(step);
            None
        });
        self
    }

    /// Sets how the priority of a request is found: an
    /// [`Extract<Priority, Request>`](ziggurat_core::Extract), such as a closure.
    ///
    /// A client that may name any priority may go before everybody else; this is the place to hold
    /// it to a range.
    #[must_use]
    pub fn priority_by<Y>(self, extract: Y) -> PriorityQueueLayer<Y> {
        PriorityQueueLayer {
            gate: self.gate,
            extract,
        }
    }

    /// Changes the capacity. When it grows, the first in line go at once; when it shrinks, requests
    /// in flight stay, and none follows until there are few enough.
    pub fn set_capacity(&self, capacity: NonZeroUsize) {
        self.gate.with(|queue| queue.set_capacity(capacity.get()));
        debug!(capacity, "capacity changed");
    }

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

    /// The queue at this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.gate.read(|queue| queue.stats())
    }
}

impl<S, X: Clone> Layer<S> for PriorityQueueLayer<X> {
    type Service = PriorityQueue<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        PriorityQueue::new(inner, Arc::clone(&self.gate), self.extract.clone())
    }
}

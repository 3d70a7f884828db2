use std::{
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicBool},
};

use tokio::sync::{Semaphore, mpsc};
use tower_layer::Layer;
use ziggurat_core::Extract;

use crate::{Counts, DrainService, Draining, queue::Queue};

/// Reads streams to their end when their client has hung up. *Pass-through*, the topmost layer.
///
/// All services that a layer and its clones make share one queue. See the [crate docs](crate) for an
/// example and the rules.
#[derive(Clone, Debug)]
pub struct DrainLayer<X = Always> {
    queue: Arc<Queue>,
    extract: X,
}

/// The extractor that has every stream drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Always;

impl<R> Extract<bool, R> for Always {
    fn extract(&self, _: &R) -> bool {
        true
    }
}

impl DrainLayer {
    /// A layer that has every stream drained, and the other end of its queue, in which at most
    /// `capacity` streams wait.
    pub fn new(capacity: NonZeroUsize) -> (Self, Draining) {
        let (sender, receiver) = mpsc::channel(capacity.get().min(Semaphore::MAX_PERMITS));
        let runs = Arc::new(AtomicBool::new(false));
        let queue = Queue::new(sender, Arc::default(), Arc::clone(&runs));
        let layer = Self {
            queue: Arc::new(queue),
            extract: Always,
        };
        (layer, Draining::new(receiver, runs))
    }
}

impl<X> DrainLayer<X> {
    /// Asks each request whether its stream is to be drained: by an
    /// [`Extract<bool, R>`](ziggurat_core::Extract), such as a closure.
    #[must_use]
    pub fn per_request<Y>(self, extract: Y) -> DrainLayer<Y> {
        DrainLayer {
            queue: self.queue,
            extract,
        }
    }

    /// How many streams were read to their end after their client had hung up.
    #[must_use]
    pub fn drained(&self) -> u64 {
        self.queue.counts().drained()
    }

    /// How many streams were closed before their end, for want of room or of a driver, or because
    /// their time was up.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.counts().dropped()
    }

    /// Both counts, to be kept when the layer is gone.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(self.queue.counts())
    }
}

impl<S, X: Clone> Layer<S> for DrainLayer<X> {
    type Service = DrainService<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        DrainService::new(inner, Arc::clone(&self.queue), self.extract.clone())
    }
}

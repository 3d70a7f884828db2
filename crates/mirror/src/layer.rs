use std::{fmt, num::NonZeroUsize, sync::Arc};

use tokio::sync::{Notify, Semaphore, mpsc};
use tower_layer::Layer;

use crate::{MirrorService, Mirrored, queue::Queue};

/// Sends copies of the requests that a deployment answers to its mirrors. *Pass-through.*
///
/// It stands right below the balancer. All services that a layer and its clones make share one
/// queue. See the [crate docs](crate) for an example and the rules.
pub struct MirrorLayer<C> {
    queue: Arc<Queue<C>>,
    share: f64,
}

/// A share is not from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShareError(f64);

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the share to mirror must be from 0 to 1, not {}", self.0)
    }
}

impl std::error::Error for ShareError {}

impl<C> MirrorLayer<C> {
    /// A layer that mirrors every request, and the other end of its queue, which holds at most
    /// `capacity` copies.
    pub fn new(capacity: NonZeroUsize) -> (Self, Mirrored<C>) {
        let capacity = capacity.get().min(Semaphore::MAX_PERMITS);
        let (sender, receiver) = mpsc::channel(capacity);
        let closing = Arc::new(Notify::new());
        let layer = Self {
            queue: Arc::new(Queue::new(sender, Arc::clone(&closing))),
            share: 1.0,
        };
        (layer, Mirrored::new(receiver, closing))
    }

    /// Mirrors only a random part of the requests.
    ///
    /// # Errors
    ///
    /// If `share` is not from 0 to 1.
    pub fn share(mut self, share: f64) -> Result<Self, ShareError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(ShareError(share));
        }
        self.share = share;
        Ok(self)
    }

    /// How many copies were dropped because the queue was full or closed, or its driver gone.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Lets the driver end once it has sent what is in the queue; nothing is put in any more.
    ///
    /// Needed only where the driver sends its copies through a service of this layer, which keeps
    /// the queue open.
    pub fn close(&self) {
        self.queue.close();
    }
}

impl<C> Clone for MirrorLayer<C> {
    fn clone(&self) -> Self {
        Self {
            queue: Arc::clone(&self.queue),
            share: self.share,
        }
    }
}

impl<C> fmt::Debug for MirrorLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirrorLayer")
            .field("queue", &self.queue)
            .field("share", &self.share)
            .finish()
    }
}

impl<S, C> Layer<S> for MirrorLayer<C> {
    type Service = MirrorService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        MirrorService::new(inner, Arc::clone(&self.queue), self.share)
    }
}

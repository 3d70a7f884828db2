//! The driver of the copies.

use std::{fmt, num::NonZeroUsize, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{Notify, mpsc::Receiver},
    time::timeout,
};
use tower::ServiceExt;
use tower_service::Service;
use ziggurat_core::LlmResponse;

/// The far end of the queue of copies: what sends them.
///
/// Without a driver the queue fills and all further copies are dropped.
#[must_use = "copies are sent only by `run`"]
pub struct Mirrored<C> {
    receiver: Receiver<C>,
    closing: Arc<Notify>,
    time_limit: Duration,
}

impl<C> Mirrored<C> {
    pub(crate) const fn new(receiver: Receiver<C>, closing: Arc<Notify>) -> Self {
        Self {
            receiver,
            closing,
            time_limit: Duration::from_secs(600),
        }
    }

    /// Sets how long a copy may take from its call to the end of its answer; ten minutes by default.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sends the copies through a service, at most `max_in_flight` at a time, and reads each answer
    /// to its end. To be spawned once.
    ///
    /// It ends when the layer and all its services are gone, or the layer was
    /// [closed](crate::MirrorLayer::close), and the last copy is done. Dropped, it drops all copies.
    /// Failures, and panics of the service, end the copy that they come from and nothing else.
    pub async fn run<S>(mut self, service: S, max_in_flight: NonZeroUsize)
    where
        S: Service<C, Response = LlmResponse> + Clone,
    {
        let mut in_flight = FuturesUnordered::new();
        loop {
            let has_room = in_flight.len() < max_in_flight.get();
            tokio::select! {
                copy = self.receiver.recv(), if has_room => match copy {
                    Some(copy) => {
                        let sending = timeout(self.time_limit, send(service.clone(), copy));
                        in_flight.push(AssertUnwindSafe(sending).catch_unwind());
                    }
                    None => break,
                },
                Some(_) = in_flight.next() => {}
                () = self.closing.notified() => self.receiver.close(),
            }
        }
        while in_flight.next().await.is_some() {}
    }
}

/// Sends a copy and reads its answer. Nobody wants to know how it ends.
async fn send<S, C>(service: S, copy: C)
where
    S: Service<C, Response = LlmResponse>,
{
    let Ok(response) = service.oneshot(copy).await else {
        return;
    };
    let (_, mut items) = response.into_parts();
    while items.next().await.is_some() {}
}

impl<C> fmt::Debug for Mirrored<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirrored")
            .field("waiting", &self.receiver.len())
            .field("time_limit", &self.time_limit)
            .finish()
    }
}

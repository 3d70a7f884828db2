//! A deferring layer with so much room and a queue, which makes mistakes when told to.

use std::{
    collections::{HashSet, VecDeque},
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Attach, Error, LlmRequest, LlmResponse, Observer};
use ziggurat_testkit::contract::Contract;

use crate::request;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    AsksTheInnerService,
    NeverReadiesIt,
    SendsTwice,
    ReadiesASpare,
    ReadiesBeforeItWaits,
    ForgetsTheWaker,
    LosesATurn,
    StaysInTheQueue,
    HoldsUntilTheHead,
}

#[derive(Default)]
struct Room {
    taken: usize,
    of: usize,
    next: u64,
    waiting: VecDeque<(u64, Waker)>,
    granted: HashSet<u64>,
}

#[derive(Clone)]
pub(crate) struct GateLayer {
    fault: Fault,
    room: Arc<Mutex<Room>>,
}

#[derive(Clone)]
pub(crate) struct Gate<S> {
    inner: S,
    layer: GateLayer,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner,
            layer: self.clone(),
        }
    }
}

/// A place in the queue.
struct Turn {
    layer: GateLayer,
    number: u64,
}

impl Turn {
    fn poll(&self, cx: &Context<'_>) -> Poll<Seat> {
        let mut room = self.layer.room.lock();
        let room = &mut *room;
        if room.granted.remove(&self.number) {
            return Poll::Ready(Seat(self.layer.clone()));
        }
        if room.taken < room.of {
            room.taken += 1;
            return Poll::Ready(Seat(self.layer.clone()));
        }
        room.waiting.retain(|(number, _)| *number != self.number);
        room.waiting.push_back((self.number, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut room = self.layer.room.lock();
        if self.layer.fault != Fault::StaysInTheQueue {
            room.waiting.retain(|(number, _)| *number != self.number);
        }
        let granted = room.granted.remove(&self.number);
        drop(room);
        if granted && self.layer.fault != Fault::LosesATurn {
            drop(Seat(self.layer.clone()));
        }
    }
}

/// A part of the room.
struct Seat(GateLayer);

impl Observer for Seat {}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut room = self.0.room.lock();
        let Some((number, waker)) = room.waiting.pop_front() else {
            room.taken -= 1;
            return;
        };
        room.granted.insert(number);
        drop(room);
        if self.0.fault != Fault::ForgetsTheWaker {
            waker.wake();
        }
    }
}

impl<S, R> Service<R> for Gate<S>
where
    S: Service<R, Response = LlmResponse> + Clone + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
    R: Clone + Send + 'static,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.layer.fault == Fault::AsksTheInnerService {
            return self.inner.poll_ready(cx).map_err(Into::into);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let layer = self.layer.clone();
        let mut inner = self.inner.clone();
        Box::pin(async move {
            let number = {
                let mut room = layer.room.lock();
                room.next += 1;
                room.next
            };
            let fault = layer.fault;
            if fault == Fault::ReadiesBeforeItWaits {
                inner.ready().await.map_err(Into::into)?;
            }
            let turn = Turn { layer, number };
            let seat = poll_fn(|cx| turn.poll(cx)).await;
            drop(turn);

            let mut spare = inner.clone();
            match fault {
                Fault::SendsTwice => {
                    drop(
                        inner
                            .clone()
                            .oneshot(request.clone())
                            .await
                            .map_err(Into::into)?,
                    );
                }
                Fault::ReadiesASpare => {
                    spare.ready().await.map_err(Into::into)?;
                }
                _ => {}
            }
            if fault != Fault::NeverReadiesIt {
                inner.ready().await.map_err(Into::into)?;
            }
            let response = inner.call(request).await.map_err(Into::into)?;
            Ok(match fault {
                Fault::HoldsUntilTheHead => response,
                _ => response.attach(seat),
            })
        })
    }
}

fn layer(fault: Fault, of: usize) -> GateLayer {
    GateLayer {
        fault,
        room: Arc::new(Mutex::new(Room {
            of,
            ..Room::default()
        })),
    }
}

pub(crate) fn contract(fault: Fault) -> Contract<GateLayer, LlmRequest> {
    Contract::deferring(move || layer(fault, 2), request)
        .idle(|layer| {
            let room = layer.room.lock();
            room.taken == 0 && room.waiting.is_empty() && room.granted.is_empty()
        })
        .saturated(move || layer(fault, 1))
}

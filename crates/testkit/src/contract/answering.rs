//! The futures and streams of a probe.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::Stream;
use parking_lot::Mutex;
use tokio::time::Sleep;
use ziggurat_core::{Attach, End, Error, Item, LlmResponse, Observer};

use super::{
    Answer, Ended,
    answer::{Outcome, Then, error, item},
    probe::Shared,
};

/// One of a probe's futures or streams.
struct Live(Arc<Mutex<Shared>>);

impl Live {
    fn new(shared: &Arc<Mutex<Shared>>) -> Self {
        shared.lock().live += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.lock().live -= 1;
    }
}

/// The future of a [`Probe`](super::Probe)'s answer.
pub struct Answering {
    answer: Answer,
    yielded: u32,
    sleep: Option<Pin<Box<Sleep>>>,
    live: Live,
}

impl Answering {
    pub(super) fn new(answer: Answer, shared: &Arc<Mutex<Shared>>) -> Self {
        Self {
            sleep: answer.after.map(|wait| Box::pin(tokio::time::sleep(wait))),
            answer,
            yielded: 0,
            live: Live::new(shared),
        }
    }
}

impl Future for Answering {
    type Output = Result<LlmResponse, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.live.0.lock().polls += 1;
        if self.yielded < self.answer.yields {
            self.yielded += 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
        }
        let mut shared = self.live.0.lock();
        if self.answer.held && !shared.released {
            shared.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        drop(shared);
        let shared = &self.live.0;
        let response = match &self.answer.outcome {
            Outcome::Complete => LlmResponse::complete("{}", None),
            Outcome::Error(kind) => return Poll::Ready(Err(error(*kind))),
            Outcome::Rejection(rejection) => {
                let refused = Error::rejected(rejection.clone(), "the probe was told to refuse");
                return Poll::Ready(Err(refused));
            }
            &Outcome::Stream { items, then } => LlmResponse::stream(Box::pin(Streaming {
                next: 0,
                items,
                then,
                yields: self.answer.yields > 0,
                yielded: true,
                _live: Live::new(shared),
            })),
        };
        Poll::Ready(Ok(response.attach(Witness(Arc::clone(shared)))))
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering")
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}

struct Streaming {
    next: u32,
    items: u32,
    then: Then,
    /// Whether it is pending before each item.
    yields: bool,
    yielded: bool,
    _live: Live,
}

impl Stream for Streaming {
    type Item = Result<Item, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.yields && !std::mem::replace(&mut self.yielded, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.yielded = false;
        if self.next < self.items {
            let next = self.next;
            self.next += 1;
            return Poll::Ready(Some(Ok(item(next, self.items))));
        }
        match self.then {
            Then::End => Poll::Ready(None),
            Then::Error(kind) => Poll::Ready(Some(Err(error(kind)))),
            Then::Silence => Poll::Pending,
        }
    }
}

struct Witness(Arc<Mutex<Shared>>);

impl Observer for Witness {
    fn end(&mut self, end: End<'_>) {
        self.0.lock().ends.push(match end {
            End::Complete { .. } => Ended::Complete,
            End::Failed(error) => Ended::Failed(error.kind()),
            End::Abandoned => Ended::Abandoned,
        });
    }
}

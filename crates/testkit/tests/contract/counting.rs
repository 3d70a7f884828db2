//! A pass-through layer that counts what is on its way, and makes mistakes when told to.

use std::{
    any::type_name,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::StreamExt;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Attach, End, Error, ErrorKind, LlmRequest, LlmResponse, Observer};
use ziggurat_testkit::contract::Contract;

use crate::request;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    CallsAClone,
    ReadyWithoutAsking,
    ReadinessErrorIsPending,
    WakesItself,
    LooksEveryTwoMillis,
    CountsDownOnlyWhenAnswered,
    CountsUntilTheHead,
    CountsDownTwice,
    HidesABreak,
    DropsUsage,
    RefusalIsAFailure,
    KeepsTheRefused,
    FailureIsAnother,
    KnowsOnlyItsOwnErrors,
}

pub(crate) struct CountingLayer {
    fault: Fault,
    count: Arc<AtomicUsize>,
}

#[derive(Clone)]
pub(crate) struct Counting<S> {
    inner: S,
    fault: Fault,
    count: Arc<AtomicUsize>,
}

impl<S> Layer<S> for CountingLayer {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting {
            inner,
            fault: self.fault,
            count: Arc::clone(&self.count),
        }
    }
}

struct Counted {
    /// What it counts down when it is dropped.
    count: Option<Arc<AtomicUsize>>,
    twice: bool,
}

impl Counted {
    fn count_down(&self) {
        if let Some(count) = &self.count {
            count.fetch_sub(1, SeqCst);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count_down();
    }
}

impl Observer for Counted {
    fn end(&mut self, _: End<'_>) {
        if self.twice {
            self.count_down();
        }
    }
}

impl<S, R> Service<R> for Counting<S>
where
    S: Service<R, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.fault == Fault::ReadyWithoutAsking {
            return Poll::Ready(Ok(()));
        }
        match self.inner.poll_ready(cx) {
            Poll::Ready(Err(_)) if self.fault == Fault::ReadinessErrorIsPending => Poll::Pending,
            ready => ready.map_err(Into::into),
        }
    }

    fn call(&mut self, request: R) -> Self::Future {
        let fault = self.fault;
        let mut inner = self.inner.clone();
        if fault != Fault::CallsAClone {
            std::mem::swap(&mut self.inner, &mut inner);
        }
        self.count.fetch_add(1, SeqCst);
        let mut counted = Counted {
            count: Some(Arc::clone(&self.count)),
            twice: fault == Fault::CountsDownTwice,
        };
        let forgetful = fault == Fault::CountsDownOnlyWhenAnswered;
        let kept = forgetful.then(|| counted.count.take());
        let future = inner.call(request);
        Box::pin(async move {
            let result = wait(fault, future).await;
            if let Some(count) = kept {
                counted.count = count;
            }
            match result {
                Ok(response) => Ok(answer(fault, response, counted)),
                Err(error) => Err(failure::<S::Error>(fault, error, counted)),
            }
        })
    }
}

async fn wait<F: Future>(fault: Fault, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        match fault {
            Fault::WakesItself => {
                return poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    future.as_mut().poll(cx)
                })
                .await;
            }
            Fault::LooksEveryTwoMillis => {
                let look = tokio::time::timeout(Duration::from_millis(2), &mut future);
                if let Ok(output) = look.await {
                    return output;
                }
            }
            _ => return future.await,
        }
    }
}

fn answer(fault: Fault, response: LlmResponse, counted: Counted) -> LlmResponse {
    if fault == Fault::CountsUntilTheHead {
        return response;
    }
    if !response.is_stream() {
        return response.attach(counted);
    }
    let items = |response: LlmResponse| response.into_parts().1;
    let response = match fault {
        Fault::HidesABreak => LlmResponse::stream(Box::pin(
            items(response).filter(|item| std::future::ready(item.is_ok())),
        )),
        Fault::DropsUsage => LlmResponse::stream(Box::pin(items(response).map(|item| {
            let mut item = item?;
            item.usage = None;
            Ok(item)
        }))),
        _ => response,
    };
    response.attach(counted)
}

fn failure<E: Into<Error>>(fault: Fault, error: E, mut counted: Counted) -> Error {
    let own = type_name::<E>() == type_name::<Error>();
    let error: Error = error.into();
    let another = |kind| Error::new(kind, error.to_string());
    match (fault, error.rejection()) {
        (Fault::RefusalIsAFailure, Some(_)) => another(ErrorKind::Unavailable),
        (Fault::KeepsTheRefused, Some(_)) => {
            counted.count = None;
            error
        }
        (Fault::FailureIsAnother, None) => another(ErrorKind::Internal),
        (Fault::KnowsOnlyItsOwnErrors, _) if !own => another(ErrorKind::Internal),
        _ => error,
    }
}

pub(crate) fn contract(fault: Fault) -> Contract<CountingLayer, LlmRequest> {
    let layer = move || CountingLayer {
        fault,
        count: Arc::default(),
    };
    Contract::pass_through(layer, request).in_flight(|layer| layer.count.load(SeqCst))
}

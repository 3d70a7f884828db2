//! Future types.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat_core::{Error, LlmResponse, Maker};

use crate::{
    Asked, CacheLayer, CacheStore, Found, Produced,
    entry::{CACHE_KEY, header},
    flight::{Lead, Seat, Turn},
    kept::Kept,
    record::record,
};

pin_project! {
    /// Looks for an answer, and calls the inner service if there is none. The future of
    /// [`CacheService`](crate::CacheService).
    ///
    /// Dropped, it leaves the call to the next of those who ask for the same.
    pub struct ResponseFuture<S, R, C, X>
    where
        S: Service<R>,
        C: CacheStore,
    {
        inner: S,
        request: Option<R>,
        asked: Option<Asked>,
        layer: CacheLayer<C, X>,
        lead: Option<Lead>,
        #[pin]
        state: State<C::Get, S::Future>,
    }
}

/// The name of the answer to a request that is very long, on its way.
pub(crate) type BoxNaming = Pin<Box<dyn Future<Output = Option<Asked>> + Send>>;

pin_project! {
    #[project = StateProj]
    enum State<G, F> {
        Naming { naming: BoxNaming },
        Looking { #[pin] get: G },
        Waiting { seat: Seat },
        Readying,
        Calling { #[pin] future: F },
    }
}

impl<S, R, C, X> ResponseFuture<S, R, C, X>
where
    S: Service<R>,
    C: CacheStore,
{
    pub(crate) fn new(inner: S, request: R, asked: Option<Asked>, layer: CacheLayer<C, X>) -> Self {
        Self {
            inner,
            request: Some(request),
            state: named(asked.as_ref(), &layer),
            asked,
            layer,
            lead: None,
        }
    }

    /// The same where the name is not there yet.
    pub(crate) fn naming(inner: S, request: R, naming: BoxNaming, layer: CacheLayer<C, X>) -> Self {
        Self {
            inner,
            request: Some(request),
            asked: None,
            layer,
            lead: None,
            state: State::Naming { naming },
        }
    }
}

/// What follows when it is known what is asked.
fn named<C: CacheStore, X, F>(asked: Option<&Asked>, layer: &CacheLayer<C, X>) -> State<C::Get, F> {
    match asked {
        Some(asked) if asked.reads => State::Looking {
            get: layer.store.get(&asked.key),
        },
        _ => State::Readying,
    }
}

const POLLED_AGAIN: &str = "polled after it was ready";

impl<S, R, C, X> Future for ResponseFuture<S, R, C, X>
where
    R: Clone + Send + 'static,
    S: Service<R, Response = LlmResponse>,
    S::Error: Into<Error>,
    C: CacheStore,
    X: Produced<R> + Clone + Send + 'static,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Naming { naming } => {
                    *this.asked = ready!(naming.as_mut().poll(cx));
                    let next = named(this.asked.as_ref(), this.layer);
                    this.state.set(next);
                }
                StateProj::Looking { get } => {
                    let found = ready!(get.poll(cx));
                    let asked = this.asked.as_ref().expect(POLLED_AGAIN);
                    let is_young = |found: &Found| asked.max_age.is_none_or(|max| found.age <= max);
                    if let Some(found) = found.filter(is_young) {
                        return Poll::Ready(Ok(found.entry.replay(&asked.key, found.age)));
                    }
                    // Who comes too late to share a call may find its answer in the store: those that
                    // are kept are put there before the call is over.
                    let next = match &this.layer.settings.flights {
                        Some(flights) if this.lead.is_none() => State::Waiting {
                            seat: flights.join(&asked.key),
                        },
                        _ => State::Readying,
                    };
                    this.state.set(next);
                }
                StateProj::Waiting { seat } => {
                    let asked = this.asked.as_ref().expect(POLLED_AGAIN);
                    match ready!(seat.poll_turn(cx)) {
                        Turn::Take(entry) => {
                            return Poll::Ready(Ok(entry.replay(&asked.key, Duration::ZERO)));
                        }
                        Turn::Lead(lead) => *this.lead = Some(lead),
                        Turn::Alone => {}
                    }
                    this.state.set(State::Readying);
                }
                StateProj::Readying => {
                    if let Err(error) = ready!(this.inner.poll_ready(cx)) {
                        return Poll::Ready(Err(failed(this.lead, error)));
                    }
                    let request = match this.asked {
                        Some(_) => this.request.clone(),
                        None => this.request.take(),
                    };
                    let future = this.inner.call(request.expect(POLLED_AGAIN));
                    this.state.set(State::Calling { future });
                }
                StateProj::Calling { future } => {
                    let mut response = match ready!(future.poll(cx)) {
                        Ok(response) => response,
                        Err(error) => return Poll::Ready(Err(failed(this.lead, error))),
                    };
                    let Some(asked) = this.asked.take() else {
                        return Poll::Ready(Ok(response));
                    };
                    if response.maker() == Maker::Provider {
                        let name = header(&asked.key);
                        response.headers_mut().insert(CACHE_KEY, name);
                    }
                    let settings = &this.layer.settings;
                    let kept = Kept {
                        request: this.request.take().expect(POLLED_AGAIN),
                        key: asked.key,
                        store: this.layer.store.clone(),
                        names: this.layer.keys.clone(),
                        ttl: asked.writes.then(|| asked.ttl.unwrap_or(settings.ttl)),
                        lead: this.lead.take(),
                    };
                    if kept.ttl.is_none() && kept.lead.is_none() {
                        return Poll::Ready(Ok(response));
                    }
                    return Poll::Ready(Ok(record(kept, response, settings.max_bytes)));
                }
            }
        }
    }
}

/// A failure, which those who wait do not share.
fn failed(lead: &mut Option<Lead>, error: impl Into<Error>) -> Error {
    if let Some(lead) = lead.take() {
        lead.land(None);
    }
    error.into()
}

impl<S, R, C, X> fmt::Debug for ResponseFuture<S, R, C, X>
where
    S: Service<R>,
    C: CacheStore,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

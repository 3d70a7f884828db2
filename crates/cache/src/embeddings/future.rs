use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{StreamExt, stream::FuturesOrdered};
use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse};

use super::Elements;
use crate::CacheStore;

pin_project! {
    /// Looks for what is known, and calls the inner service for the rest. The future of
    /// [`EmbeddingCacheService`](crate::EmbeddingCacheService).
    pub struct EmbeddingFuture<S, C>
    where
        S: Service<LlmRequest>,
        C: CacheStore,
    {
        inner: S,
        store: C,
        request: Option<LlmRequest>,
        elements: Option<Elements>,
        #[pin]
        state: State<C::Get, S::Future>,
    }
}

/// The texts of a request that is very long, on their way.
type BoxNaming = Pin<Box<dyn Future<Output = Option<Elements>> + Send>>;

pin_project! {
    #[project = StateProj]
    enum State<G, F>
    where
        G: Future,
    {
        Naming { naming: BoxNaming },
        Looking { gets: FuturesOrdered<G>, at: usize },
        Readying,
        Calling { #[pin] future: F },
    }
}

impl<S, C> EmbeddingFuture<S, C>
where
    S: Service<LlmRequest>,
    C: CacheStore,
{
    pub(super) fn new(inner: S, request: LlmRequest, elements: Option<Elements>, store: C) -> Self {
        Self {
            inner,
            state: named(elements.as_ref(), &request, &store),
            store,
            request: Some(request),
            elements,
        }
    }

    /// The same where it is not known yet which texts they are.
    pub(super) fn naming(inner: S, request: LlmRequest, naming: BoxNaming, store: C) -> Self {
        Self {
            inner,
            store,
            request: Some(request),
            elements: None,
            state: State::Naming { naming },
        }
    }
}

/// What follows when the texts are known.
fn named<C: CacheStore, F>(
    elements: Option<&Elements>,
    request: &LlmRequest,
    store: &C,
) -> State<C::Get, F> {
    match elements {
        Some(elements) if !request.controls().cache.no_cache => State::Looking {
            gets: elements.names.iter().map(|name| store.get(name)).collect(),
            at: 0,
        },
        _ => State::Readying,
    }
}

const POLLED_AGAIN: &str = "polled after it was ready";

impl<S, C> Future for EmbeddingFuture<S, C>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
    C: CacheStore,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Naming { naming } => {
                    *this.elements = ready!(naming.as_mut().poll(cx));
                    let request = this.request.as_ref().expect(POLLED_AGAIN);
                    let next = named(this.elements.as_ref(), request, this.store);
                    this.state.set(next);
                }
                StateProj::Looking { gets, at } => {
                    let elements = this.elements.as_mut().expect(POLLED_AGAIN);
                    if let Some(found) = ready!(gets.poll_next_unpin(cx)) {
                        elements.found(*at, found);
                        *at += 1;
                        continue;
                    }
                    if let Some(response) = elements.whole() {
                        return Poll::Ready(Ok(response));
                    }
                    this.state.set(State::Readying);
                }
                StateProj::Readying => {
                    ready!(this.inner.poll_ready(cx)).map_err(Into::into)?;
                    let request = this.request.clone().expect(POLLED_AGAIN);
                    let request = match this.elements {
                        Some(elements) => elements.rest(request)?,
                        None => request,
                    };
                    let future = this.inner.call(request);
                    this.state.set(State::Calling { future });
                }
                StateProj::Calling { future } => {
                    let response = ready!(future.poll(cx)).map_err(Into::into)?;
                    let request = this.request.take().expect(POLLED_AGAIN);
                    return Poll::Ready(Ok(match this.elements.take() {
                        Some(elements) => elements.complete(response, &request, this.store),
                        None => response,
                    }));
                }
            }
        }
    }
}

impl<S, C> fmt::Debug for EmbeddingFuture<S, C>
where
    S: Service<LlmRequest>,
    C: CacheStore,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingFuture")
            .field("elements", &self.elements)
            .finish_non_exhaustive()
    }
}

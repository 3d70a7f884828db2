use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat_core::{Error, HasLedger, LARGE, LlmRequest, LlmResponse, off_reactor};

use super::{Near, SemanticCacheLayer, SemanticStore, Vector, embed::Embed, question::Question};
use crate::{
    CacheKey, Entry, Produced as _,
    record::{Keep, record},
};

/// The header that says how alike the question was whose answer is given again: the cosine of the
/// vectors.
pub const SIMILARITY: HeaderName = HeaderName::from_static("x-ziggurat-cache-similarity");

pin_project! {
    /// Looks for the answer to a question that is alike, and calls the inner service if there is
    /// none. The future of [`SemanticCacheService`](crate::SemanticCacheService).
    pub struct SemanticFuture<S, E, C>
    where
        S: Service<LlmRequest>,
        E: Service<LlmRequest>,
        C: SemanticStore,
    {
        inner: S,
        request: Option<LlmRequest>,
        layer: SemanticCacheLayer<E, C>,
        partition: Option<CacheKey>,
        vector: Option<Vector>,
        #[pin]
        state: State<E, C::Nearest, S::Future>,
    }
}

/// What a request asks that is very long, on its way.
type BoxAsking = Pin<Box<dyn Future<Output = Option<Question>> + Send>>;

pin_project! {
    #[project = StateProj]
    enum State<E, N, F>
    where
        E: Service<LlmRequest>,
    {
        Asking { asking: BoxAsking },
        Embedding { #[pin] embed: Embed<E> },
        Searching { #[pin] search: N },
        Readying,
        Calling { #[pin] future: F },
    }
}

impl<S, E, C> SemanticFuture<S, E, C>
where
    S: Service<LlmRequest>,
    E: Service<LlmRequest> + Clone,
    C: SemanticStore,
{
    pub(super) fn new(inner: S, request: LlmRequest, layer: SemanticCacheLayer<E, C>) -> Self {
        let bytes = layer.keys.bytes_read(&request);
        let (partition, state) = if bytes < LARGE {
            asked(layer.keys.question(&request), &request, &layer)
        } else {
            let (keys, read) = (layer.keys.clone(), request.clone());
            let asking = Box::pin(off_reactor(bytes, move || keys.question(&read)));
            (None, State::Asking { asking })
        };
        Self {
            inner,
            request: Some(request),
            layer,
            partition,
            vector: None,
            state,
        }
    }
}

/// What follows when it is known what is asked.
fn asked<E, C, F>(
    question: Option<Question>,
    request: &LlmRequest,
    layer: &SemanticCacheLayer<E, C>,
) -> (Option<CacheKey>, State<E, C::Nearest, F>)
where
    E: Service<LlmRequest> + Clone,
    C: SemanticStore,
{
    let Some(Question { partition, text }) = question else {
        return (None, State::Readying);
    };
    let (embedder, model) = (layer.embedder.clone(), &layer.model);
    let embed = Embed::new(embedder, request, model, &text, layer.patience);
    (Some(partition), State::Embedding { embed })
}

const POLLED_AGAIN: &str = "polled after it was ready";

impl<S, E, C> Future for SemanticFuture<S, E, C>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
    E: Service<LlmRequest, Response = LlmResponse> + Clone,
    C: SemanticStore,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Asking { asking } => {
                    let question = ready!(asking.as_mut().poll(cx));
                    let request = this.request.as_ref().expect(POLLED_AGAIN);
                    let (partition, next) = asked(question, request, this.layer);
                    *this.partition = partition;
                    this.state.set(next);
                }
                StateProj::Embedding { embed } => {
                    *this.vector = ready!(embed.poll(cx));
                    let said = &this.request.as_ref().expect(POLLED_AGAIN).controls().cache;
                    let next = match (&*this.vector, &*this.partition) {
                        (Some(vector), Some(partition)) if !said.no_cache => {
                            let (store, threshold) = (&this.layer.store, this.layer.threshold);
                            let search = store.nearest(partition, vector, threshold, said.max_age);
                            State::Searching { search }
                        }
                        _ => State::Readying,
                    };
                    this.state.set(next);
                }
                StateProj::Searching { search } => {
                    if let Some(near) = ready!(search.poll(cx)) {
                        let name = this.partition.as_ref().expect(POLLED_AGAIN);
                        return Poll::Ready(Ok(again(&near, name)));
                    }
                    this.state.set(State::Readying);
                }
                StateProj::Readying => {
                    ready!(this.inner.poll_ready(cx)).map_err(Into::into)?;
                    let request = match this.vector {
                        Some(_) => this.request.clone(),
                        None => this.request.take(),
                    };
                    let future = this.inner.call(request.expect(POLLED_AGAIN));
                    this.state.set(State::Calling { future });
                }
                StateProj::Calling { future } => {
                    let response = ready!(future.poll(cx)).map_err(Into::into)?;
                    let (Some(partition), Some(vector)) =
                        (this.partition.take(), this.vector.take())
                    else {
                        return Poll::Ready(Ok(response));
                    };
                    let request = this.request.take().expect(POLLED_AGAIN);
                    let said = &request.controls().cache;
                    let Some(ttl) = (!said.no_store).then(|| said.ttl.unwrap_or(this.layer.ttl))
                    else {
                        return Poll::Ready(Ok(response));
                    };
                    let kept = Kept {
                        store: this.layer.store.clone(),
                        partition,
                        vector,
                        ttl,
                        request,
                    };
                    return Poll::Ready(Ok(record(kept, response, this.layer.max_bytes)));
                }
            }
        }
    }
}

fn again(near: &Near, name: &CacheKey) -> LlmResponse {
    let mut response = near.entry.replay(name, near.age);
    let similarity = HeaderValue::try_from(format!("{:.4}", near.similarity));
    let similarity = similarity.expect("a number is a header value");
    response.headers_mut().insert(SIMILARITY, similarity);
    response
}

/// Keeps the answer to a question.
struct Kept<C> {
    store: C,
    partition: CacheKey,
    vector: Vector,
    ttl: Duration,
    request: LlmRequest,
}

impl<C: SemanticStore> Keep for Kept<C> {
    /// What another group answered, or was asked in other words, is not kept.
    fn complete(self, entry: Entry) {
        let ledger = self.request.ledger();
        if ledger.is_none_or(|ledger| ledger.fallbacks() == 0 && !ledger.is_altered()) {
            let entry = Arc::new(entry);
            self.store.put(self.partition, self.vector, entry, self.ttl);
        }
    }

    fn spoilt(self) {}
}

impl<S, E, C> fmt::Debug for SemanticFuture<S, E, C>
where
    S: Service<LlmRequest>,
    E: Service<LlmRequest>,
    C: SemanticStore,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemanticFuture")
            .field("partition", &self.partition)
            .field("vector", &self.vector)
            .finish_non_exhaustive()
    }
}

//! What is told of answers that are given again.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::SystemTime,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_cache::CACHE_KEY;
use ziggurat_core::{
    Attach, Deployments, End, Error, LlmRequest, LlmResponse, Maker, Observer, Usage,
};
use ziggurat_settle::{Settlement, SettlementSink as _, Sinks};
use ziggurat_telemetry::RequestLayer;
use ziggurat_usage::UsageBook;

/// Settles each answer of the cache, and counts what was looked up. *Pass-through*, right above the
/// cache.
#[derive(Clone, Debug)]
pub(crate) struct HitLayer {
    sinks: Sinks,
    metrics: RequestLayer,
    book: UsageBook,
    deployments: Deployments,
}

impl HitLayer {
    pub(crate) fn new(
        sinks: &Sinks,
        metrics: &RequestLayer,
        book: &UsageBook,
        deployments: &Deployments,
    ) -> Self {
        Self {
            sinks: sinks.clone(),
            metrics: metrics.clone(),
            book: book.clone(),
            deployments: deployments.clone(),
        }
    }

    fn record(&self, hit: &Settlement) {
        let snapshot = self.deployments.load();
        // What nobody has configured makes no page.
        if let Some(group) = snapshot.resolve(hit.group().as_str()) {
            self.book.record_hit(group.name(), SystemTime::now());
        }
        self.sinks.settle(hit);
    }
}

impl<S> Layer<S> for HitLayer {
    type Service = Hits<S>;

    fn layer(&self, inner: S) -> Hits<S> {
        Hits {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service of [`HitLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Hits<S> {
    inner: S,
    layer: HitLayer,
}

impl<S> Service<LlmRequest> for Hits<S>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let hit = Hit {
            request: request.clone(),
            began: Instant::now(),
            layer: self.layer.clone(),
        };
        ResponseFuture {
            future: self.inner.call(request),
            hit: Some(hit),
        }
    }
}

pin_project! {
    /// Waits for the answer.
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        future: F,
        hit: Option<Hit>,
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<LlmResponse, E>>,
    E: Into<Error>,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx)).map_err(Into::into)?;
        let hit = this.hit.take().expect("polled after it was ready");
        if response.maker() == Maker::Cache {
            return Poll::Ready(Ok(response.attach(hit)));
        }
        if response.headers().contains_key(CACHE_KEY) {
            hit.layer.metrics.cache_miss(&hit.request);
        }
        Poll::Ready(Ok(response))
    }
}

/// A request that may be answered from the cache. Attached to the answer, it settles at its end.
struct Hit {
    request: LlmRequest,
    began: Instant,
    layer: HitLayer,
}

impl Observer for Hit {
    fn end(&mut self, end: End<'_>) {
        let usage = match end {
            End::Complete { usage } => usage.copied().unwrap_or_default(),
            _ => Usage::default(),
        };
        self.layer.metrics.cache_hit(&self.request, usage.total());
        let took = self.began.elapsed();
        self.layer
            .record(&Settlement::cached(&self.request, usage, took));
    }
}

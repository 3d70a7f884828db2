//! One span and one record for each request.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Span, debug, debug_span, field::Empty};
use ziggurat_core::{
    Attach, Deployments, End, Error, HasLedger, Ledger, ModelGroup, Observer, Operation, Outcome,
    Param, TrailEntry,
};

use crate::{
    future::{Record, ResponseFuture},
    series::{RequestSeries, Requests},
};

/// Records each request: one span, and one entry in the metrics when its response has ended.
/// *Pass-through.*
///
/// It belongs at the top of the stack. See the [crate docs](crate) for what it records.
#[derive(Clone, Debug)]
pub struct RequestLayer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    requests: Requests,
    deployments: Deployments,
}

impl RequestLayer {
    /// A layer for requests to these deployments: what they serve are the only model names that
    /// become labels. Metrics go to the recorder that is installed now.
    #[must_use]
    pub fn new(deployments: Deployments) -> Self {
        let requests = Requests::new();
        Self(Arc::new(Shared {
            requests,
            deployments,
        }))
    }

    /// Counts a request that was answered from the cache, and the tokens that it did not use: to be
    /// told by whoever stands above the cache, once for each.
    pub fn cache_hit<R>(&self, request: &R, tokens: u64)
    where
        R: Param<ModelGroup> + Param<Operation>,
    {
        self.0.series(request).cache_hit(tokens);
    }

    /// Counts a request that was looked up in the cache, and answered anew.
    pub fn cache_miss<R>(&self, request: &R)
    where
        R: Param<ModelGroup> + Param<Operation>,
    {
        self.0.series(request).cache_miss();
    }
}

impl Shared {
    fn series<R>(&self, request: &R) -> Arc<RequestSeries>
    where
        R: Param<ModelGroup> + Param<Operation>,
    {
        let group: ModelGroup = request.param();
        let snapshot = self.deployments.load();
        let group = snapshot.resolve(group.as_str()).map(|group| group.name());
        self.requests.series(group, request.param())
    }
}

impl<S> Layer<S> for RequestLayer {
    type Service = RequestTelemetry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestTelemetry {
            inner,
            shared: Arc::clone(&self.0),
        }
    }
}

/// Records each request; see [`RequestLayer`]. *Pass-through.*
#[derive(Clone, Debug)]
pub struct RequestTelemetry<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, Request> Service<Request> for RequestTelemetry<S>
where
    S: Service<Request>,
    S::Error: Into<Error>,
    S::Response: Attach<RequestRecord>,
    Request: HasLedger + Param<ModelGroup> + Param<Operation>,
{
    type Response = <S::Response as Attach<RequestRecord>>::Output;
    type Error = Error;
    type Future = ResponseFuture<S::Future, RequestRecord>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let record = RequestRecord::begin(&self.shared, &request);
        let response = record.span.in_scope(|| self.inner.call(request));
        ResponseFuture::new(response, record)
    }
}

/// A request that has not ended yet. It is attached to the response, and writes its record when that
/// has ended or is dropped.
#[derive(Debug)]
pub struct RequestRecord {
    shared: Arc<Shared>,
    series: Arc<RequestSeries>,
    ledger: Option<Ledger>,
    began: Instant,
    span: Span,
    ended: bool,
}

impl RequestRecord {
    fn begin<R>(shared: &Arc<Shared>, request: &R) -> Self
    where
        R: HasLedger + Param<ModelGroup> + Param<Operation>,
    {
        let operation: Operation = request.param();
        let series = shared.series(request);
        shared.requests.in_flight().increment(1);
        let span = debug_span!(
            "request",
            group = series.group(),
            operation = operation.as_str(),
            outcome = Empty,
            reason = Empty,
            attempts = Empty,
            retries = Empty,
            fallbacks = Empty,
            queue_ms = Empty,
            trail = Empty,
            ms = Empty,
        );
        Self {
            shared: Arc::clone(shared),
            series,
            ledger: request.ledger().cloned(),
            began: Instant::now(),
            span,
            ended: false,
        }
    }

    /// Says where the request went, by its ledger.
    fn trace(&self, ledger: &Ledger, outcome: Outcome) {
        let (retries, fallbacks) = (ledger.retries(), ledger.fallbacks());
        self.series.moved(retries, fallbacks);
        self.series.waited(ledger.queued(), ledger.paused());
        self.span.record("attempts", ledger.attempts());
        self.span.record("retries", retries);
        self.span.record("fallbacks", fallbacks);
        if !self.span.is_disabled() {
            ledger.with_trail(|trail| {
                self.span.record("trail", tracing::field::display(trail));
            });
        }
        if fallbacks > 0 && outcome != Outcome::Abandoned {
            let succeeded = outcome == Outcome::Complete;
            ledger.with_trail(|trail| {
                if let Some(served) = trail.served() {
                    self.series
                        .fell_back(served.deployment().group(), succeeded);
                }
            });
        }
    }
}

impl Observer for RequestRecord {
    fn end(&mut self, end: End<'_>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.began.elapsed();
        self.shared.requests.in_flight().decrement(1);
        let outcome = match end {
            End::Complete { .. } => {
                self.series.complete(took.as_secs_f64());
                Outcome::Complete
            }
            End::Failed(error) => {
                self.series.failed(error);
                if let Some(rejection) = error.rejection() {
                    self.span.record("reason", rejection.reason().as_str());
                }
                Outcome::Failed(error.kind())
            }
            End::Abandoned => {
                self.series.abandoned();
                Outcome::Abandoned
            }
        };
        if let Some(ledger) = &self.ledger {
            self.trace(ledger, outcome);
        }
        self.span.record("outcome", outcome.as_str());
        self.span.record("ms", took.as_millis() as u64);
        debug!(parent: &self.span, "request ended");
    }
}

impl Record for RequestRecord {
    fn span(&self) -> &Span {
        &self.span
    }

    fn answers(&mut self) {
        if let Some(ledger) = &self.ledger {
            let attempts: Duration = ledger.with_trail(|trail| {
                let times = trail.entries().iter().filter_map(TrailEntry::took);
                times.sum()
            });
            let overhead = self.began.elapsed().saturating_sub(attempts);
            self.series.overhead(overhead);
        }
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        self.end(End::Abandoned);
    }
}

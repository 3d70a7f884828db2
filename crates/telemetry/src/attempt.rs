//! One span and one record for each attempt.

use std::{
    cell::Cell,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Span, debug, debug_span, field::Empty};
use ziggurat_core::{
    Attach, Deployment, End, Error, HasDeployment, Money, Observer, Outcome, ProviderLimits,
};

use crate::{
    future::{Record, ResponseFuture},
    series::{AttemptSeries, Attempts},
};

/// Records each attempt: one span, and one entry in the metrics when its response has ended.
/// *Pass-through.*
///
/// It belongs right below the balancer, where it sees what every deployment does and which layers
/// refuse. See the [crate docs](crate) for what it records.
#[derive(Clone, Debug)]
pub struct AttemptLayer(Arc<Attempts>);

impl AttemptLayer {
    /// A layer whose metrics go to the recorder that is installed when a deployment is first used.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Attempts::new()))
    }

    /// Counts what an attempt at a deployment costs: to be told by whoever charges, once for each.
    pub fn spent(&self, deployment: &Arc<Deployment>, cost: Money) {
        if cost > Money::ZERO {
            self.0.series(deployment).spent(cost.dollars());
        }
    }
}

impl Default for AttemptLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for AttemptLayer {
    type Service = AttemptTelemetry<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AttemptTelemetry {
            inner,
            attempts: Arc::clone(&self.0),
        }
    }
}

/// Records each attempt; see [`AttemptLayer`]. *Pass-through.*
#[derive(Clone, Debug)]
pub struct AttemptTelemetry<S> {
    inner: S,
    attempts: Arc<Attempts>,
}

impl<S, Request> Service<Request> for AttemptTelemetry<S>
where
    S: Service<Request>,
    S::Error: Into<Error>,
    S::Response: Attach<AttemptRecord>,
    Request: HasDeployment,
{
    type Response = <S::Response as Attach<AttemptRecord>>::Output;
    type Error = Error;
    type Future = ResponseFuture<S::Future, AttemptRecord>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let record = AttemptRecord::begin(&self.attempts, request.deployment());
        let response = record.span.in_scope(|| self.inner.call(request));
        ResponseFuture::new(response, record)
    }
}

/// An attempt that has not ended yet. It is attached to the response, and writes its record when
/// that has ended or is dropped.
#[derive(Debug)]
pub struct AttemptRecord {
    series: Arc<AttemptSeries>,
    began: Instant,
    answered: Option<Duration>,
    streams: Cell<bool>,
    span: Span,
    ended: bool,
}

impl AttemptRecord {
    fn begin(attempts: &Attempts, deployment: &Arc<Deployment>) -> Self {
        let span = debug_span!(
            "attempt",
            deployment = deployment.public_id().as_str(),
            outcome = Empty,
            reason = Empty,
            ms = Empty,
        );
        Self {
            series: attempts.series(deployment),
            began: Instant::now(),
            answered: None,
            streams: Cell::new(false),
            span,
            ended: false,
        }
    }
}

impl Observer for AttemptRecord {
    /// Wants none. To be asked at all is to be attached to a stream: an answer that is complete ends
    /// at once.
    fn wants_items(&self) -> bool {
        self.streams.set(true);
        false
    }

    fn provider_limits(&mut self, limits: &ProviderLimits) {
        self.series.limits(limits);
    }

    fn end(&mut self, end: End<'_>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.began.elapsed();
        if let Some(answered) = self.answered
            && self.streams.get()
        {
            self.series.first_token(answered.as_secs_f64());
        }
        let outcome = match end {
            End::Complete { usage } => {
                self.series.complete(took.as_secs_f64(), usage);
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
        self.span.record("outcome", outcome.as_str());
        self.span.record("ms", took.as_millis() as u64);
        debug!(parent: &self.span, "attempt ended");
    }
}

impl Record for AttemptRecord {
    fn span(&self) -> &Span {
        &self.span
    }

    fn answers(&mut self) {
        self.answered = Some(self.began.elapsed());
    }
}

impl Drop for AttemptRecord {
    fn drop(&mut self) {
        self.end(End::Abandoned);
    }
}

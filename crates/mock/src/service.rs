use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{
    Error, Extract, FromParam, HasLedger, LlmRequest, LlmResponse, Routed, Unrouted,
};

use crate::{
    Failures,
    answer::{self, Play},
    failures::Position,
    future::ResponseFuture,
};

/// The service of [`MockFailureLayer`](crate::MockFailureLayer). *Pass-through.*
#[derive(Clone, Debug)]
pub struct MockFailure<S, X = FromParam> {
    inner: S,
    position: Position,
    extract: X,
}

impl<S, X> MockFailure<S, X> {
    pub(crate) const fn new(inner: S, position: Position, extract: X) -> Self {
        Self {
            inner,
            position,
            extract,
        }
    }
}

impl<S, X, R> Service<R> for MockFailure<S, X>
where
    S: Service<R>,
    S::Error: Into<Error>,
    X: Extract<Failures, R>,
    R: HasLedger + Unrouted,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let failures = self.extract.extract(&request);
        match self.position.due(failures, request.ledger()) {
            None => ResponseFuture::asked(self.inner.call(request)),
            Some(error) => ResponseFuture::played(Err(error)),
        }
    }
}

/// The service of [`MockAnswerLayer`](crate::MockAnswerLayer). *Pass-through.*
#[derive(Clone, Debug)]
pub struct MockAnswer<S> {
    inner: S,
}

impl<S> MockAnswer<S> {
    pub(crate) const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Routed<LlmRequest>> for MockAnswer<S>
where
    S: Service<Routed<LlmRequest>, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture<S::Future, LlmResponse>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, routed: Routed<LlmRequest>) -> Self::Future {
        match answer::play(&routed) {
            None => ResponseFuture::asked(self.inner.call(routed)),
            Some(Play::Silence) => ResponseFuture::silent(),
            Some(Play::Answer(played)) => ResponseFuture::played(played),
        }
    }
}

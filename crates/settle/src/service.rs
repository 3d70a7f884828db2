use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse, Routed};

use crate::{Account, SettleLayer, future::ResponseFuture};

/// Settles each attempt once; see the [crate docs](crate). *Pass-through.*
#[derive(Clone, Debug)]
pub struct Settle<S> {
    inner: S,
    layer: SettleLayer,
}

impl<S> Settle<S> {
    pub(crate) const fn new(inner: S, layer: SettleLayer) -> Self {
        Self { inner, layer }
    }
}

impl<S> Service<Routed<LlmRequest>> for Settle<S>
where
    S: Service<Routed<LlmRequest>, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, routed: Routed<LlmRequest>) -> Self::Future {
        let account = Account::open(&routed, &self.layer);
        ResponseFuture::new(self.inner.call(routed), account)
    }
}

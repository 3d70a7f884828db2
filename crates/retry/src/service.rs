use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::{Error, Extract, FromParam, HasLedger};

use crate::{Retries, future::ResponseFuture, settings::Settings};

/// Tries a request again when it failed; see the [crate docs](crate). *Deferring.*
#[derive(Clone, Debug)]
pub struct Retry<S, X = FromParam> {
    inner: S,
    settings: Arc<Settings>,
    extract: X,
}

impl<S, X> Retry<S, X> {
    pub(crate) const fn new(inner: S, settings: Arc<Settings>, extract: X) -> Self {
        Self {
            inner,
            settings,
            extract,
        }
    }
}

impl<S, X, Request> Service<Request> for Retry<S, X>
where
    S: Service<Request> + Clone,
    S::Error: Into<Error>,
    X: Extract<Retries, Request> + Clone,
    Request: Clone + HasLedger,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S, Request, X>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let settings = Arc::clone(&self.settings);
        ResponseFuture::new(self.inner.clone(), request, settings, self.extract.clone())
    }
}

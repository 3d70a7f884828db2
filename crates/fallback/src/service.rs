use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::{Deployments, Error};

use crate::{FallbackLists, Redirect, future::ResponseFuture};

/// Answers a request whose model group fails from another one; see the [crate docs](crate).
/// *Deferring.*
#[derive(Clone, Debug)]
pub struct Fallback<S> {
    inner: S,
    lists: Arc<FallbackLists>,
    deployments: Option<Deployments>,
}

impl<S> Fallback<S> {
    pub(crate) const fn new(
        inner: S,
        lists: Arc<FallbackLists>,
        deployments: Option<Deployments>,
    ) -> Self {
        Self {
            inner,
            lists,
            deployments,
        }
    }
}

impl<S, Request> Service<Request> for Fallback<S>
where
    S: Service<Request> + Clone,
    S::Error: Into<Error>,
    Request: Redirect,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S, Request>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let lists = Arc::clone(&self.lists);
        ResponseFuture::new(self.inner.clone(), request, lists, self.deployments.clone())
    }
}

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::{Deployments, Error, Extract};

use crate::{
    FallbackLists, NoLists, Redirect,
    course::Course,
    future::ResponseFuture,
    on_break::{Fail, OnBreak},
};

/// Answers a request whose model group fails from another one; see the [crate docs](crate).
/// *Deferring.*
#[derive(Clone, Debug)]
pub struct Fallback<S, X = NoLists, B = Fail> {
    pub(crate) inner: S,
    pub(crate) lists: Arc<FallbackLists>,
    pub(crate) deployments: Option<Deployments>,
    pub(crate) extract: X,
    pub(crate) on_break: B,
}

impl<S, X, B, Request> Service<Request> for Fallback<S, X, B>
where
    S: Service<Request> + Clone,
    S::Error: Into<Error>,
    X: Extract<Option<Arc<FallbackLists>>, Request>,
    B: OnBreak<S, Request> + Clone,
    Request: Redirect,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S, Request, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let caller = self.extract.extract(&request);
        let (lists, deployments) = (Arc::clone(&self.lists), self.deployments.clone());
        let course = Course::new(request, lists, caller, deployments);
        ResponseFuture::new(self.inner.clone(), course, self.on_break.clone())
    }
}

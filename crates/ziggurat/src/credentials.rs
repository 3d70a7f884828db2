//! What a client brings for its request: a credential, an endpoint.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Blame, Deployment, Error, LlmRequest, Routed, Scope};
use ziggurat_load_balance::{Filter, Members};

/// Sends a request that brings its own credential to a deployment made of the one that was chosen.
///
/// *Pass-through*, right below the balancer. What becomes of such a request is the client's affair:
/// its failure is told to the balancer as one of the request, and its refusal as one of this attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientLayer;

impl<S> Layer<S> for ClientLayer {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Client { inner }
    }
}

/// The service of [`ClientLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Client<S> {
    inner: S,
}

impl<S> Service<Routed<LlmRequest>> for Client<S>
where
    S: Service<Routed<LlmRequest>>,
    S::Error: Into<Error>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, routed: Routed<LlmRequest>) -> Self::Future {
        let brought = routed.request().controls().client.as_ref();
        let own = brought.map(|client| Arc::new(routed.deployment().for_client(client)));
        let is_own = own.is_some();
        let routed = match own {
            Some(own) => routed.with_deployment(own),
            None => routed,
        };
        ResponseFuture {
            inner: self.inner.call(routed),
            is_own,
        }
    }
}

pin_project! {
    /// The future of [`Client`].
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: F,
        is_own: bool,
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Error>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let is_own = *this.is_own;
        Poll::Ready(answer.map_err(|error| {
            let error: Error = error.into();
            match error.rejection().filter(|_| is_own) {
                Some(refusal) if refusal.scope() == Scope::Deployment => {
                    let refusal = refusal.clone().with_scope(Scope::Attempt);
                    Error::rejected(refusal, error.message().to_owned())
                }
                None if is_own => error.with_blame(Blame::Request),
                _ => error,
            }
        }))
    }
}

/// Leaves to a request with a credential of its own the deployments that let it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientFilter;

impl Filter<LlmRequest> for ClientFilter {
    fn filter(&self, request: &LlmRequest, members: &mut Members<'_>) {
        let client = request.controls().client.as_ref();
        if client.is_some_and(|client| !client.is_owners) {
            members.retain(
                "client credentials",
                Deployment::allows_client_credentials,
                |_| "takes no `api_key` and `api_base` of clients".to_owned(),
            );
        }
    }
}

//! Who is asked for the vectors of questions: the router itself.

use std::{
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::{Error, ErrorKind, LlmRequest, LlmResponse};

use crate::{router::Copies, stack::BoxAnswer};

/// The router that the stack belongs to, once it is made.
#[derive(Clone, Default)]
pub(crate) struct Embedder(Arc<OnceLock<Copies>>);

impl Embedder {
    /// Says which one it is.
    pub(crate) fn set(&self, router: Copies) {
        drop(self.0.set(router));
    }
}

impl Service<LlmRequest> for Embedder {
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxAnswer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> BoxAnswer {
        match self.0.get() {
            Some(router) => router.clone().call(request),
            None => Box::pin(async {
                let message = "the router is not made yet";
                Err(Error::new(ErrorKind::Internal, message))
            }),
        }
    }
}

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::{Attach, Error, Extract, FromParam, HasLedger, Ledger, Priority};

use crate::{
    Permit,
    future::ResponseFuture,
    gate::{Gate, Turn},
};

/// Makes requests wait for their turn; see the [crate docs](crate). *Deferring.*
#[derive(Clone, Debug)]
pub struct PriorityQueue<S, X = FromParam> {
    inner: S,
    gate: Arc<Gate>,
    extract: X,
}

impl<S, X> PriorityQueue<S, X> {
    pub(crate) const fn new(inner: S, gate: Arc<Gate>, extract: X) -> Self {
        Self {
            inner,
            gate,
            extract,
        }
    }
}

impl<S, X, Request> Service<Request> for PriorityQueue<S, X>
where
    S: Service<Request> + Clone,
    S::Error: Into<Error>,
    S::Response: Attach<Permit>,
    X: Extract<Priority, Request>,
    Request: HasLedger,
{
    type Response = <S::Response as Attach<Permit>>::Output;
    type Error = Error;
    type Future = ResponseFuture<S, Request>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let priority = self.extract.extract(&request);
        let deadline = request.ledger().and_then(Ledger::deadline);
        let turn = Turn::new(Arc::clone(&self.gate), priority, deadline);
        ResponseFuture::new(turn, self.inner.clone(), request)
    }
}

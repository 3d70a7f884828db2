use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Attach, Error, Extract, FromParam, HasLedger, Ledger};

use crate::{
    Claim, Gates, One, Permit,
    future::{ResponseFuture, Wait},
    gate::Entry,
};

/// Makes requests wait for their turn; see the [crate docs](crate). *Deferring.*
#[derive(Clone, Debug)]
pub struct PriorityQueue<S, X = FromParam, G = One> {
    inner: S,
    gates: G,
    claim_by: X,
}

impl<S, X, G> PriorityQueue<S, X, G> {
    pub(crate) const fn new(inner: S, gates: G, claim_by: X) -> Self {
        Self {
            inner,
            gates,
            claim_by,
        }
    }
}

impl<S, X, G, Request> Service<Request> for PriorityQueue<S, X, G>
where
    S: Service<Request> + Clone,
    S::Error: Into<Error>,
    S::Response: Attach<Permit>,
    X: Extract<Claim, Request>,
    G: Gates<Request>,
    Request: HasLedger,
{
    type Response = <S::Response as Attach<Permit>>::Output;
    type Error = Error;
    type Future = ResponseFuture<S, Request>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let wait = self.gates.gate(&request).map(|found| {
            let claim = self.claim_by.extract(&request);
            let deadline = request.ledger().and_then(Ledger::deadline);
            Wait::new(Entry::new(found.gate, claim, deadline), found.scope)
        });
        ResponseFuture::new(wait, self.inner.clone(), request)
    }
}

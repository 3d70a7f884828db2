use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::{Attach, Error, Ledger, Redirect};

use crate::{Chooser, Watch, future::ResponseFuture};

/// Lets a chooser name the model group of each request; see the [crate docs](crate). *Pass-through.*
#[derive(Debug)]
pub struct AutoRoute<S, C> {
    inner: S,
    chooser: Arc<C>,
}

impl<S, C> AutoRoute<S, C> {
    pub(crate) const fn new(inner: S, chooser: Arc<C>) -> Self {
        Self { inner, chooser }
    }
}

impl<S: Clone, C> Clone for AutoRoute<S, C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.chooser))
    }
}

impl<S, C, R> Service<R> for AutoRoute<S, C>
where
    S: Service<R>,
    S::Error: Into<Error>,
    S::Response: Attach<Watch<C::Feedback>>,
    C: Chooser<R>,
    R: Redirect,
{
    type Response = <S::Response as Attach<Watch<C::Feedback>>>::Output;
    type Error = Error;
    type Future = ResponseFuture<S::Future, C::Feedback>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: R) -> Self::Future {
        let is_pinned = |ledger: &Ledger| ledger.pinned().is_some();
        let choice = match request.ledger().is_some_and(is_pinned) {
            // Nobody else has what it is about.
            true => None,
            false => self.chooser.choose(&request),
        };
        if let Some(choice) = &choice {
            request = request.reroute(choice.group());
            if let Some(ledger) = request.ledger() {
                ledger.note_route(Arc::clone(choice.why()));
            }
        }
        let watch = Watch::new(choice.and_then(crate::Choice::into_feedback));
        ResponseFuture::new(self.inner.call(request), watch)
    }
}

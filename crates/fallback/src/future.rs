//! The future of a response that may come from another group.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;
use ziggurat_core::{Deployments, Error, Ledger, Scope};

use crate::{
    FallbackLists, Redirect,
    plan::{Names, Rules, Walk},
};

pin_project! {
    /// Asks one group after the other.
    ///
    /// Of the groups that failed nothing is kept but the first failure. Dropped, it leaves nothing.
    pub struct ResponseFuture<S, R>
    where
        S: Service<R>,
    {
        inner: S,
        request: R,
        lists: Arc<FallbackLists>,
        deployments: Option<Deployments>,
        failed: Option<Failed>,
        #[pin]
        state: State<S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Readying {
            next: Option<Arc<str>>,
            left: u32,
        },
        Calling {
            #[pin]
            response: F,
        },
    }
}

/// What is known once the requested group has failed.
#[derive(Debug)]
struct Failed {
    cause: Error,
    walk: Walk,
}

impl<S: Service<R>, R: Redirect> ResponseFuture<S, R> {
    pub(crate) fn new(
        inner: S,
        request: R,
        lists: Arc<FallbackLists>,
        deployments: Option<Deployments>,
    ) -> Self {
        let rules = Rules::new(&lists, request.controls());
        let left = rules.ahead(request.group(), deployments.as_ref());
        Self {
            inner,
            request,
            lists,
            deployments,
            failed: None,
            state: State::Readying { next: None, left },
        }
    }
}

impl<S, R> Future for ResponseFuture<S, R>
where
    S: Service<R>,
    S::Error: Into<Error>,
    R: Redirect,
{
    type Output = Result<S::Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Readying { next, left } => {
                    if let Err(error) = ready!(this.inner.poll_ready(cx)) {
                        let first = this.failed.take().map(|failed| failed.cause);
                        return Poll::Ready(Err(first.unwrap_or_else(|| error.into())));
                    }
                    let mut request = this.request.clone();
                    if let Some(ledger) = request.ledger() {
                        ledger.set_fallbacks_left(*left);
                    }
                    if let Some(group) = next {
                        request.ledger().inspect(|ledger| ledger.note_fallback());
                        request = request.redirect(group);
                    }
                    let response = this.inner.call(request);
                    this.state.set(State::Calling { response });
                }
                StateProj::Calling { response } => {
                    let error: Error = match ready!(response.poll(cx)) {
                        Ok(response) => return Poll::Ready(Ok(response)),
                        Err(error) => error.into(),
                    };
                    let may_go_on = may_go_on(&error, this.request.ledger());
                    let list = error.kind().rule().fallback;
                    let failed = this.failed.get_or_insert_with(|| Failed {
                        cause: error,
                        walk: Walk::new(this.request.group()),
                    });
                    let rules = Rules::new(this.lists, this.request.controls());
                    let names = Names::of(this.deployments.as_ref());
                    let next = may_go_on.then(|| failed.walk.next(rules, list, &names));
                    let Some((next, left)) = next.flatten() else {
                        let failed = this.failed.take().expect("has just been set");
                        return Poll::Ready(Err(failed.cause));
                    };
                    let next = Some(next);
                    this.state.set(State::Readying { next, left });
                }
            }
        }
    }
}

/// Whether another group may be asked at all: it could help, and there is time and an attempt left.
fn may_go_on(error: &Error, ledger: Option<&Ledger>) -> bool {
    let for_all = (error.rejection()).is_some_and(|why| why.scope() == Scope::Request);
    !for_all
        && ledger.is_none_or(|ledger| ledger.attempts_left() > 0 && ledger.allows(Instant::now()))
}

impl<S: Service<R>, R> fmt::Debug for ResponseFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Readying { .. } => "readying",
            State::Calling { .. } => "calling",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

//! The future of a response to somebody who is to be known.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat::Error;

use super::{Identity, presented, refused};
use crate::{ResponseBody, headers::refuse, shape::ErrorShape};

pin_project! {
    /// Response future of [`Identified`](crate::Identified). Dropped, it leaves nothing.
    pub struct ResponseFuture<S, F, B>
    where
        S: Service<Request<B>>,
    {
        inner: S,
        request: Option<Request<B>>,
        #[pin]
        state: State<F, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, A> {
        Identifying { #[pin] identity: F },
        Readying,
        Calling { #[pin] answer: A },
    }
}

impl<S: Service<Request<B>>, F, B> ResponseFuture<S, F, B> {
    pub(crate) const fn new(identity: F, inner: S, request: Request<B>) -> Self {
        Self {
            inner,
            request: Some(request),
            state: State::Identifying { identity },
        }
    }
}

impl<S, F, B, R> Future for ResponseFuture<S, F, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    F: Future<Output = Result<Identity, Error>>,
{
    type Output = Result<Response<Either<R, ResponseBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Identifying { identity } => {
                    let identity = ready!(identity.poll(cx));
                    let request = this.request.as_mut().expect("is kept until it is sent");
                    match identity {
                        Ok(identity) => {
                            if let Some((_, uri)) = presented::in_query(request.uri()) {
                                *request.uri_mut() = uri;
                            }
                            if identity.caller().is_some() {
                                request.extensions_mut().insert(identity);
                            }
                        }
                        Err(error) => {
                            let shape = ErrorShape::of_path(request.uri().path());
                            let refusal = refuse(&refused(error), shape);
                            return Poll::Ready(Ok(refusal.map(Either::Right)));
                        }
                    }
                    State::Readying
                }
                StateProj::Readying => {
                    if let Err(error) = ready!(this.inner.poll_ready(cx)) {
                        return Poll::Ready(Err(error));
                    }
                    let request = this.request.take().expect("is sent once");
                    let answer = this.inner.call(request);
                    State::Calling { answer }
                }
                StateProj::Calling { answer } => {
                    let answer = ready!(answer.poll(cx));
                    return Poll::Ready(answer.map(|answer| answer.map(Either::Left)));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S: Service<Request<B>>, F, B> fmt::Debug for ResponseFuture<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

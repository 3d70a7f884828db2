//! The future of a response that may come from another group.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat_core::{Error, ErrorKind, Reason, Rejection};

use crate::{
    Redirect,
    course::Course,
    on_break::{OnBreak, Way},
};

pin_project! {
    /// Asks one group after the other.
    ///
    /// Of the groups that failed nothing is kept but the first failure. Dropped, it leaves nothing.
    pub struct ResponseFuture<S, R, B>
    where
        S: Service<R>,
    {
        way: Option<Way<S, R>>,
        on_break: B,
        cause: Option<Error>,
        #[pin]
        state: State<S::Future, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R> {
        Readying {
            request: Option<R>,
        },
        Calling {
            #[pin]
            response: F,
        },
    }
}

impl<F, R> State<F, R> {
    fn ask(request: R) -> Self {
        Self::Readying {
            request: Some(request),
        }
    }
}

impl<S: Service<R>, R: Redirect, B> ResponseFuture<S, R, B> {
    pub(crate) fn new(inner: S, course: Course<R>, on_break: B) -> Self {
        course.tell(0);
        let state = State::ask(course.request().clone());
        Self {
            way: Some(Way { inner, course }),
            on_break,
            cause: None,
            state,
        }
    }
}

impl<S, R, B> Future for ResponseFuture<S, R, B>
where
    S: Service<R>,
    S::Error: Into<Error>,
    R: Redirect,
    B: OnBreak<S, R>,
{
    type Output = Result<S::Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let way = this.way.as_mut().expect("is kept until there is an answer");
            match this.state.as_mut().project() {
                StateProj::Readying { request } => {
                    if let Err(error) = ready!(way.inner.poll_ready(cx)) {
                        let cause = this.cause.take().unwrap_or_else(|| error.into());
                        return Poll::Ready(Err(cause));
                    }
                    let request = request.take().expect("is asked once");
                    let response = way.inner.call(request);
                    this.state.set(State::Calling { response });
                }
                StateProj::Calling { response } => {
                    let error: Error = match ready!(response.poll(cx)) {
                        Ok(response) => {
                            let way = this.way.take().expect("has just been there");
                            return Poll::Ready(Ok(this.on_break.begun(response, way)));
                        }
                        Err(error) => error.into(),
                    };
                    let course = &mut way.course;
                    course.note(&error);
                    let list = error.kind().rule().fallback;
                    let goes_on = course.may_go_on(&error) && course.advance(list);
                    let cause = reported(this.cause.take(), error);
                    if !goes_on {
                        return Poll::Ready(Err(cause));
                    }
                    *this.cause = Some(cause);
                    course.note_move();
                    course.tell(0);
                    let request = course.request().clone();
                    this.state.set(State::ask(request));
                }
            }
        }
    }
}

/// Which failure to report: the first, unless that is a refusal and the other one tells what is wrong
/// with the request, or the first group had no place for the request at all and this one has.
fn reported(first: Option<Error>, error: Error) -> Error {
    let has_no_place = |error: &Error| {
        let why = error.rejection().map(Rejection::reason);
        why == Some(Reason::Unsupported)
    };
    let is_of_request = matches!(
        error.kind(),
        ErrorKind::BadRequest | ErrorKind::Unprocessable
    );
    match first {
        Some(first) if has_no_place(&first) && !has_no_place(&error) => error,
        Some(first) if first.kind() != ErrorKind::Rejected || !is_of_request => first,
        _ => error,
    }
}

impl<S: Service<R>, R, B> fmt::Debug for ResponseFuture<S, R, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Readying { .. } => "readying",
            State::Calling { .. } => "calling",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

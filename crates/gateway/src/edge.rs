//! What is checked of every HTTP request before anything else.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat::{Error, ErrorKind};

use crate::{ResponseBody, headers::refuse, shape::ErrorShape};

/// More headers than any client of the field sends.
const MAX_HEADERS: usize = 100;
/// More bytes of headers than any client of the field sends.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Lets a request in if its headers are of a sane size. Pass-through.
#[derive(Clone, Debug)]
pub(crate) struct Edge<S> {
    inner: S,
}

impl<S> Edge<S> {
    pub(crate) const fn new(inner: S) -> Self {
        Self { inner }
    }
}

fn check(headers: &HeaderMap) -> Result<(), Error> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if headers.len() <= MAX_HEADERS && bytes <= MAX_HEADER_BYTES {
        return Ok(());
    }
    let message = format!("more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes of them");
    Err(Error::new(ErrorKind::BadRequest, message)
        .with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        .with_code("headers_too_large"))
}

impl<S, B, R> Service<Request<B>> for Edge<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
{
    type Response = Response<EdgeBody<R>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match check(request.headers()) {
            Ok(()) => ResponseFuture::Inside {
                future: self.inner.call(request),
            },
            Err(error) => {
                let shape = ErrorShape::of_path(request.uri().path());
                ResponseFuture::Refused {
                    refusal: Some(refuse(&error, shape)),
                }
            }
        }
    }
}

/// The body of the service inside, or of a refusal.
pub(crate) type EdgeBody<R> = http_body_util::Either<R, ResponseBody>;

pin_project! {
    /// Response future of [`Edge`].
    #[project = ResponseFutureProj]
    pub(crate) enum ResponseFuture<F> {
        Inside { #[pin] future: F },
        Refused { refusal: Option<Response<ResponseBody>> },
    }
}

impl<F, R> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
{
    type Output = Result<Response<EdgeBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match self.project() {
            ResponseFutureProj::Inside { future } => {
                let Ok(response) = ready!(future.poll(cx));
                response.map(http_body_util::Either::Left)
            }
            ResponseFutureProj::Refused { refusal } => {
                let refusal = refusal.take();
                let refusal = refusal.expect("a future is polled to its end once");
                refusal.map(http_body_util::Either::Right)
            }
        }))
    }
}

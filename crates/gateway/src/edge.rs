//! What is checked of every HTTP request before anything else.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat::{Error, ErrorKind, Secret, provider::realtime::client_key};

use crate::{
    ResponseBody,
    google::{is_google_s, key_of},
    headers::refuse,
    policy::Policies,
    shape::ErrorShape,
};

/// More headers than any client of the field sends.
const MAX_HEADERS: usize = 100;
/// More bytes of headers than any client of the field sends.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Paths that need no key: probes and metrics.
fn is_open(path: &str) -> bool {
    path == "/metrics" || path.starts_with("/health/")
}

/// Lets a request in if its headers are of a sane size and it has the key.
///
/// Pass-through. The key is compared in constant time.
#[derive(Clone, Debug)]
pub(crate) struct Edge<S> {
    inner: S,
    policies: Policies,
}

impl<S> Edge<S> {
    pub(crate) fn new(inner: S, policies: Policies) -> Self {
        Self { inner, policies }
    }

    fn check(&self, path: &str, headers: &HeaderMap, asked: Option<&str>) -> Result<(), Error> {
        let bytes: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            let message =
                format!("more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes of them");
            return Err(Error::new(ErrorKind::BadRequest, message)
                .with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
                .with_code("headers_too_large"));
        }
        match &self.policies.load().key {
            Some(key) if !is_open(path) => authorize(key, headers, asked),
            _ => Ok(()),
        }
    }
}

/// Looks for the key in the headers, and where a query may hold one, in that.
fn authorize(key: &Secret, headers: &HeaderMap, asked: Option<&str>) -> Result<(), Error> {
    let bearer = headers
        .get(AUTHORIZATION)
        .map(|value| value.as_bytes())
        .and_then(|value| {
            let (scheme, token) = value.split_at_checked(7)?;
            scheme
                .eq_ignore_ascii_case(b"bearer ")
                .then(|| token.trim_ascii())
        });
    // As Anthropic's clients send it; some send both.
    let bare = headers.get("x-api-key").map(|value| value.as_bytes());
    // As Google's clients send it, the older ones in the query.
    let google_s = headers.get("x-goog-api-key").map(|value| value.as_bytes());
    let asked = asked.map(str::as_bytes);
    // As browsers send it that ask for a WebSocket, which can have no such header.
    let offered = client_key(headers).map(str::as_bytes);
    let given = [bearer, bare, google_s, asked, offered];
    let mut given = given.into_iter().flatten();
    if given.clone().any(|it| key.matches(it)) {
        return Ok(());
    }
    let message = match given.next() {
        None => "no key: send `Authorization: Bearer …` or `x-api-key: …`",
        Some(_) => "the key is not valid",
    };
    Err(Error::new(ErrorKind::Authentication, message))
}

/// Takes the key out of the query of a request in which Google's clients have one: nobody else is to
/// see it.
fn key_in_query<B>(request: &mut Request<B>) -> Option<String> {
    let uri = request.uri();
    if uri.query().is_none() || !is_google_s(uri.path()) {
        return None;
    }
    let (key, rest) = key_of(uri)?;
    *request.uri_mut() = rest;
    Some(key)
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let asked = key_in_query(&mut request);
        let path = request.uri().path();
        match self.check(path, request.headers(), asked.as_deref()) {
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

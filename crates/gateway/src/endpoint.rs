//! One operation of the OpenAI API as an HTTP service.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat::{BoxError, Error, ErrorKind, HasLedger, LlmRequest, LlmResponse, Operation};

use crate::{
    ResponseBody,
    headers::{Called, apply_headers, respond},
};

/// How large a body may be unless it is said otherwise.
pub const DEFAULT_MAX_BODY: usize = 25 * 1024 * 1024;

/// One operation of the OpenAI API over a stack: an HTTP service that answers every request, with
/// errors in the shape that OpenAI's clients read.
///
/// It can be mounted in an axum `Router` that you have:
///
/// ```
/// # use ziggurat::{Error, LlmRequest, LlmResponse, Operation};
/// # let stack = tower::service_fn(|_: LlmRequest| async {
/// #     Ok::<_, Error>(LlmResponse::complete("{}", None))
/// # });
/// use ziggurat_gateway::Endpoint;
///
/// let app: axum::Router = axum::Router::new()
///     .route_service("/v1/chat/completions", Endpoint::new(stack, Operation::ChatCompletions));
/// ```
///
/// Deferring: always ready. The stack is readied when the body has been read.
#[derive(Clone)]
pub struct Endpoint<S> {
    stack: S,
    operation: Operation,
    max_body: usize,
    allow_mocks: bool,
}

impl<S> Endpoint<S> {
    /// The operation over a stack.
    #[must_use]
    pub fn new(stack: S, operation: Operation) -> Self {
        Self {
            stack,
            operation,
            max_body: DEFAULT_MAX_BODY,
            allow_mocks: false,
        }
    }

    /// Sets how many bytes a body may have; a larger one is answered with 413.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Lets clients send `mock_*` fields, which are cut out; otherwise they are answered with 400.
    #[must_use]
    pub fn allow_mocks(mut self, allow: bool) -> Self {
        self.allow_mocks = allow;
        self
    }
}

impl<S> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("operation", &self.operation)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for Endpoint<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let called = Called::new(&parts.headers);
        let announced = body.size_hint().lower();
        let read = Reading {
            body,
            bytes: Collected::default(),
            limit: self.max_body,
            announced,
        };
        let endpoint = Self {
            stack: self.stack.clone(),
            ..*self
        };
        ResponseFuture {
            called,
            state: State::Reading {
                read,
                endpoint: Some(endpoint),
                parts: Some(Box::new(parts)),
            },
        }
    }
}

pin_project! {
    /// Response future of [`Endpoint`].
    pub struct ResponseFuture<S, B>
    where
        S: Service<LlmRequest>,
    {
        called: Called,
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<LlmRequest>,
    {
        Reading { #[pin] read: Reading<B>, endpoint: Option<Endpoint<S>>, parts: Option<Box<Parts>> },
        Readying { stack: S, request: Option<LlmRequest> },
        Calling { #[pin] future: S::Future },
    }
}

impl<S, B> Future for ResponseFuture<S, B>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answer = loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading {
                    read,
                    endpoint,
                    parts,
                } => {
                    let body = match ready!(read.poll(cx)) {
                        Ok(body) => body,
                        Err(error) => break Err(error),
                    };
                    let parts = parts.take().expect("a body is read once");
                    let endpoint = endpoint.take().expect("a body is read once");
                    match endpoint.request(&parts, body) {
                        Ok(request) => {
                            this.called.ledger = request.ledger().cloned();
                            State::Readying {
                                stack: endpoint.stack,
                                request: Some(request),
                            }
                        }
                        Err(error) => break Err(error),
                    }
                }
                StateProj::Readying { stack, request } => match ready!(stack.poll_ready(cx)) {
                    Ok(()) => {
                        let request = request.take().expect("a stack is called once");
                        State::Calling {
                            future: stack.call(request),
                        }
                    }
                    Err(error) => break Err(error.into()),
                },
                StateProj::Calling { future } => break ready!(future.poll(cx)).map_err(Into::into),
            };
            this.state.set(next);
        };
        Poll::Ready(Ok(respond(this.called, answer)))
    }
}

impl<S> Endpoint<S> {
    fn request(&self, parts: &Parts, body: Bytes) -> Result<LlmRequest, Error> {
        let mut request = LlmRequest::from_bytes(self.operation, body)?;
        apply_headers(&mut request, &parts.headers)?;
        match request.controls().mocks.first() {
            Some(name) if !self.allow_mocks => Err(Error::new(
                ErrorKind::BadRequest,
                format!(
                    "`{name}` is for tests; set `general_settings.dangerously_allow_mock_testing_request_params` to allow it"
                ),
            )
            .with_param(&**name)),
            _ => Ok(request),
        }
    }
}

pin_project! {
    /// Reads a body, at most so many bytes of it, copying it at most once.
    struct Reading<B> {
        #[pin]
        body: B,
        bytes: Collected,
        limit: usize,
        announced: u64,
    }
}

#[derive(Default)]
enum Collected {
    #[default]
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl<B> Reading<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        let mut this = self.project();
        let announced = usize::try_from(*this.announced).unwrap_or(usize::MAX);
        if announced > *this.limit {
            return Poll::Ready(Err(too_large(*this.limit)));
        }
        loop {
            let frame = match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    let error: BoxError = error.into();
                    let message = format!("the body could not be read: {error}");
                    return Poll::Ready(Err(Error::new(ErrorKind::BadRequest, message)));
                }
                None => break,
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            *this.bytes = match std::mem::take(this.bytes) {
                Collected::Nothing => Collected::One(data),
                Collected::One(first) => {
                    let mut many = BytesMut::with_capacity(announced.max(first.len() + data.len()));
                    many.extend_from_slice(&first);
                    many.extend_from_slice(&data);
                    Collected::Many(many)
                }
                Collected::Many(mut many) => {
                    many.extend_from_slice(&data);
                    Collected::Many(many)
                }
            };
            if this.bytes.len() > *this.limit {
                return Poll::Ready(Err(too_large(*this.limit)));
            }
        }
        Poll::Ready(Ok(match std::mem::take(this.bytes) {
            Collected::Nothing => Bytes::new(),
            Collected::One(bytes) => bytes,
            Collected::Many(many) => many.freeze(),
        }))
    }
}

impl Collected {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(many) => many.len(),
        }
    }
}

fn too_large(limit: usize) -> Error {
    Error::new(
        ErrorKind::BadRequest,
        format!("the body is larger than the {limit} bytes that are accepted"),
    )
    .with_status(StatusCode::PAYLOAD_TOO_LARGE)
    .with_code("body_too_large")
}

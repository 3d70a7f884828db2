//! One operation of an LLM API as an HTTP service.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat::{
    BoxError, ByteBudget, Error, LARGE, LlmRequest, LlmResponse, Operation, off_reactor,
};

use crate::{
    ResponseBody,
    body::Answering,
    google,
    headers::{Called, respond, respond_late},
    keep_alive::KeepAlive,
    making::Making,
    passing::Passing,
    policy::Policies,
    reading::{Bounds, Reading},
    shape::ErrorShape,
};

/// The request of a large body, on its way.
type BoxMaking = Pin<Box<dyn Future<Output = Result<LlmRequest, Error>> + Send>>;

/// How large a body may be unless it is said otherwise.
pub const DEFAULT_MAX_BODY: usize = 25 * 1024 * 1024;

/// One operation of an LLM API over a stack: an HTTP service that answers every request, with errors
/// in the shape that clients of the operation read. A body is JSON, or a form where OpenAI's is one.
/// For [`GenerateContent`](Operation::GenerateContent), the path ends with `/models/{model}:{method}`.
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
/// Who asks says the [`Identity`](crate::Identity) among the extensions of a request, if there is one: an
/// [`IdentifyLayer`](crate::IdentifyLayer) puts it there.
///
/// Deferring: always ready. The stack is readied when the body has been read.
#[derive(Clone)]
pub struct Endpoint<S> {
    stack: S,
    making: Making,
    /// Who is told of errors, if that is not who the operation is for.
    errors: Option<ErrorShape>,
    max_body: usize,
}

impl<S> Endpoint<S> {
    /// The operation over a stack.
    #[must_use]
    pub fn new(stack: S, operation: Operation) -> Self {
        Self {
            stack,
            making: Making {
                operation,
                passing: None,
                budget: None,
                policies: Policies::default(),
                router: None,
            },
            errors: None,
            max_body: DEFAULT_MAX_BODY,
        }
    }

    /// Sets how many bytes a body may have; a larger one is answered with 413.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets out of which bytes bodies are held, of all requests together; one that finds no room is
    /// answered with 503. Not bounded if not set.
    #[must_use]
    pub fn body_budget(mut self, budget: ByteBudget) -> Self {
        self.making.budget = Some(budget);
        self
    }

    /// Sets how long a body may take, to which each 16 KiB that have come add a second; one that takes
    /// longer is answered with 408. 30 s if not set, for ever with `None`.
    #[must_use]
    pub fn body_timeout(mut self, time: Option<Duration>) -> Self {
        self.making.policies = self
            .making
            .policies
            .with(|policy| policy.body_timeout = time);
        self
    }

    /// Lets clients send `mock_*` fields, which are cut out; otherwise they are answered with 400.
    #[must_use]
    pub fn allow_mocks(mut self, allow: bool) -> Self {
        self.making.policies = self.making.policies.with(|policy| policy.mocks = allow);
        self
    }

    /// Lets clients send `api_key` and `api_base`, for the stack to act on; otherwise they are
    /// answered with 400.
    #[must_use]
    pub fn client_credentials(mut self, allow: bool) -> Self {
        self.making.policies = self
            .making
            .policies
            .with(|policy| policy.credentials = allow);
        self
    }

    /// Shows filters which program sent a request.
    #[must_use]
    pub fn user_agent(mut self, show: bool) -> Self {
        self.making.policies = self.making.policies.with(|policy| policy.user_agent = show);
        self
    }

    /// Sets after which silence a stream gets a comment that keeps its connection alive; 15 s if not
    /// set, never with `None`. One that has not begun by then is told that it will: with a status
    /// of 200, so that a failure is an event of the stream.
    #[must_use]
    pub fn keep_alive(mut self, after: Option<Duration>) -> Self {
        self.making.policies = self
            .making
            .policies
            .with(|policy| policy.keep_alive = after);
        self
    }

    /// Reads requests in another way, to pass them through.
    pub(crate) fn passing(mut self, passing: Passing) -> Self {
        self.making.passing = Some(passing);
        self
    }

    /// Tells errors in another envelope.
    pub(crate) fn errors(mut self, errors: ErrorShape) -> Self {
        self.errors = Some(errors);
        self
    }

    /// What a client may send, at a time.
    pub(crate) fn bounds(&self, parts: &Parts) -> Bounds {
        let Making {
            policies, budget, ..
        } = &self.making;
        policies
            .load()
            .bounds(parts, self.max_body, budget.as_ref())
    }

    pub(crate) fn called(&self, headers: &HeaderMap, errors: ErrorShape) -> Called {
        Called::new(headers, errors, self.making.router.clone())
    }

    /// The request that a query makes, where there is no body.
    pub(crate) fn query_request(&self, parts: &Parts) -> Result<LlmRequest, Error> {
        self.making.query_request(parts)
    }

    pub(crate) fn into_stack(self) -> S {
        self.stack
    }

    pub(crate) fn policies(mut self, policies: Policies) -> Self {
        self.making.policies = policies;
        self
    }

    /// Tells clients in headers what a router knows: in `x-ratelimit-*` what is left of the limits of
    /// the model group, in `x-ziggurat-config` which configuration is carried out.
    #[must_use]
    pub fn router(mut self, router: ziggurat::Router) -> Self {
        self.making.router = Some(router);
        self
    }
}

impl<S> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("operation", &self.making.operation)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for Endpoint<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
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
        let errors = match (&self.making.passing, self.making.operation) {
            (Some(_), _) => ErrorShape::of_path(parts.uri.path()),
            (None, Operation::GenerateContent) => google::errors_of(&parts.uri),
            (None, operation) => self.errors.unwrap_or_else(|| ErrorShape::of(operation)),
        };
        let called = self.called(&parts.headers, errors);
        let bounds = self.bounds(&parts);
        let read = Reading::new(body, &parts.headers, bounds);
        let endpoint = self.clone();
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
        Making { making: BoxMaking, endpoint: Option<Endpoint<S>> },
        Readying { stack: S, request: Option<LlmRequest> },
        Calling { #[pin] future: S::Future },
        Streaming { answer: Option<Answering>, silence: KeepAlive },
    }
}

impl<S, B> Future for ResponseFuture<S, B>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
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
                    if body.len() < LARGE {
                        match endpoint.making.request(&parts, body) {
                            Ok(request) => endpoint.made(this.called, request),
                            Err(error) => break Err(error),
                        }
                    } else {
                        let making = endpoint.making.clone();
                        let making = off_reactor(body.len(), move || making.request(&parts, body));
                        State::Making {
                            making: Box::pin(making),
                            endpoint: Some(endpoint),
                        }
                    }
                }
                StateProj::Making { making, endpoint } => match ready!(making.as_mut().poll(cx)) {
                    Ok(request) => {
                        let endpoint = endpoint.take().expect("a request is made once");
                        endpoint.made(this.called, request)
                    }
                    Err(error) => break Err(error),
                },
                StateProj::Readying { stack, request } => match ready!(stack.poll_ready(cx)) {
                    Ok(()) => {
                        let request = request.take().expect("a stack is called once");
                        let future = stack.call(request);
                        match this.called.keep_alive {
                            None => State::Calling { future },
                            // It moves into the body if the answer does not begin for long.
                            every => State::Streaming {
                                answer: Some(Box::pin(async { future.await.map_err(Into::into) })),
                                silence: KeepAlive::new(every),
                            },
                        }
                    }
                    Err(error) => break Err(error.into()),
                },
                StateProj::Calling { future } => break ready!(future.poll(cx)).map_err(Into::into),
                StateProj::Streaming { answer, silence } => {
                    let begun = answer.as_mut().expect("it is polled until it is ready");
                    if let Poll::Ready(answer) = begun.as_mut().poll(cx) {
                        break answer;
                    }
                    ready!(silence.poll(cx));
                    let answer = answer.take().expect("it has not begun");
                    return Poll::Ready(Ok(respond_late(this.called, answer)));
                }
            };
            this.state.set(next);
        };
        Poll::Ready(Ok(respond(this.called, answer)))
    }
}

impl<S: Service<LlmRequest>> Endpoint<S> {
    /// What follows when there is a request.
    fn made<B>(self, called: &mut Called, request: LlmRequest) -> State<S, B> {
        called.follow(&request);
        called.wants_failures = request.controls().include_fallback_errors;
        let keep_alive = self.making.policies.load().keep_alive;
        called.keep_alive = keep_alive.filter(|_| request.is_stream());
        State::Readying {
            stack: self.stack,
            request: Some(request),
        }
    }
}

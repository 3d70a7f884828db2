//! One operation of an LLM API as an HTTP service.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::extract::Query;
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts,
};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat::{
    BoxError, ClientCredentials, Deployment, Error, ErrorKind, HasLedger, LlmRequest, LlmResponse,
    Operation,
    provider::{check, messages::ClientBetas, realtime::Offer},
};

use crate::{
    ResponseBody,
    body::Answering,
    google,
    headers::{Called, apply_headers, respond, respond_late},
    keep_alive::KeepAlive,
    passing::Passing,
    policy::{Policies, Policy},
    shape::ErrorShape,
};

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
/// Deferring: always ready. The stack is readied when the body has been read.
#[derive(Clone)]
pub struct Endpoint<S> {
    stack: S,
    operation: Operation,
    passing: Option<Passing>,
    /// Who is told of errors, if that is not who the operation is for.
    errors: Option<ErrorShape>,
    max_body: usize,
    policies: Policies,
    router: Option<ziggurat::Router>,
}

impl<S> Endpoint<S> {
    /// The operation over a stack.
    #[must_use]
    pub fn new(stack: S, operation: Operation) -> Self {
        Self {
            stack,
            operation,
            passing: None,
            errors: None,
            max_body: DEFAULT_MAX_BODY,
            policies: Policies::default(),
            router: None,
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
        self.policies = self.policies.with(|policy| policy.mocks = allow);
        self
    }

    /// Lets clients send `api_key` and `api_base`, for the stack to act on; otherwise they are
    /// answered with 400.
    #[must_use]
    pub fn client_credentials(mut self, allow: bool) -> Self {
        self.policies = self.policies.with(|policy| policy.credentials = allow);
        self
    }

    /// Shows filters which program sent a request.
    #[must_use]
    pub fn user_agent(mut self, show: bool) -> Self {
        self.policies = self.policies.with(|policy| policy.user_agent = show);
        self
    }

    /// Sets after which silence a stream gets a comment that keeps its connection alive; 15 s if not
    /// set, never with `None`. One that has not begun by then is told that it will: with a status
    /// of 200, so that a failure is an event of the stream.
    #[must_use]
    pub fn keep_alive(mut self, after: Option<Duration>) -> Self {
        self.policies = self.policies.with(|policy| policy.keep_alive = after);
        self
    }

    /// Reads requests in another way, to pass them through.
    pub(crate) fn passing(mut self, passing: Passing) -> Self {
        self.passing = Some(passing);
        self
    }

    /// Tells errors in another envelope.
    pub(crate) fn errors(mut self, errors: ErrorShape) -> Self {
        self.errors = Some(errors);
        self
    }

    pub(crate) fn longest_body(&self) -> usize {
        self.max_body
    }

    pub(crate) fn called(&self, headers: &HeaderMap, errors: ErrorShape) -> Called {
        Called::new(headers, errors, self.router.clone())
    }

    pub(crate) fn into_stack(self) -> S {
        self.stack
    }

    pub(crate) fn policies(mut self, policies: Policies) -> Self {
        self.policies = policies;
        self
    }

    /// Tells clients in headers what a router knows: in `x-ratelimit-*` what is left of the limits of
    /// the model group, in `x-ziggurat-config` which configuration is carried out.
    #[must_use]
    pub fn router(mut self, router: ziggurat::Router) -> Self {
        self.router = Some(router);
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
        let errors = match (&self.passing, self.operation) {
            (Some(_), _) => ErrorShape::of_path(parts.uri.path()),
            (None, Operation::GenerateContent) => google::errors_of(&parts.uri),
            (None, operation) => self.errors.unwrap_or_else(|| ErrorShape::of(operation)),
        };
        let called = self.called(&parts.headers, errors);
        let announced = body.size_hint().lower();
        let read = Reading {
            body,
            bytes: Collected::default(),
            limit: self.max_body,
            announced,
        };
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
                    match endpoint.request(&parts, body) {
                        Ok(request) => {
                            this.called.follow(request.ledger());
                            this.called.wants_failures = request.controls().include_fallback_errors;
                            this.called.keep_alive = endpoint.keep_alive_of(&request);
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

impl<S> Endpoint<S> {
    fn keep_alive_of(&self, request: &LlmRequest) -> Option<Duration> {
        let keep_alive = self.policies.load().keep_alive;
        keep_alive.filter(|_| request.is_stream())
    }

    fn request(&self, parts: &Parts, body: Bytes) -> Result<LlmRequest, Error> {
        let policy = self.policies.load();
        if let Some(passing) = &self.passing {
            return self.allowed(passing.request(parts, body)?, parts, &policy);
        }
        let (operation, options) = (self.operation, policy.read_options());
        let asked = (operation == Operation::GenerateContent)
            .then(|| google::read(parts.uri.path()))
            .flatten();
        let request = match (form(operation, &parts.headers)?, asked) {
            (Some(kind), _) => LlmRequest::read_multipart(operation, body, kind, options)?,
            (None, Some(asked)) => {
                let streams = asked.method == google::Method::Stream;
                LlmRequest::read_for(operation, body, asked.model, streams, options)?
            }
            (None, None) => LlmRequest::read(operation, body, options)?,
        };
        self.allowed(request, parts, &policy)
    }

    /// The request that a query makes, where there is no body: its pairs are the members.
    pub(crate) fn query_request(&self, parts: &Parts) -> Result<LlmRequest, Error> {
        let policy = self.policies.load();
        let wrong = |message: &'static str| Error::new(ErrorKind::BadRequest, message);
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(pairs) = pairs.map_err(|_| wrong("the query cannot be read"))?;
        if !pairs.iter().any(|(name, _)| name == "model") {
            let error = wrong("the query has no `model`").with_param("model");
            return Err(error.with_code("missing_required_parameter"));
        }
        let members = pairs.into_iter().map(|(name, value)| (name, value.into()));
        let members = serde_json::Map::from_iter(members);
        let body = serde_json::Value::Object(members).to_string();
        let mut request = LlmRequest::read(self.operation, body, policy.read_options())?;
        let offer = Offer::new(&parts.headers);
        request.extensions_mut().insert(offer);
        self.allowed(request, parts, &policy)
    }

    /// The request with what its headers say, if the client may send it.
    fn allowed(
        &self,
        request: LlmRequest,
        parts: &Parts,
        policy: &Policy,
    ) -> Result<LlmRequest, Error> {
        let operation = self.operation;
        let mut request = apply_headers(request, &parts.headers, policy.user_agent)?;
        if operation == Operation::Messages
            && let Some(betas) = betas(&parts.headers)
        {
            request.extensions_mut().insert(betas);
        }
        if let Some(client) = &request.controls().client {
            check_client(client)?;
        }
        match request.controls().mocks.names.first() {
            Some(name) if !policy.mocks => Err(Error::new(
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

/// The content type of a body that is a form; `None` if it is to be JSON.
fn form(operation: Operation, headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.unwrap_or_default();
    let start = kind.get(.."multipart/".len()).unwrap_or_default();
    let is_form = start.eq_ignore_ascii_case(b"multipart/");
    let wrong = |message: String| {
        let error = Error::new(ErrorKind::BadRequest, message);
        error
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .with_code("unsupported_media_type")
    };
    let expected = |kind: &str| wrong(format!("the body of `{operation}` must be `{kind}`"));
    match is_form {
        true if !operation.takes_form() => Err(expected("application/json")),
        false if !operation.takes_json() => Err(expected("multipart/form-data")),
        true => match std::str::from_utf8(kind) {
            Ok(kind) => Ok(Some(kind)),
            Err(_) => Err(wrong("the content type is not valid".to_owned())),
        },
        false => Ok(None),
    }
}

/// What a client of Anthropic's shape asks for beside the body.
fn betas(headers: &HeaderMap) -> Option<ClientBetas> {
    let values = headers.get_all("anthropic-beta").iter();
    let names: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    (!names.is_empty()).then(|| ClientBetas::new(&names.join(",")))
}

/// Whether what a client brings can be used. Otherwise it would count as a fault of the deployment.
fn check_client(client: &ClientCredentials) -> Result<(), Error> {
    let wrong = |name: &str, expected: &str| {
        Error::new(
            ErrorKind::BadRequest,
            format!("`{name}` must be {expected}"),
        )
        .with_param(name)
    };
    let own = |base: &str| Deployment::new("client", "client", "model").with_base_url(base);
    let base = client.base_url.as_deref().unwrap_or("http://localhost");
    check(&own(base)).map_err(|_| wrong("api_base", "a plain http or https address"))?;
    let Some(key) = &client.api_key else {
        return Ok(());
    };
    check(&own(base).with_credential(key.clone()))
        .map_err(|_| wrong("api_key", "of characters that a header may have"))
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

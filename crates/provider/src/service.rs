use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use ziggurat_core::{BoxError, Deployment, Error, LlmRequest, LlmResponse, Routed};

use crate::{
    Probe, RequestBody, ReqwestClient, TransportConfig,
    body::Most,
    endpoint::{Endpoint, Endpoints},
    exchange::exchange,
    future::ResponseFuture,
    secrets,
    tokens::Tokens,
};

/// How long an answer may be that is not a stream.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Calls the deployment that a request was routed to, and makes sure that what comes back is an
/// answer: the leaf of the stack.
///
/// *Deferring*: `poll_ready` is always ready; a clone of the HTTP client is readied inside the
/// future. It calls once, whatever happens: it never tries again and follows no redirect.
///
/// The future resolves with a whole answer, or with the first content of a streamed one; until then
/// every failure is an error of the future, and everything may be tried again. Dropping the future,
/// or the stream later, hangs up.
///
/// The HTTP client is any `Service` of HTTP requests; [`ReqwestClient`] by default.
#[derive(Clone)]
pub struct LlmService<C = ReqwestClient> {
    client: C,
    shared: Arc<Shared>,
}

/// What the clones have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) endpoints: Endpoints,
    pub(crate) tokens: Tokens,
    pub(crate) max_answer: usize,
}

impl Shared {
    /// How much the answer to a request may be.
    pub(crate) fn most(&self, request: &LlmRequest) -> Most {
        Most {
            bytes: self.max_answer,
            budget: request.budget().cloned(),
        }
    }

    /// The deployment as those know it who read its answers: the token that it was called with is
    /// one of its secrets.
    pub(crate) fn called(
        &self,
        endpoint: &Endpoint,
        deployment: &Arc<Deployment>,
    ) -> Arc<Deployment> {
        let token = endpoint.token().and_then(|source| self.tokens.kept(source));
        match token {
            Some(token) => Arc::new(secrets::with_token(deployment, &token)),
            None => Arc::clone(deployment),
        }
    }
}

impl LlmService {
    /// A service with an HTTP client of its own, which all clones share.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`](ziggurat_core::ErrorKind::Internal) if the client cannot be made.
    pub fn new(config: &TransportConfig) -> Result<Self, Error> {
        ReqwestClient::new(config).map(Self::with_client)
    }
}

impl<C> LlmService<C> {
    /// A service that sends its requests through that client.
    ///
    /// The client must not retry, follow redirects or limit the time of a body.
    #[must_use]
    pub fn with_client(client: C) -> Self {
        let shared = Arc::new(Shared {
            endpoints: Endpoints::new(),
            tokens: Tokens::new(),
            max_answer: MAX_ANSWER,
        });
        Self { client, shared }
    }

    /// Limits an answer that is not a stream to so many bytes, instead of 64 MiB.
    #[must_use]
    pub fn with_max_answer(mut self, bytes: usize) -> Self {
        self.shared = Arc::new(Shared {
            endpoints: Endpoints::new(),
            tokens: Tokens::new(),
            max_answer: bytes,
        });
        self
    }
}

impl<C: Clone> LlmService<C> {
    /// A service that finds out whether deployments can be reached, through the same client.
    #[must_use]
    pub fn probe(&self) -> Probe<C> {
        Probe::new(self.client.clone(), Arc::clone(&self.shared))
    }
}

/// Whether a deployment can be called as it is configured; to be asked before it is.
///
/// # Errors
///
/// [`ErrorKind::Internal`](ziggurat_core::ErrorKind::Internal), saying what is wrong with its
/// address, credential or headers.
pub fn check(deployment: &Deployment) -> Result<(), Error> {
    Endpoint::new(deployment).map(drop)
}

impl<C, B> Service<Routed<LlmRequest>> for LlmService<C>
where
    C: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, routed: Routed<LlmRequest>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        ResponseFuture::new(exchange(self.client.clone(), shared, routed))
    }
}

impl<C> fmt::Debug for LlmService<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmService").finish_non_exhaustive()
    }
}

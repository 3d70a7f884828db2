//! The same world in one runtime, without a socket: with a paused clock, days take no time.

use std::{
    net::Ipv4Addr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt as _;
use tower_service::Service;
use ziggurat::{
    BoxError, ClientAddress, Router,
    provider::{LlmService, RequestBody},
};
use ziggurat_gateway::Gateway;
use ziggurat_testkit::provider::Simulator;

use crate::{Form, Reply, chat, plan};

/// A gateway over a simulator, both in memory; its clients are on the same machine. The clock of the
/// runtime must be paused.
#[derive(Debug)]
pub struct VirtualWorld {
    /// The providers.
    pub providers: Arc<Simulator>,
    /// The router inside the gateway.
    pub router: Router,
    /// The gateway, built as `ziggurat serve` builds it.
    pub gateway: Gateway,
}

impl VirtualWorld {
    /// Starts a gateway with a configuration in which `{a}`, `{b}`, … stand for the base URLs of
    /// simulated providers of that name.
    ///
    /// # Panics
    ///
    /// If it is not valid.
    #[must_use]
    pub fn new(config: &str) -> Self {
        let providers = Arc::new(Simulator::in_memory());
        let plan = plan(config, &providers);
        let leaf = LlmService::with_client(InMemory(Arc::clone(&providers)));
        let router = Router::with_service(&plan, &leaf).expect("the plan is valid");
        let gateway = Gateway::over(&router);
        Self {
            providers,
            router,
            gateway,
        }
    }

    /// Carries out another configuration.
    ///
    /// # Panics
    ///
    /// If it is not valid.
    pub fn reload(&self, config: &str) {
        let plan = plan(config, &self.providers);
        self.gateway.reload(&plan).expect("the plan is valid");
    }

    /// Sends a body to a path with headers, and begins to read the answer.
    ///
    /// # Panics
    ///
    /// If a header is none.
    pub async fn begin(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(path).header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.start(request.body(body.to_string().into())).await
    }

    /// Sends a form to a path, and begins to read the answer.
    ///
    /// # Panics
    ///
    /// If the path is none.
    pub async fn begin_form(&self, path: &str, form: &Form) -> Answer {
        let request = Request::post(path).header(CONTENT_TYPE, Form::CONTENT_TYPE);
        self.start(request.body(form.to_bytes())).await
    }

    async fn start(&self, request: http::Result<Request<Bytes>>) -> Answer {
        let mut request = request.expect("is a request").map(Into::into);
        let from = ClientAddress(Ipv4Addr::LOCALHOST.into());
        request.extensions_mut().insert(from);
        let began = Instant::now();
        let service = self.gateway.service(&self.router);
        let sent = service.oneshot(request).await;
        let Ok(response) = sent;
        let (head, body) = response.into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.map_err(Into::into).boxed_unsync(),
            began,
        }
    }

    /// Sends a body to a path, and reads the answer to its end.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.begin(path, body, &[]).await.read().await
    }

    /// Sends a chat request, and reads the answer to its end.
    pub async fn chat(&self, model: &str, more: Value) -> Reply {
        self.post("/v1/chat/completions", &chat(model, more)).await
    }
}

/// An answer that is being read. Dropping it hangs up.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>,
    began: Instant,
}

impl Answer {
    /// The next piece of the body, and how long after the request it came.
    pub async fn next(&mut self) -> Option<(Duration, String)> {
        let frame = self.body.frame().await?.ok()?;
        let bytes = frame.into_data().unwrap_or_default();
        Some((
            self.began.elapsed(),
            String::from_utf8_lossy(&bytes).into_owned(),
        ))
    }

    /// The rest of the answer.
    pub async fn read(mut self) -> Reply {
        let mut bytes = Vec::new();
        let broken = loop {
            match self.body.frame().await {
                Some(Ok(frame)) => bytes.extend(frame.into_data().unwrap_or_default()),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        Reply {
            status: self.status,
            headers: self.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            broken,
        }
    }
}

/// Calls the simulator over a connection of its own for each request.
#[derive(Clone, Debug)]
struct InMemory(Arc<Simulator>);

impl Service<Request<RequestBody>> for InMemory {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let io = TokioIo::new(self.0.connect());
        Box::pin(async move {
            let (mut client, connection) = http1::handshake(io).await?;
            #[expect(
                clippy::disallowed_methods,
                reason = "a connection is driven beside its request, as in every client"
            )]
            tokio::spawn(connection);
            client.send_request(relative(request)).await
        })
    }
}

/// The request as it is written to a server: its path, and the host in a header.
fn relative(mut request: Request<RequestBody>) -> Request<RequestBody> {
    let uri = request.uri().clone();
    if let Some(host) = uri.authority()
        && let Ok(host) = host.as_str().parse()
    {
        request.headers_mut().insert(http::header::HOST, host);
    }
    if let Some(path) = uri.path_and_query() {
        *request.uri_mut() = path.clone().into();
    }
    request
}

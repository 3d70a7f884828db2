use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat_core::{Error, ErrorKind};

use crate::RequestBody;

use super::{IDLE_PER_HOST, IDLE_TIME, KEEP_ALIVE, PING, TransportConfig, is_upgrade, tls};

/// Shared `reqwest` clients, with rustls. Follows the proxies that the environment names.
#[derive(Clone, Debug)]
pub struct ReqwestClient {
    usual: reqwest::Client,
    /// Speaks HTTP/1.1 alone: what a connection is made of that goes both ways.
    upgrades: reqwest::Client,
}

impl ReqwestClient {
    /// A client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] if TLS, or a proxy of the environment, cannot be set up.
    pub fn new(config: &TransportConfig) -> Result<Self, Error> {
        let tls = tls::config()?;
        let made = |versions: &[&str]| {
            let mut tls = tls.clone();
            let versions = versions.iter().map(|version| version.as_bytes().to_vec());
            tls.alpn_protocols = versions.collect();
            builder(config).tls_backend_preconfigured(tls).build()
        };
        let made = made(&["h2", "http/1.1"]).and_then(|usual| {
            let upgrades = made(&["http/1.1"])?;
            Ok(Self { usual, upgrades })
        });
        made.map_err(|error| {
            Error::new(ErrorKind::Internal, "the HTTP client cannot be made")
                .with_source(error.without_url())
        })
    }
}

fn builder(config: &TransportConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(config.connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEP_ALIVE)
        .http2_keep_alive_interval(PING)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .pool_idle_timeout(IDLE_TIME)
}

impl Service<Request<RequestBody>> for ReqwestClient {
    type Response = Response<reqwest::Body>;
    type Error = reqwest::Error;
    type Future = ReqwestFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.usual.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let client = match is_upgrade(&request) {
            true => &mut self.upgrades,
            false => &mut self.usual,
        };
        let request = request.map(reqwest::Body::wrap);
        let state = match reqwest::Request::try_from(request) {
            Ok(request) => State::Sent {
                call: client.call(request),
            },
            Err(error) => State::Refused { error: Some(error) },
        };
        ReqwestFuture { state }
    }
}

pin_project! {
    /// The future of [`ReqwestClient`]. Dropping it gives up the request.
    #[derive(Debug)]
    pub struct ReqwestFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State {
        Sent { #[pin] call: <reqwest::Client as Service<reqwest::Request>>::Future },
        Refused { error: Option<reqwest::Error> },
    }
}

impl Future for ReqwestFuture {
    type Output = Result<Response<reqwest::Body>, reqwest::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Sent { call } => Poll::Ready(ready!(call.poll(cx)).map(Into::into)),
            StateProj::Refused { error } => Poll::Ready(Err(error
                .take()
                .expect("a future is not polled after its end"))),
        }
    }
}

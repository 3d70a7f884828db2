use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tower_service::Service;
use ziggurat_core::{BoxError, Error};

use crate::RequestBody;

use super::{IDLE_PER_HOST, IDLE_TIME, KEEP_ALIVE, PING, TransportConfig, is_upgrade, tls};

/// The client of `hyper-util`, with rustls: about as fast as HTTP gets here, and no proxies.
#[derive(Clone)]
pub struct HyperClient(Arc<Clients>);

struct Clients {
    usual: Client<Connector, RequestBody>,
    /// Speaks HTTP/1.1 alone: what a connection is made of that goes both ways.
    upgrades: Client<Connector, RequestBody>,
}

impl HyperClient {
    /// A client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`](ziggurat_core::ErrorKind::Internal) if TLS cannot be set up.
    pub fn new(config: &TransportConfig) -> Result<Self, Error> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEP_ALIVE));
        tcp.enforce_http(false);
        let tls = tls::config()?;
        let https = || {
            let builder = HttpsConnectorBuilder::new().with_tls_config(tls.clone());
            builder.https_or_http()
        };
        let client = |inner| {
            let timeout = config.connect_timeout;
            Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .http2_keep_alive_interval(PING)
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .pool_idle_timeout(IDLE_TIME)
                .build(Connector { inner, timeout })
        };
        Ok(Self(Arc::new(Clients {
            usual: client(https().enable_all_versions().wrap_connector(tcp.clone())),
            upgrades: client(https().enable_http1().wrap_connector(tcp)),
        })))
    }
}

impl Service<Request<RequestBody>> for HyperClient {
    type Response = Response<Incoming>;
    type Error = legacy::Error;
    type Future = legacy::ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // What hyper's own `Service` answers; asking it would need a clone of the client.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let client = match is_upgrade(&request) {
            true => &self.0.upgrades,
            false => &self.0.usual,
        };
        client.request(request)
    }
}

impl fmt::Debug for HyperClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperClient").finish_non_exhaustive()
    }
}

/// Makes connections within a time that covers the TLS handshake too.
#[derive(Clone)]
struct Connector {
    inner: HttpsConnector<HttpConnector>,
    timeout: Duration,
}

type Connection = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.inner.call(address));
        Box::pin(async {
            match connecting.await {
                Ok(connection) => connection,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

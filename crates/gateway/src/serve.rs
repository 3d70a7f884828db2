//! Accepting connections.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response, header::UPGRADE};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tower_service::Service;
use ziggurat::BoxError;

use crate::realtime::GOODBYE;

/// A header section must be complete within this time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Accepting pauses for this long when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What stands when its request is over: a connection that goes both ways. The server waits for it
/// when it stops, and tells it when there is no more time.
#[derive(Clone, Debug)]
pub(crate) struct Standing(watch::Receiver<()>);

impl Standing {
    /// Waits until it has to end.
    pub(crate) async fn ended(&mut self) {
        // The server is gone if this fails.
        _ = self.0.changed().await;
    }
}

/// Serves HTTP/1.1 and HTTP/2 on a listener until `stop` resolves, then lets the requests that
/// run finish for at most `drain`. WebSockets that stand after that are closed, which takes at most
/// five seconds.
///
/// # Errors
///
/// None while it runs: a connection that fails ends alone, and accepting goes on.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    stop: impl Future<Output = ()>,
    drain: Duration,
) -> io::Result<()>
where
    S: Service<Request<axum::body::Body>, Response = Response<B>, Error = std::convert::Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        // Those over the gateway's own limit get an answer that says so.
        .max_headers(1024)
        .http2()
        .timer(TokioTimer::new());
    let (stopping, running) = watch::channel(());
    let standing = Arc::new(watch::Sender::new(()));
    let mut stop = pin!(stop);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let service = FromIncoming {
            service: service.clone(),
            standing: Arc::clone(&standing),
        };
        spawn_connection(stream, &builder, service, running.clone());
    }
    drop((listener, running));
    stopping.send_replace(());
    let finished = async {
        stopping.closed().await;
        standing.closed().await;
    };
    if tokio::time::timeout(drain, finished).await.is_err() {
        tracing::warn!(
            seconds = drain.as_secs(),
            "requests were cut off at the end of the drain time"
        );
        standing.send_replace(());
        _ = tokio::time::timeout(GOODBYE, standing.closed()).await;
    }
    Ok(())
}

fn spawn_connection<S, B>(
    stream: TcpStream,
    builder: &auto::Builder<TokioExecutor>,
    service: FromIncoming<S>,
    mut stopping: watch::Receiver<()>,
) where
    S: Service<Request<axum::body::Body>, Response = Response<B>, Error = std::convert::Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    // Without it a short stream waits for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a socket keeps its delay");
    }
    let service = TowerToHyperService::new(service);
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned();
    #[expect(
        clippy::disallowed_methods,
        reason = "a server has a task per connection"
    )]
    tokio::spawn(async move {
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = stopping.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = %error, "a connection ended");
        }
        // Held until here: the server waits for it.
        drop(stopping);
    });
}

/// Gives a service for axum's body what hyper receives.
#[derive(Clone)]
struct FromIncoming<S> {
    service: S,
    standing: Arc<watch::Sender<()>>,
}

impl<S> Service<Request<Incoming>> for FromIncoming<S>
where
    S: Service<Request<axum::body::Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> S::Future {
        let mut request = request.map(axum::body::Body::new);
        if request.headers().contains_key(UPGRADE) {
            let standing = Standing(self.standing.subscribe());
            request.extensions_mut().insert(standing);
        }
        self.service.call(request)
    }
}

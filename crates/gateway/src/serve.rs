//! Accepting connections.

use std::{future::Future, io, pin::pin, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;
use ziggurat::BoxError;

/// A header section must be complete within this time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Accepting pauses for this long when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves HTTP/1.1 and HTTP/2 on a listener until `stop` resolves, then lets the requests that
/// run finish for at most `drain`.
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
    let graceful = GracefulShutdown::new();
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
        spawn_connection(stream, &builder, service.clone(), &graceful);
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            seconds = drain.as_secs(),
            "requests were cut off at the end of the drain time"
        );
    }
    Ok(())
}

fn spawn_connection<S, B>(
    stream: TcpStream,
    builder: &auto::Builder<TokioExecutor>,
    service: S,
    graceful: &GracefulShutdown,
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
    let service = TowerToHyperService::new(FromIncoming(service));
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let connection = graceful.watch(connection);
    #[expect(
        clippy::disallowed_methods,
        reason = "a server has a task per connection"
    )]
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, "a connection ended");
        }
    });
}

/// Gives a service for axum's body what hyper receives.
#[derive(Clone)]
struct FromIncoming<S>(S);

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
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> S::Future {
        self.0.call(request.map(axum::body::Body::new))
    }
}

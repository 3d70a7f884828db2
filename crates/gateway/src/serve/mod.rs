//! Accepting connections, and ending.

mod connections;
mod places;
mod refusing;
mod tracked;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::Instant,
};
use tower_service::Service;
use ziggurat::{BoxError, ClientAddress};

pub use self::connections::Connections;
pub(crate) use self::tracked::Standing;
use self::{
    places::{Place, Places},
    refusing::Refusing,
    tracked::{Common, Tracked},
};
use crate::realtime::GOODBYE;

/// A header section must be complete within this time, and the first one must be there after it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection that has to go may take for it, if it has no request.
const FAREWELL: Duration = Duration::from_secs(1);
/// Accepting pauses for this long when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How many are let in at the end who have connected by then: more than systems let wait, and not as
/// many as may come for ever.
const LAST: usize = 8192;
/// How many requests a connection of HTTP/2 may have at a time.
const STREAMS: u32 = 128;
/// How often it is asked whether a client of HTTP/2 is still there.
const PING: Duration = Duration::from_secs(30);

/// How many connections are open at a time unless it is said otherwise.
pub const DEFAULT_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(10_000).expect("is not zero");

/// The accept loop: serves HTTP/1.1 and HTTP/2 on a listener, within bounds, and ends gracefully.
///
/// * At most so many connections are open. One more is answered with 503, in HTTP/1.1, and closed. When
///   three quarters of the places are taken, connections without a request are closed to make room:
///   first those that never had one, then those that have been idle for longest. The last eighth of the
///   places is for addresses that have less than an eighth of all; what comes from others is answered
///   with 429. An address of IPv6 is its first 64 bits.
/// * A connection must bring its first request, and each header section must be complete, within 30 s.
///   One of HTTP/2 has at most 128 requests at a time.
/// * Without a file descriptor for the next connection, idle ones are closed, and accepting pauses.
#[derive(Clone, Debug)]
pub struct Server {
    connections: NonZeroUsize,
    per_address: Option<NonZeroU32>,
    grace: Duration,
    drain: Duration,
    counts: Connections,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// A server of [`DEFAULT_CONNECTIONS`] that stops at once, and lets requests finish for 30 s.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connections: DEFAULT_CONNECTIONS,
            per_address: None,
            grace: Duration::ZERO,
            drain: Duration::from_secs(30),
            counts: Connections::default(),
        }
    }

    /// Sets how many connections are open at a time.
    #[must_use]
    pub fn connections(mut self, most: NonZeroUsize) -> Self {
        self.connections = most;
        self
    }

    /// Sets how many of them may be of one address. Behind a proxy, all are of one.
    #[must_use]
    pub fn connections_per_address(mut self, most: Option<NonZeroU32>) -> Self {
        self.per_address = most;
        self
    }

    /// Sets for how long new requests are still taken when it has been told to stop, so that whoever
    /// sends them can learn of it. Meanwhile each answer in HTTP/1.1 says `connection: close`.
    #[must_use]
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// Sets for how long requests may finish after that.
    #[must_use]
    pub fn drain(mut self, time: Duration) -> Self {
        self.drain = time;
        self
    }

    /// How many connections there are.
    #[must_use]
    pub fn counts(&self) -> Connections {
        self.counts.clone()
    }

    /// Serves until `stop` resolves, and for the [grace](Self::grace) after it. Then whoever has
    /// connected is still let in, the listener is closed, and so are connections without a request, those
    /// that never had one after a second; the requests that run finish for at most the time to
    /// [drain](Self::drain). WebSockets that stand after that are closed, which takes at most five
    /// seconds.
    ///
    /// # Errors
    ///
    /// None while it runs: a connection that fails ends alone, and accepting goes on.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it accepts nothing more; connections that are open are told to end, and nobody waits.
    pub async fn serve<S, B>(
        self,
        listener: TcpListener,
        service: S,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        S: Service<Request<axum::body::Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let (stopping, running) = watch::channel(());
        let common = Arc::new(Common {
            standing: watch::Sender::new(()),
            leaving: AtomicBool::new(false),
        });
        let door = Door {
            builder: builder(),
            places: Arc::new(Places::new(self.connections, self.per_address, self.counts)),
            refusing: Refusing::new(),
            service,
            common: Arc::clone(&common),
            running,
        };
        let ends = async {
            stop.await;
            common.leaving.store(true, Relaxed);
            tokio::time::sleep(self.grace).await;
        };
        tokio::select! {
            never = door.accept(&listener) => match never {},
            () = ends => {}
        }
        door.enter_last(listener);
        drop(door);
        stopping.send_replace(());
        let finished = async {
            stopping.closed().await;
            common.standing.closed().await;
        };
        if tokio::time::timeout(self.drain, finished).await.is_err() {
            tracing::warn!(
                seconds = self.drain.as_secs(),
                "requests were cut off at the end of the drain time"
            );
            common.standing.send_replace(());
            _ = tokio::time::timeout(GOODBYE, common.standing.closed()).await;
        }
        Ok(())
    }
}

/// Serves HTTP/1.1 and HTTP/2 on a listener until `stop` resolves, then lets the requests that
/// run finish for at most `drain`: a [`Server`] of which nothing else is said.
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
    S: Service<Request<axum::body::Body>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    Server::new()
        .drain(drain)
        .serve(listener, service, stop)
        .await
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        // Those over the gateway's own limit get an answer that says so.
        .max_headers(1024)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PING);
    builder
}

/// Serves a connection until its first request has come; or to its end, which is told then.
async fn begun<C: Future>(mut connection: Pin<&mut C>, place: &Place) -> Option<C::Output> {
    poll_fn(|cx| match connection.as_mut().poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending if place.has_asked() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Where connections come in.
struct Door<S> {
    builder: auto::Builder<TokioExecutor>,
    places: Arc<Places>,
    refusing: Refusing,
    service: S,
    common: Arc<Common>,
    running: watch::Receiver<()>,
}

impl<S, B> Door<S>
where
    S: Service<Request<axum::body::Body>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Lets in whoever comes, for ever.
    async fn accept(&self, listener: &TcpListener) -> Infallible {
        let mut fails = false;
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    if std::mem::take(&mut fails) {
                        tracing::info!("connections are accepted again");
                    }
                    self.enter(stream, from);
                }
                // It was reset before its turn.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !std::mem::replace(&mut fails, true) {
                        tracing::warn!(%error, "connections are not accepted");
                    }
                    self.places.press(Instant::now());
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Lets in who has connected, and would be reset, and closes the listener.
    fn enter_last(&self, listener: TcpListener) {
        // Tokio may not know yet of those who came just now.
        let Ok(listener) = listener.into_std() else {
            return;
        };
        for _ in 0..LAST {
            let (stream, from) = match listener.accept() {
                Ok(accepted) => accepted,
                // It was reset before its turn; others wait behind it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Nobody waits any more, or there is no file for them.
                Err(_) => return,
            };
            let is_set = stream.set_nonblocking(true);
            if let Ok(stream) = is_set.and_then(|()| TcpStream::from_std(stream)) {
                self.enter(stream, from);
            }
        }
    }

    fn enter(&self, stream: TcpStream, from: SocketAddr) {
        match self.places.take(from.ip(), Instant::now()) {
            Ok(place) => self.serve(stream, from, Arc::new(place)),
            Err(why) => self.refusing.refuse(stream, why),
        }
    }

    fn serve(&self, stream: TcpStream, from: SocketAddr, place: Arc<Place>) {
        // Without it a short stream waits for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a socket keeps its delay");
        }
        let service = TowerToHyperService::new(Tracked {
            service: self.service.clone(),
            from: ClientAddress(from.ip()),
            place: Arc::clone(&place),
            common: Arc::clone(&self.common),
        });
        let connection = self
            .builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        let mut stopping = self.running.clone();
        let common = Arc::clone(&self.common);
        #[expect(
            clippy::disallowed_methods,
            reason = "a server has a task per connection"
        )]
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let silence = async {
                tokio::time::sleep(HEADER_TIMEOUT).await;
                if place.has_asked() {
                    std::future::pending::<()>().await;
                }
            };
            let ended = tokio::select! {
                ended = connection.as_mut() => Some(ended),
                // Before the first byte hyper has no clock.
                () = silence => return,
                () = place.is_needed() => None,
                // What it has sent may not have been read yet, or be on its way.
                _ = stopping.changed() => {
                    let begun = begun(connection.as_mut(), &place);
                    tokio::time::timeout(FAREWELL, begun).await.ok().flatten()
                }
            };
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    connection.as_mut().graceful_shutdown();
                    match tokio::time::timeout(FAREWELL, connection.as_mut()).await {
                        Ok(ended) => ended,
                        Err(_) => {
                            // At the end the time to drain bounds it.
                            let is_bounded = common.leaving.load(Relaxed) && place.has_asked();
                            if !is_bounded && !place.may_be_answering(Instant::now()) {
                                // It has sent a part of a head, if anything.
                                return;
                            }
                            connection.await
                        }
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error = %error, "a connection ended");
            }
            // Held until here: the server waits for it.
            drop(stopping);
        });
    }
}

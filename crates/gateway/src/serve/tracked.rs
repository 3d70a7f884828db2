//! What a connection's requests are told and what is known of them.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use http::{
    HeaderValue, Request, Response, Version,
    header::{CONNECTION, UPGRADE},
};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::sync::watch;
use tower_service::Service;
use ziggurat::ClientAddress;

use super::places::{Busy, Place};

/// What stands when its request is over: a connection that goes both ways. The server waits for it
/// when it stops, and tells it when there is no more time. It has the place of its connection.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    ends: watch::Receiver<()>,
    _busy: Arc<Busy>,
}

impl Standing {
    /// Waits until it has to end.
    pub(crate) async fn ended(&mut self) {
        // The server is gone if this fails.
        _ = self.ends.changed().await;
    }
}

/// What all connections have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) standing: watch::Sender<()>,
    /// Whether clients are to go elsewhere: their next request comes over another connection.
    pub(super) leaving: AtomicBool,
}

/// Gives a service for axum's body what hyper receives, and notes that there is a request until its
/// answer has ended.
#[derive(Clone)]
pub(super) struct Tracked<S> {
    pub(super) service: S,
    pub(super) from: ClientAddress,
    pub(super) place: Arc<Place>,
    pub(super) common: Arc<Common>,
}

impl<S, B> Service<Request<Incoming>> for Tracked<S>
where
    S: Service<Request<axum::body::Body>, Response = Response<B>>,
{
    type Response = Response<TrackedBody<B>>;
    type Error = S::Error;
    type Future = TrackedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(self.from);
        if request.headers().contains_key(UPGRADE) {
            let standing = Standing {
                ends: self.common.standing.subscribe(),
                _busy: Arc::new(self.place.busy()),
            };
            request.extensions_mut().insert(standing);
        }
        // HTTP/2 has a frame for it, which is sent in the end.
        let is_told = request.version() < Version::HTTP_2;
        TrackedFuture {
            busy: Some(self.place.busy()),
            common: is_told.then(|| Arc::clone(&self.common)),
            future: self.service.call(request),
        }
    }
}

pin_project! {
    /// Response future of [`Tracked`].
    pub(super) struct TrackedFuture<F> {
        #[pin]
        future: F,
        busy: Option<Busy>,
        common: Option<Arc<Common>>,
    }
}

impl<F, B, E> Future for TrackedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<TrackedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.future.poll(cx))?;
        let is_leaving = |it: &Arc<Common>| it.leaving.load(Relaxed);
        // An upgrade says something else there.
        if this.common.as_ref().is_some_and(is_leaving) && !response.status().is_informational() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        let busy = this.busy.take();
        Poll::Ready(Ok(response.map(|body| TrackedBody { body, busy })))
    }
}

pin_project! {
    /// A body whose request lasts until it is dropped.
    pub(super) struct TrackedBody<B> {
        #[pin]
        body: B,
        busy: Option<Busy>,
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

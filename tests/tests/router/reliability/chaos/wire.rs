//! The way to the providers, and what went over it.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, header::HOST};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tower_service::Service;
use ziggurat::provider::RequestBody;
use ziggurat_testkit::provider::Simulator;

use super::plans::PROVIDERS;

const NUMBER: &str = "x-number";

/// A client of the simulator, in memory, that numbers its calls.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Shared>);

struct Shared {
    providers: Arc<Simulator>,
    calls: AtomicU64,
    /// The calls that were dropped before there was an answer.
    cut: Mutex<HashSet<u64>>,
}

impl Wire {
    pub(crate) fn new(providers: Arc<Simulator>) -> Self {
        Self(Arc::new(Shared {
            providers,
            calls: AtomicU64::new(0),
            cut: Mutex::default(),
        }))
    }

    /// There was a call for each attempt, and each was received once, unless it was dropped on its
    /// way.
    pub(crate) fn assert_received(&self, attempts: u64) {
        let made = self.0.calls.load(Relaxed);
        assert_eq!(made, attempts, "calls are attempts");
        let mut received = HashSet::new();
        for call in PROVIDERS.iter().flat_map(|it| self.0.providers.calls(it)) {
            let number = call.headers[NUMBER].to_str().ok();
            let number: u64 = number.and_then(|it| it.parse().ok()).expect("is a number");
            assert!(received.insert(number), "call {number} was sent twice");
        }
        let cut = self.0.cut.lock();
        let lost = (0..made).filter(|number| !received.contains(number));
        let lost: Vec<_> = lost.collect();
        assert!(lost.iter().all(|number| cut.contains(number)), "{lost:?}");
        assert!(lost.len() as u64 * 100 <= made, "{} of {made}", lost.len());
    }
}

/// A call without an answer.
struct Open {
    shared: Arc<Shared>,
    number: u64,
    is_answered: bool,
}

impl Open {
    fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_answered {
            self.shared.cut.lock().insert(self.number);
        }
    }
}

impl Service<Request<RequestBody>> for Wire {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, hyper::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let number = self.0.calls.fetch_add(1, Relaxed);
        let open = Open {
            shared: Arc::clone(&self.0),
            number,
            is_answered: false,
        };
        let uri = request.uri().clone();
        let host = uri.authority().map_or("", |it| it.as_str());
        let host = HeaderValue::try_from(host).expect("a host is a header value");
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(NUMBER, number.into());
        *request.uri_mut() = uri.path().parse().expect("a path is an address");
        let io = TokioIo::new(self.0.providers.connect());
        Box::pin(async move {
            let (mut client, connection) = http1::handshake(io).await?;
            #[expect(
                clippy::disallowed_methods,
                reason = "a connection is driven beside its request, as in every client"
            )]
            tokio::spawn(connection);
            let answer = client.send_request(request).await;
            open.answered();
            answer
        })
    }
}

//! Asks the leaf, and answers it with a recording.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use parking_lot::Mutex;
use tower::{Service, ServiceExt};
use ziggurat::{
    Deployment, Error, LlmRequest, Routed, Usage,
    provider::{LlmService, Probe, RequestBody},
};

use crate::fixture::Fixture;

/// An HTTP client that answers all with one recording, in two pieces.
#[derive(Clone)]
pub(crate) struct Client {
    answer: Response<Bytes>,
    shared: Arc<Shared>,
}

struct Shared {
    /// Where the body is cut.
    cut: AtomicUsize,
    /// The path that was asked last.
    asked: Mutex<String>,
}

type Pieces = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

impl Service<Request<RequestBody>> for Client {
    type Response = Response<Pieces>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        request
            .uri()
            .path()
            .clone_into(&mut self.shared.asked.lock());
        let cut = self.shared.cut.load(Ordering::Relaxed);
        let answer = self.answer.clone().map(|mut body| {
            let tail = body.split_off(cut.min(body.len()));
            let pieces = [body, tail].into_iter().filter(|piece| !piece.is_empty());
            let pieces: Vec<_> = pieces.map(|piece| Ok(Frame::data(piece))).collect();
            StreamBody::new(stream::iter(pieces))
        });
        ready(Ok(answer))
    }
}

/// A deployment behind which a recording stands.
pub(crate) struct Recorded {
    service: LlmService<Client>,
    shared: Arc<Shared>,
    deployment: Arc<Deployment>,
}

/// All that was answered.
#[derive(Debug, PartialEq)]
pub(crate) struct Answered {
    pub(crate) bytes: Bytes,
    pub(crate) usage: Option<Usage>,
    pub(crate) is_stream: bool,
}

impl Recorded {
    pub(crate) fn new(fixture: &Fixture, deployment: Deployment) -> Self {
        let mut answer = Response::new(fixture.body.clone());
        *answer.status_mut() = fixture.status;
        *answer.headers_mut() = fixture.headers.clone();
        let shared = Arc::new(Shared {
            cut: AtomicUsize::new(usize::MAX),
            asked: Mutex::default(),
        });
        let client = Client {
            answer,
            shared: Arc::clone(&shared),
        };
        Self {
            service: LlmService::with_client(client),
            shared,
            deployment: Arc::new(deployment),
        }
    }

    /// Asks, and reads the answer, whose body is cut there, to its end.
    pub(crate) async fn call(&self, request: &LlmRequest, cut: usize) -> Result<Answered, Error> {
        self.shared.cut.store(cut, Ordering::Relaxed);
        // Ids that are made up are the same each time.
        fastrand::seed(7);
        let routed = Routed::new(request.clone(), Arc::clone(&self.deployment));
        let response = self.service.clone().oneshot(routed).await?;
        let is_stream = response.is_stream();
        let mut usage = response.usage().copied();
        let (_, mut items) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(item) = items.next().await {
            let item = item?;
            bytes.extend_from_slice(&item.bytes);
            usage = item.usage.or(usage);
        }
        Ok(Answered {
            bytes: bytes.into(),
            usage,
            is_stream,
        })
    }

    /// Whether the deployment says that it has its model.
    pub(crate) async fn probe(&self) -> Result<Option<bool>, Error> {
        let probe: Probe<_> = self.service.probe();
        let probed = probe.oneshot(Arc::clone(&self.deployment)).await?;
        Ok(probed.lists_model())
    }

    /// The path that was asked last.
    pub(crate) fn asked(&self) -> String {
        self.shared.asked.lock().clone()
    }
}

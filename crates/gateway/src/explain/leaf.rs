//! The providers of a replay, and what is seen of the stack from there.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, Uri};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Service, ServiceExt as _};
use ziggurat::{
    BoxError, DeploymentId, Error, ErrorKind, HasLedger as _, LlmRequest, LlmResponse, Routed,
    Router,
    cooldown::Health,
    provider::{LlmService, RequestBody},
};
use ziggurat_testkit::provider::Simulator;

use super::fault::Faults;

/// Stands for all providers: the real leaf over simulated ones. Clones are the same.
#[derive(Clone)]
pub(crate) struct Leaf(Arc<Shared>);

struct Shared {
    providers: Arc<Simulator>,
    faults: Mutex<Faults>,
    /// Whose layers are looked at.
    router: Mutex<Option<Router>>,
    calls: Mutex<Vec<Call>>,
}

/// One call of a provider.
pub(crate) struct Call {
    pub(crate) deployment: DeploymentId,
    /// What the provider does.
    pub(crate) fault: String,
    /// How the stack stood when it was called.
    pub(crate) before: Seen,
    /// What came of it; `None` if nobody waited for it.
    pub(crate) answer: Option<Result<(), Error>>,
}

/// How the stack stands at a moment.
#[derive(Default)]
pub(crate) struct Seen {
    /// The group that the request is for.
    pub(crate) group: String,
    pub(crate) retries: u32,
    pub(crate) fallbacks: u32,
    pub(crate) untried: u32,
    /// Why the group failed that was asked before.
    pub(crate) failure: Option<ErrorKind>,
    pub(crate) health: Vec<(DeploymentId, Health)>,
}

impl Leaf {
    pub(crate) fn new(faults: Faults) -> Self {
        Self(Arc::new(Shared {
            providers: Arc::new(Simulator::in_memory()),
            faults: Mutex::new(faults),
            router: Mutex::new(None),
            calls: Mutex::default(),
        }))
    }

    /// Looks at the layers of this router from now on.
    pub(crate) fn watch(&self, router: &Router) {
        *self.0.router.lock() = Some(router.clone());
    }

    /// The calls so far. No more is watched: the router, which holds the leaf, is let go.
    pub(crate) fn finish(&self) -> Vec<Call> {
        *self.0.router.lock() = None;
        std::mem::take(&mut *self.0.calls.lock())
    }
}

impl Shared {
    fn begin(&self, routed: &Routed<LlmRequest>) -> (usize, Wire) {
        let deployment = routed.deployment().public_id().clone();
        let fault = self.faults.lock().next(&deployment);
        let before = match &*self.router.lock() {
            Some(router) => Seen::of(router, routed.request()),
            None => Seen::default(),
        };
        let mut calls = self.calls.lock();
        let number = calls.len();
        calls.push(Call {
            deployment,
            fault: fault.text().to_owned(),
            before,
            answer: None,
        });
        // Each call has a provider of its own, so that it meets its own fault.
        let name = number.to_string();
        self.providers.script(&name, fault.step());
        let wire = Wire {
            providers: Arc::clone(&self.providers),
            name,
            refuses: fault.refuses(),
        };
        (number, wire)
    }
}

impl Seen {
    fn of(router: &Router, request: &LlmRequest) -> Self {
        let ledger = request.ledger().expect("an LlmRequest has a ledger");
        Self {
            group: request.group().to_string(),
            retries: ledger.retries(),
            fallbacks: ledger.fallbacks(),
            untried: ledger.untried(),
            failure: ledger.failures().last().map(Error::kind),
            health: health(router),
        }
    }
}

/// What is known of all deployments.
pub(crate) fn health(router: &Router) -> Vec<(DeploymentId, Health)> {
    let snapshot = router.deployments().load();
    let ids = snapshot.deployments().map(|it| it.id().clone());
    ids.map(|id| {
        let health = router.cooldown().health(&id);
        (id, health)
    })
    .collect()
}

impl Service<Routed<LlmRequest>> for Leaf {
    type Response = LlmResponse;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, routed: Routed<LlmRequest>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let (number, wire) = shared.begin(&routed);
            let answer = LlmService::with_client(wire).oneshot(routed).await;
            let kept = answer.as_ref().map(|_| ()).map_err(Error::duplicate);
            shared.calls.lock()[number].answer = Some(kept);
            answer
        })
    }
}

/// A connection to a simulated provider, in memory.
#[derive(Clone)]
struct Wire {
    providers: Arc<Simulator>,
    name: String,
    refuses: bool,
}

impl Service<Request<RequestBody>> for Wire {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        if self.refuses {
            let message = "no connection to the simulated provider can be made";
            let error = Error::new(ErrorKind::Connect, message);
            return Box::pin(async { Err(error.into()) });
        }
        let io = TokioIo::new(self.providers.connect());
        let path = format!("/{}{}", self.name, request.uri().path());
        Box::pin(async move {
            *request.uri_mut() = Uri::try_from(path)?;
            let (mut client, connection) = http1::handshake(io).await?;
            #[expect(
                clippy::disallowed_methods,
                reason = "a connection is driven beside its request, as in every client"
            )]
            tokio::spawn(connection);
            Ok(client.send_request(request).await?)
        })
    }
}

/// A moment in seconds after the request.
pub(crate) fn since(origin: Instant, at: Instant) -> f64 {
    at.saturating_duration_since(origin).as_secs_f64()
}

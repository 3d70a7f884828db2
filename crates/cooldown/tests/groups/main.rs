//! What a failure means to the other deployments of a layer.

mod blame;
mod chaos;
mod floor;

use std::{
    future::{Future, ready},
    sync::Arc,
};

use futures_util::FutureExt;
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};
use ziggurat_cooldown::{CooldownLayer, CooldownPolicy, State};
use ziggurat_core::{
    Deployment, Deployments, Error, ErrorKind, HasLedger, LlmRequest, LlmResponse, Routed, Snapshot,
};

fn gpt(id: &str) -> Deployment {
    Deployment::new(id, "gpt", "m")
}

struct Test {
    deployments: Deployments,
    layer: CooldownLayer,
}

impl Test {
    fn new(deployments: impl IntoIterator<Item = Deployment>) -> Self {
        Self::with(CooldownPolicy::new(), deployments)
    }

    fn with(policy: CooldownPolicy, deployments: impl IntoIterator<Item = Deployment>) -> Self {
        let deployments = Deployments::new(Snapshot::new(deployments));
        let layer = CooldownLayer::new(policy).deployments(deployments.clone());
        Self { deployments, layer }
    }

    fn find(&self, id: &str) -> Arc<Deployment> {
        let snapshot = self.deployments.load();
        Arc::clone(snapshot.get(&id.into()).expect("is listed"))
    }

    /// Sends a request; its answer comes when it is asked for.
    fn dispatch(
        &self,
        request: LlmRequest,
        to: Arc<Deployment>,
        answer: Result<(), Error>,
    ) -> impl Future<Output = Result<LlmResponse, Error>> + use<> {
        let mut answer = Some(answer);
        let leaf = service_fn(move |_| {
            let answer = answer.take().expect("is asked once");
            ready(answer.map(|()| LlmResponse::complete("{}", None)))
        });
        self.layer.layer(leaf).call(Routed::new(request, to))
    }

    /// Sends a request that could go to so many other groups.
    fn begins(
        &self,
        fallbacks_left: u32,
        to: Arc<Deployment>,
        answer: Result<(), Error>,
    ) -> impl Future<Output = Result<LlmResponse, Error>> + use<> {
        let request = LlmRequest::chat("gpt", "hi");
        let ledger = request.ledger().expect("has one");
        ledger.set_fallbacks_left(fallbacks_left);
        self.dispatch(request, to, answer)
    }

    fn sends(
        &self,
        fallbacks_left: u32,
        to: Arc<Deployment>,
        answer: Result<(), ErrorKind>,
    ) -> Result<LlmResponse, Error> {
        let answer = answer.map_err(|kind| Error::new(kind, "failed"));
        let response = self.begins(fallbacks_left, to, answer);
        response.now_or_never().expect("nothing waits")
    }

    fn fails_with(&self, fallbacks_left: u32, id: &str, kind: ErrorKind) {
        let error = self.sends(fallbacks_left, self.find(id), Err(kind));
        assert!(error.is_err());
    }

    fn fails(&self, id: &str, kind: ErrorKind) {
        self.fails_with(0, id, kind);
    }

    fn answers(&self, id: &str) {
        self.sends(0, self.find(id), Ok(()))
            .expect("is not refused");
    }

    /// When a deployment's rest ends, if it rests.
    fn until(&self, id: &str) -> Option<Instant> {
        match self.layer.state(&id.into()) {
            State::Resting { until, .. } => Some(until),
            _ => None,
        }
    }

    /// The deployments of the list that rest.
    fn resting(&self) -> Vec<String> {
        let snapshot = self.deployments.load();
        let ids = snapshot.deployments().map(|it| it.id().to_string());
        let mut ids: Vec<_> = ids.filter(|id| self.until(id).is_some()).collect();
        ids.sort();
        ids
    }
}

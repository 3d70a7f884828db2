use std::{future::Future, sync::Arc};

use parking_lot::Mutex;
use tower::{Layer, Service, service_fn};
use ziggurat_core::{
    Deployment, Deployments, Error, LlmRequest, LlmResponse, Reason, Rejection, Routed, Scope,
};
use ziggurat_load_balance::{Filter, LoadBalanceLayer, SimpleShuffle};

/// Requests to a deployment, as an inner service sees them.
pub(crate) type Sent = Routed<LlmRequest>;

/// The ids of the deployments that were asked, in order.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }

    pub(crate) fn note(&self, sent: &Sent) {
        self.0.lock().push(sent.deployment().id().to_string());
    }
}

/// Deployments of the group `gpt`; those given later have a higher `order`.
pub(crate) fn in_order(ids: &[&str]) -> Deployments {
    let member = |(order, id): (i32, &&str)| member(id).with_order(order);
    (0..).zip(ids).map(member).collect()
}

pub(crate) fn member(id: &str) -> Deployment {
    Deployment::new(id, "gpt", "m")
}

pub(crate) fn request() -> LlmRequest {
    LlmRequest::chat("gpt", "hello")
}

/// A balancer over an inner service that answers with what `answer` says for a deployment.
pub(crate) fn balanced<F, T>(
    layer: &LoadBalanceLayer<SimpleShuffle, F>,
    asked: &Asked,
    answer: T,
) -> impl Service<LlmRequest, Response = LlmResponse, Error = Error> + Clone + use<F, T>
where
    T: Fn(&str) -> Result<&'static str, Error> + Clone,
    F: Filter<LlmRequest>,
{
    let asked = asked.clone();
    layer.layer(service_fn(move |sent: Sent| {
        asked.note(&sent);
        let answer = answer(sent.deployment().id().as_str());
        async move { answer.map(|text| LlmResponse::complete(text, None)) }
    }))
}

/// The same, where every answer is `answer`, a future.
pub(crate) fn balanced_with<A, T>(
    layer: &LoadBalanceLayer<SimpleShuffle>,
    asked: &Asked,
    answer: T,
) -> impl Service<LlmRequest, Response = LlmResponse, Error = Error> + Clone + use<A, T>
where
    T: Fn(Sent) -> A + Clone,
    A: Future<Output = Result<LlmResponse, Error>>,
{
    let asked = asked.clone();
    layer.layer(service_fn(move |sent: Sent| {
        asked.note(&sent);
        answer(sent)
    }))
}

pub(crate) fn refusal(scope: Scope) -> Error {
    refused(Rejection::new(Reason::RateLimited, scope))
}

pub(crate) fn refused(rejection: Rejection) -> Error {
    Error::rejected(rejection, "refused")
}

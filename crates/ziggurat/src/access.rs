//! Who may use a model, before anything else is done for a request.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{
    Asked, Deployments, Error, HasLedger as _, LlmRequest, ModelAccess, Param, Snapshot,
};

/// Refuses requests for a model that their caller may not use.
///
/// *Pass-through*, above the cache, which knows nothing of callers' models, and above whatever a
/// request takes. It spares work, and keeps names from those who may not know them; the balancer
/// looks again at every attempt. A request that may be for another group than it names, where it is
/// routed by what it says, is left to the balancer, and to no cache.
#[derive(Clone, Debug)]
pub(crate) struct AccessLayer {
    deployments: Deployments,
    reroutes: bool,
}

impl AccessLayer {
    /// For requests to these; where it `reroutes`, another group may be meant than is named.
    pub(crate) const fn new(deployments: Deployments, reroutes: bool) -> Self {
        Self {
            deployments,
            reroutes,
        }
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Access<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        Access { inner, layer }
    }
}

/// The service of [`AccessLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Access<S> {
    inner: S,
    layer: AccessLayer,
}

impl<S> Service<LlmRequest> for Access<S>
where
    S: Service<LlmRequest>,
    S::Error: Into<Error>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: LlmRequest) -> Self::Future {
        if let Some(refusal) = refusal(&request, &self.layer.deployments) {
            if !self.layer.reroutes {
                let refusal = Some(refusal);
                return ResponseFuture::Refused { refusal };
            }
            let cache = &mut request.controls_mut().cache;
            (cache.no_cache, cache.no_store) = (true, true);
        }
        let future = self.inner.call(request);
        ResponseFuture::Inside { future }
    }
}

/// Why a caller may not use what it asks for. What is kept for it somewhere is asked for there, or
/// nowhere.
fn refusal(request: &LlmRequest, deployments: &Deployments) -> Option<Error> {
    let caller = request.caller()?;
    if caller.is_admin || caller.models.is_empty() {
        return None;
    }
    let snapshot = deployments.load();
    let Asked(asked) = request.param();
    let asked = asked.as_ref().map(|asked| asked.as_str());
    let is_pinned = request.ledger().is_some_and(|it| it.pinned().is_some());
    let name = request.group().as_str();
    let mut lists = caller.models.iter();
    let list = lists.find(|models| !opens(models, asked, name, is_pinned, &snapshot))?;
    Some(list.refusal(asked.unwrap_or(name)))
}

fn opens(
    models: &ModelAccess,
    asked: Option<&str>,
    name: &str,
    is_pinned: bool,
    snapshot: &Snapshot,
) -> bool {
    asked.is_some_and(|asked| models.allows(asked))
        || match snapshot.route(name) {
            Some(route) => models.opens(name, route),
            None => is_pinned || models.allows(name),
        }
}

pin_project! {
    /// The future of [`Access`].
    #[project = ResponseFutureProj]
    pub(crate) enum ResponseFuture<F> {
        Inside { #[pin] future: F },
        Refused { refusal: Option<Error> },
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Error>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ResponseFutureProj::Inside { future } => {
                Poll::Ready(ready!(future.poll(cx)).map_err(Into::into))
            }
            ResponseFutureProj::Refused { refusal } => {
                let refusal = refusal.take();
                Poll::Ready(Err(refusal.expect("a future is polled to its end once")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt as _, service_fn};
    use ziggurat_core::{Caller, Deployment, ErrorKind};

    use super::*;

    /// The request that gets through, or the refusal.
    async fn send(request: LlmRequest, reroutes: bool) -> Result<LlmRequest, Error> {
        let members = ["gpt", "claude"].map(|group| Deployment::new(group, group, "m"));
        let layer = AccessLayer::new(Deployments::new(Snapshot::new(members)), reroutes);
        let inner = service_fn(async |request: LlmRequest| Ok::<_, Error>(request));
        layer.layer(inner).oneshot(request).await
    }

    fn asks(model: &str) -> LlmRequest {
        let models = ModelAccess::new(["gpt", "auto"]);
        LlmRequest::chat(model, "hi").with_caller(Caller::new().with_models(models))
    }

    #[tokio::test]
    async fn whoever_may_not_use_a_model_goes_no_further() {
        for open in [asks("gpt"), asks("auto"), LlmRequest::chat("claude", "hi")] {
            send(open, false).await.expect("is open");
        }
        for closed in ["claude", "nothing"] {
            let error = send(asks(closed), false).await.expect_err("is closed");
            assert_eq!(
                (error.kind(), error.status().as_u16()),
                (ErrorKind::Rejected, 403)
            );
        }
        let meant = asks("auto").with_meant_group("claude");
        send(meant, false).await.expect("is meant by an open name");
        let admin = Caller::new()
            .with_models(ModelAccess::new([""; 0]))
            .with_admin();
        send(asks("claude").with_caller(admin), false)
            .await
            .expect("is an admin");
    }

    #[tokio::test]
    async fn what_may_be_meant_otherwise_is_left_to_the_balancer_and_to_no_cache() {
        let request = send(asks("claude"), true).await.expect("goes on");
        let cache = &request.controls().cache;
        assert!(cache.no_cache && cache.no_store);
        let request = send(asks("gpt"), true).await.expect("is open");
        assert!(!request.controls().cache.no_cache);
    }

    #[tokio::test]
    async fn what_is_kept_where_nobody_is_any_more_is_told_by_the_balancer() {
        let request = asks("nothing");
        request.ledger().expect("has one").pin("gone".into());
        send(request, false).await.expect("goes on");
    }
}

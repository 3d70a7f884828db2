//! A Tower layer that is not ours, one instance for each deployment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio_test::{assert_pending, task};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, layer::layer_fn, limit::ConcurrencyLimitLayer,
    service_fn,
};
use ziggurat_core::{
    Deployment, Deployments, Error, ErrorKind, LlmRequest, LlmResponse, Reason, Rejection, Routed,
    Scope, Snapshot,
};
use ziggurat_load_balance::{LoadBalanceLayer, PerDeployment, SimpleShuffle};
use ziggurat_testkit::contract::Contract;

fn to(id: &str) -> Routed<LlmRequest> {
    let deployment = Deployment::new(id, "gpt", "m");
    Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment))
}

fn reason(error: &Error) -> Option<(Reason, Scope)> {
    error
        .rejection()
        .map(|it: &Rejection| (it.reason(), it.scope()))
}

#[test]
fn it_keeps_the_contract() {
    // The suite has services that are ready late.
    let patience = Duration::from_secs(3_600);
    let layer = move || PerDeployment::new(ConcurrencyLimitLayer::new(1_000)).patience(patience);
    Contract::deferring(layer, || to("a")).run();
}

#[tokio::test(start_paused = true)]
async fn each_deployment_has_a_limit_of_its_own() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let inner = service_fn(|_: Routed<LlmRequest>| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok::<_, Error>(LlmResponse::complete("fine", None))
        }
    });
    let mut service = PerDeployment::new(ConcurrencyLimitLayer::new(1)).layer(inner);
    let mut first = task::spawn(service.call(to("a")));
    assert_pending!(first.poll());
    let busy = service
        .call(to("a"))
        .await
        .expect_err("there is room for one");
    assert_eq!(reason(&busy), Some((Reason::Busy, Scope::Deployment)));
    let busy = service
        .clone()
        .call(to("a"))
        .await
        .expect_err("clones share it");
    assert_eq!(reason(&busy), Some((Reason::Busy, Scope::Deployment)));
    let mut other = task::spawn(service.call(to("b")));
    assert_pending!(other.poll(), "another deployment has room");

    drop(other);
    gate.notify_one();
    first.await.expect("it answers");
    let mut again = task::spawn(service.call(to("a")));
    assert_pending!(again.poll(), "there is room again");
    drop(again);
    let mut again = task::spawn(service.call(to("a")));
    assert_pending!(again.poll(), "and after a drop");
}

#[tokio::test(start_paused = true)]
async fn the_balancer_goes_on_to_the_next_deployment() {
    let deployments = Deployments::from_iter([
        Deployment::new("a", "gpt", "m").with_order(1),
        Deployment::new("b", "gpt", "m").with_order(2),
    ]);
    let balancer = LoadBalanceLayer::new(deployments, SimpleShuffle);
    let mut stack = ServiceBuilder::new()
        .layer(balancer.clone())
        .layer(PerDeployment::new(ConcurrencyLimitLayer::new(1)))
        .service(service_fn(async |_: Routed<LlmRequest>| {
            std::future::pending::<Result<LlmResponse, Error>>().await
        }));
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut answer = task::spawn(stack.call(LlmRequest::chat("gpt", "hi")));
        assert_pending!(answer.poll());
        held.push(answer);
    }
    let in_flight = ["a", "b"].map(|id| balancer.in_flight(&id.into()));
    assert_eq!(in_flight, [1, 1]);
    let error = stack.call(LlmRequest::chat("gpt", "hi")).await;
    assert_eq!(
        reason(&error.expect_err("both are busy")),
        Some((Reason::Busy, Scope::Attempt))
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_done_much_does_not_find_everything_busy() {
    let inner = service_fn(async |_: Routed<LlmRequest>| {
        Ok::<_, Error>(LlmResponse::complete("fine", None))
    });
    let mut service = PerDeployment::new(ConcurrencyLimitLayer::new(1)).layer(inner);
    let mut refused = 0;
    // All in one poll of this task, far beyond tokio's budget for one.
    for i in 0..1_000 {
        let answer = service.call(to(&(i % 500).to_string())).await;
        refused += u32::from(answer.is_err());
    }
    assert_eq!(refused, 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_patient_gets_the_place_that_becomes_free_and_no_other() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let inner = service_fn(|_: Routed<LlmRequest>| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok::<_, Error>(LlmResponse::complete("fine", None))
        }
    });
    let layer = PerDeployment::new(ConcurrencyLimitLayer::new(1)).patience(Duration::from_secs(2));
    let mut service = layer.layer(inner);
    let mut first = task::spawn(service.call(to("a")));
    assert_pending!(first.poll());
    let mut waits = task::spawn(service.call(to("a")));
    assert_pending!(waits.poll());
    gate.notify_one();
    first.await.expect("it answers");
    assert!(waits.is_woken());
    assert_pending!(waits.poll(), "it is sent");

    let mut late = task::spawn(service.call(to("a")));
    assert_pending!(late.poll());
    tokio::time::advance(Duration::from_secs(2)).await;
    let error = late.await.expect_err("it waited in vain");
    assert_eq!(reason(&error), Some((Reason::Busy, Scope::Deployment)));
    gate.notify_one();
    waits.await.expect("it answers");
}

/// Fails to be ready when it is told to.
#[derive(Clone)]
struct Fragile(u32);

impl Service<Routed<LlmRequest>> for Fragile {
    type Response = LlmResponse;
    type Error = Error;
    type Future = std::future::Ready<Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.0 == 0 {
            return Poll::Ready(Err(Error::new(ErrorKind::Internal, "broken for ever")));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Routed<LlmRequest>) -> Self::Future {
        std::future::ready(Ok(LlmResponse::complete("fine", None)))
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_fails_to_be_ready_is_made_anew() {
    let made = Arc::new(AtomicU32::new(0));
    let layer = layer_fn({
        let made = Arc::clone(&made);
        move |(): ()| Fragile(made.fetch_add(1, Relaxed))
    });
    let mut service = PerDeployment::new(layer).layer(());
    let error = service
        .call(to("a"))
        .await
        .expect_err("the first is broken");
    assert_eq!(error.message(), "broken for ever");
    service.call(to("a")).await.expect("the second is not");
    service.call(to("a")).await.expect("and stays");
    assert_eq!(made.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_instances_of_what_stays() {
    let made = Arc::new(AtomicU32::new(1));
    let layer = layer_fn({
        let made = Arc::clone(&made);
        move |(): ()| Fragile(made.fetch_add(1, Relaxed))
    });
    let member = |id: &str| Deployment::new(id, "gpt", "m");
    let deployments = Deployments::from_iter([member("a"), member("b")]);
    let service = PerDeployment::new(layer)
        .deployments(deployments.clone())
        .layer(());
    for id in ["a", "b", "a"] {
        service.clone().oneshot(to(id)).await.expect("it answers");
    }
    deployments.swap(Snapshot::new([member("a")]));
    service.clone().oneshot(to("a")).await.expect("it answers");
    assert_eq!(made.load(Relaxed), 3, "a was kept");
    deployments.swap(Snapshot::new([member("a"), member("b")]));
    service.clone().oneshot(to("b")).await.expect("it answers");
    assert_eq!(made.load(Relaxed), 4, "b was not");
}

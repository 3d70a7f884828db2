//! Whom the layer refuses.

use std::sync::Arc;

use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt};
use ziggurat_core::{
    ClientCredentials, Deployment, DeploymentId, Error, ErrorKind, LlmRequest, Reason, Rejection,
    Routed, Scope, Secret, Snapshot,
};
use ziggurat_health::{HealthLayer, HealthPolicy};
use ziggurat_testkit::contract::Probe;

use crate::world::{Says, World, gpt, secs};

fn routing() -> HealthPolicy {
    HealthPolicy::new().routing(true)
}

async fn send(world: &World, deployment: Arc<Deployment>) -> Result<(), Error> {
    let service = HealthLayer::new(world.health.clone()).layer(Probe::new());
    let request = Routed::new(LlmRequest::chat("gpt", "hi"), deployment);
    service.oneshot(request).await.map(drop)
}

fn find(world: &World, id: &str) -> Arc<Deployment> {
    let snapshot = world.deployments.load();
    Arc::clone(snapshot.get(&id.into()).expect("is listed"))
}

/// Which of these are refused.
async fn refused(world: &World, ids: &[&'static str]) -> Vec<&'static str> {
    let mut refused = Vec::new();
    for id in ids {
        if send(world, find(world, id)).await.is_err() {
            refused.push(*id);
        }
    }
    refused
}

/// Three deployments of which some are down, checked.
async fn world(policy: HealthPolicy, down: &[&str]) -> World {
    let world = World::new(policy, ["a", "b", "c"].map(gpt));
    for id in down {
        world.probe_says(id, Says::Error(ErrorKind::Unavailable));
    }
    world.check().await;
    world
}

const ALL: [&str; 3] = ["a", "b", "c"];

#[tokio::test(start_paused = true)]
async fn who_is_unhealthy_is_refused_until_the_next_check() {
    let world = world(routing().interval(secs(100)), &["a"]).await;
    assert_eq!(refused(&world, &ALL).await, ["a"]);
    let error = send(&world, find(&world, "a")).await.expect_err("refused");
    let rejection = error.rejection().expect("is one");
    assert_eq!(rejection.reason(), Reason::Unhealthy);
    assert_eq!(rejection.scope(), Scope::Deployment);
    assert_eq!(rejection.cause(), Some(ErrorKind::Unavailable));
    assert_eq!(rejection.ends_at(), Some(Instant::now() + secs(100)));

    advance(secs(150)).await;
    let error = send(&world, find(&world, "a")).await.expect_err("refused");
    let ends_at = error.rejection().and_then(Rejection::ends_at);
    assert_eq!(ends_at, Some(Instant::now() + secs(1)), "it is late");

    world.probe_says("a", Says::This(Some(true)));
    world.check().await;
    assert!(refused(&world, &ALL).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_routing_nobody_is_refused() {
    let world = world(HealthPolicy::new(), &["a"]).await;
    assert!(refused(&world, &ALL).await.is_empty());
    world.health.set_policy(routing());
    assert_eq!(refused(&world, &ALL).await, ["a"]);
    world.health.set_policy(HealthPolicy::new());
    assert!(refused(&world, &ALL).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_of_which_all_are_unhealthy_is_served() {
    let world = world(routing(), &ALL).await;
    assert!(refused(&world, &ALL).await.is_empty());
    world.probe_says("b", Says::This(Some(true)));
    advance(secs(1)).await;
    world.check().await;
    assert_eq!(refused(&world, &ALL).await, ["a", "c"]);
    let blocked = ["a", "b", "c"].map(|id| gpt(id).with_blocked(id == "b"));
    world.deployments.swap(Snapshot::new(blocked));
    assert!(refused(&world, &["a", "c"]).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_is_in_another_order_than_before_is_told_of() {
    let world = World::new(routing(), ["a", "b", "c"].map(gpt));
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let tells = Arc::clone(&told);
    let tell = move |id: &DeploymentId| tells.lock().push(id.to_string());
    assert!(world.health.on_change(tell));
    assert!(!world.health.on_change(|_| {}), "the first stays");
    let told = || std::mem::take(&mut *told.lock());
    world.check().await;
    assert!(told().is_empty(), "nobody was known to be anything else");
    world.probe_says("b", Says::Error(ErrorKind::Unavailable));
    for expected in [&["b"][..], &[]] {
        advance(secs(1)).await;
        world.check().await;
        assert_eq!(told(), expected);
    }
    world.probe_says("b", Says::This(Some(true)));
    advance(secs(1)).await;
    world.check().await;
    assert_eq!(told(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_verdict_does_not_count() {
    let world = world(routing().staleness(secs(50)), &["a"]).await;
    let until = |id| world.health.out_until(&find(&world, id));
    assert_eq!(until("a"), Some(Instant::now() + secs(50)));
    assert_eq!(until("b"), None);
    advance(secs(49)).await;
    assert_eq!(refused(&world, &ALL).await, ["a"]);
    advance(secs(1)).await;
    assert!(refused(&world, &ALL).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_many_is_what_is_said_of_each() {
    let of = |group: &str| {
        ["a", "b"].map(|it| {
            let id = format!("{group}-{it}");
            Deployment::new(id.as_str(), group, format!("model-of-{id}"))
        })
    };
    let world = World::new(routing(), [of("gpt"), of("claude")].concat());
    let all = ["gpt-a", "gpt-b", "claude-a", "claude-b"].map(|id| find(&world, id));
    for unhealthy in [&["gpt-b"][..], &["gpt-a", "gpt-b", "claude-a"]] {
        for id in unhealthy {
            world.probe_says(id, Says::Error(ErrorKind::Unavailable));
        }
        world.check().await;
        let each = all.each_ref().map(|it| world.health.out_until(it));
        assert_eq!(world.health.out_of(&all), each);
        assert_eq!(each.iter().flatten().count(), 1, "{unhealthy:?}");
        advance(secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn groups_that_are_not_named_are_not_concerned() {
    let world = world(routing().groups(["other"]), &["a"]).await;
    assert_eq!(world.is_healthy("a"), Some(false));
    assert!(refused(&world, &ALL).await.is_empty());
    world.health.set_policy(routing().groups(["gpt"]));
    assert_eq!(refused(&world, &ALL).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_is_for_the_models_of_a_wildcard_and_not_for_a_clients_credential() {
    let wild = |id| Deployment::new(id, "any/*", "*").with_credential(Secret::new(id));
    let world = World::new(routing(), ["a", "b"].map(wild));
    world.probe_says("a", Says::Error(ErrorKind::Authentication));
    world.check().await;
    let made = Arc::new(find(&world, "a").for_model("m"));
    assert!(send(&world, Arc::clone(&made)).await.is_err());
    let client = ClientCredentials {
        api_key: Some(Secret::new("of the client")),
        ..ClientCredentials::default()
    };
    let theirs = Arc::new(made.for_client(&client));
    assert!(send(&world, theirs).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_new_credential_does_not_inherit_the_verdict_on_the_old_one() {
    let world = world(routing(), &["a"]).await;
    let new = ["a", "b"].map(|id| gpt(id).with_credential(Secret::new("new")));
    world.deployments.swap(Snapshot::new(new));
    assert!(refused(&world, &["a", "b"]).await.is_empty());
}

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use ziggurat_cache::{CacheKey, Entry, Near, SemanticStore, Threshold, Vector};
use ziggurat_redis::{RedisClient, RedisSemantic};
use ziggurat_testkit::{redis::RedisServer, semantic_store};

use crate::{
    rig::{Rig, until_some},
    servers::Bench,
};

const LONG: Duration = Duration::from_secs(600);

/// A store whose driver runs.
fn store(client: &RedisClient) -> RedisSemantic {
    let (store, writes) = RedisSemantic::new(client.clone());
    #[expect(clippy::disallowed_methods, reason = "a driver is spawned")]
    tokio::spawn(writes.run());
    store
}

async fn conforms(bench: Option<Bench>) {
    let Some(bench) = bench else {
        return;
    };
    let make = async || {
        let clients: [RedisClient; 2] = bench.clients().await;
        clients.map(|client| store(&client))
    };
    semantic_store::check(make, async |_: &RedisSemantic| bench.lose().await).await;
}

#[tokio::test]
async fn a_server_does_what_every_store_does() {
    conforms(Bench::one().await).await;
}

#[tokio::test]
async fn a_cluster_does_what_every_store_does() {
    conforms(Bench::cluster().await).await;
}

fn key() -> CacheKey {
    CacheKey::from_bytes([7; 32])
}

fn vector(numbers: [f32; 2]) -> Vector {
    Vector::new(numbers.to_vec()).expect("is one")
}

fn put(store: &RedisSemantic, at: [f32; 2], answer: &str) {
    let entry = Arc::new(Entry::whole(answer.to_owned()));
    store.put(key(), vector(at), entry, LONG);
}

async fn find(store: &RedisSemantic, at: [f32; 2]) -> Option<Near> {
    let threshold = Threshold::new(0.95).expect("is one");
    store.nearest(&key(), &vector(at), threshold, None).await
}

#[tokio::test]
async fn while_the_server_hangs_or_is_gone_what_is_known_here_is_found() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let [one, other] = [Rig::to(server.port()), Rig::to(server.port())];
    one.is_up().await;
    other.is_up().await;
    let [near, far] = [store(&one.client), store(&other.client)];
    put(&far, [1.0, 0.0], "east");
    put(&far, [0.0, 1.0], "north");
    until_some("it is kept", || find(&near, [1.0, 0.0])).await;
    server.pause();
    for _ in 0..10 {
        let found = find(&near, [1.0, 0.0]).await.expect("is known");
        assert_eq!(found.entry.bytes().map(|it| &**it), Some(&b"east"[..]));
        // Its vector is known, and its answer was never asked for.
        assert!(find(&near, [0.0, 1.0]).await.is_none());
    }
    // After a few calls, nothing waits any more.
    one.is_down().await;
    let found = find(&near, [1.0, 0.0]).now_or_never();
    assert!(found.flatten().is_some());
    put(&near, [-1.0, 0.0], "lost");
    server.resume();
    one.is_up().await;
    until_some("it is found again", || find(&near, [0.0, 1.0])).await;
    assert!(find(&near, [-1.0, 0.0]).await.is_none());

    server.kill();
    one.is_down().await;
    assert!(find(&near, [0.0, 1.0]).now_or_never().flatten().is_some());
    server.restart().await;
    one.is_up().await;
    assert!(find(&near, [0.0, 1.0]).await.is_none(), "it was lost");
}

#[tokio::test]
async fn an_answer_that_is_gone_or_changed_is_not_given() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    let [one, other] = [store(&rig.client), store(&rig.client)];
    let [vectors, answers] =
        ["semantic", "semantic-answers"].map(|kind| rig.client.key(kind, &key().to_string()));
    for name in [&vectors, &answers] {
        put(&one, [1.0, 0.0], "east");
        until_some("it is kept", || find(&one, [1.0, 0.0])).await;
        server.command(&["DEL", name]).await.expect("is a command");
        assert!(find(&other, [1.0, 0.0]).await.is_none());
    }
    put(&one, [0.0, 1.0], "north");
    until_some("it is kept", || find(&one, [0.0, 1.0])).await;
    let left = server
        .command(&["PTTL", &answers])
        .await
        .expect("is a command");
    let left: u64 = left.parse().expect("is a number");
    assert!((1..=600_000).contains(&left), "{left}");
    // What somebody else wrote.
    let names = server
        .command(&["HKEYS", &answers])
        .await
        .expect("is a command");
    for name in names.lines() {
        server
            .command(&["HSET", &answers, name, "x"])
            .await
            .expect("is a command");
    }
    assert!(find(&other, [0.0, 1.0]).await.is_none());
    server
        .command(&["HSET", &vectors, "last", "x"])
        .await
        .expect("is a command");
    assert!(find(&other, [0.0, 1.0]).await.is_none());
    server
        .command(&["SET", &vectors, "x"])
        .await
        .expect("is a command");
    assert!(find(&other, [0.0, 1.0]).await.is_none());
    server
        .command(&["DEL", &vectors])
        .await
        .expect("is a command");
    put(&one, [0.0, 1.0], "north");
    until_some("it is kept", || find(&other, [0.0, 1.0])).await;
    // Of the old partition nothing is left.
    let count = server.command(&["HLEN", &answers]).await;
    assert_eq!(count.as_deref(), Ok("1"));
}

#[tokio::test]
async fn a_partition_has_its_bound_in_bytes_and_the_oldest_goes_first() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    let store = store(&rig.client);
    put(&store, [0.0, 1.0], "first");
    until_some("it is kept", || find(&store, [0.0, 1.0])).await;
    let long = "x".repeat(1_000_000);
    // On a busy machine some are late, and not kept.
    until_some("the oldest is gone", async || {
        put(&store, [1.0, 0.0], &long);
        tokio::time::sleep(Duration::from_millis(20)).await;
        find(&store, [0.0, 1.0]).await.is_none().then_some(())
    })
    .await;
    let answers = rig.client.key("semantic-answers", &key().to_string());
    let usage = ["MEMORY", "USAGE", &*answers, "SAMPLES", "0"];
    let bytes = server.command(&usage).await.expect("is a command");
    let bytes: u64 = bytes.parse().expect("is a number");
    assert!(((10 << 20)..(24 << 20)).contains(&bytes), "{bytes}");
}

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use ziggurat_core::{Deployment, Error, LlmRequest, LlmResponse, Routed};
use ziggurat_redis::{RedisUsage, StoreError};
use ziggurat_settle::SettleLayer;
use ziggurat_testkit::{redis::RedisServer, usage_store};
use ziggurat_usage::{Minute, Row, Subject, Tally, UsageBook, UsageStore, UsageSync};

use crate::{rig::Rig, servers::Bench};

async fn conforms(bench: Option<Bench>) {
    let Some(bench) = bench else {
        return;
    };
    let make = async || {
        let [client] = bench.clients().await;
        RedisUsage::new(client)
    };
    usage_store::check(make, async |_: &RedisUsage| bench.lose().await).await;
}

#[tokio::test]
async fn a_server_does_what_every_store_does() {
    conforms(Bench::one().await).await;
}

#[tokio::test]
async fn a_cluster_does_what_every_store_does() {
    conforms(Bench::cluster().await).await;
}

/// Asks a deployment of a group once.
async fn ask(book: &UsageBook) {
    let deployment = Arc::new(Deployment::new("a", "gpt", "gpt-4o"));
    let leaf = service_fn(|_: Routed<LlmRequest>| async {
        Ok::<_, Error>(LlmResponse::complete("{}", None))
    });
    let service = SettleLayer::new(book.clone()).layer(leaf);
    let request = Routed::new(LlmRequest::chat("gpt", "hi"), deployment);
    service.oneshot(request).await.expect("is answered");
}

/// What a book knows of all instances.
fn known(book: &UsageBook) -> u64 {
    let later = SystemTime::now() + Duration::from_secs(60);
    let page = book.group("gpt");
    page.map_or(0, |page| page.of_all().last(later, 30).successes())
}

#[tokio::test]
async fn what_happened_while_the_server_hung_or_was_gone_is_told_when_it_is_back() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rigs = [Rig::to(server.port()), Rig::to(server.port())];
    let books = [UsageBook::new(), UsageBook::new()];
    let mut instances = Vec::new();
    for ((rig, book), name) in rigs.iter().zip(&books).zip(["one", "two"]) {
        rig.is_up().await;
        let store = RedisUsage::new(rig.client.clone());
        instances.push(UsageSync::new(book.clone(), store, name));
    }
    let mut asked = 0;
    for is_killed in [false, true] {
        match is_killed {
            false => server.pause(),
            true => server.kill(),
        }
        for (book, instance) in books.iter().zip(&mut instances) {
            ask(book).await;
            asked += 1;
            let tried = instance.sync(SystemTime::now()).await;
            assert!(tried.is_err(), "{is_killed}");
        }
        match is_killed {
            false => server.resume(),
            true => server.restart().await,
        }
        for rig in &rigs {
            // It may not have been noticed that it was gone.
            rig.is_well().await;
        }
        for _ in 0..2 {
            for instance in &mut instances {
                let done = instance.sync(SystemTime::now()).await;
                assert_eq!(done, Ok(()), "{is_killed}");
            }
        }
        for book in &books {
            assert_eq!(known(book), asked);
        }
    }
    assert_eq!(asked, 4);
}

#[tokio::test]
async fn a_minute_has_its_bound_and_what_is_there_can_be_written_again() {
    let Some(bench) = Bench::one().await else {
        return;
    };
    let [client] = bench.clients().await;
    let store = RedisUsage::new(client);
    let minute = Minute::new(29_000_000);
    let row = |n: u32| {
        let subject = Subject::Group(n.to_string().into());
        Row::new(subject, minute, Tally::default())
    };
    let count = async || {
        let rows = store.fetch(minute..=minute, None).await;
        rows.map(|rows| rows.len())
    };
    let rows = (0..10_500).map(row).collect();
    assert_eq!(store.push("one", rows).await, Ok(false));
    assert_eq!(count().await, Ok(10_000));
    assert_eq!(store.push("one", vec![row(1), row(20_000)]).await, Ok(true));
    assert_eq!(count().await, Ok(10_000));
    let long = Subject::Group("x".repeat(20_000).into());
    let long = Row::new(long, minute.minus(1), Tally::default());
    assert_eq!(store.push("one", vec![long]).await, Ok(true));
    let rows = store.fetch(minute.minus(1)..=minute.minus(1), None).await;
    assert_eq!(rows, Ok(Vec::new()));
}

#[tokio::test]
async fn all_of_it_ends_by_itself_and_what_somebody_else_wrote_is_no_row() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    let store = RedisUsage::new(rig.client.clone());
    let minute = Minute::new(29_000_000);
    let subject = Subject::Group("gpt".into());
    let row = Row::new(subject, minute, Tally::default());
    assert_eq!(store.push("one", vec![row.clone()]).await, Ok(false));
    let names = [
        "ziggurat:usage:{minutes}",
        "ziggurat:usage:{minutes}:29000000",
    ];
    for name in names {
        let left = server.command(&["TTL", name]).await.expect("is a command");
        let left: u32 = left.parse().expect("is a number");
        assert!((86_000..=86_400).contains(&left), "{name}: {left}");
    }
    let written = server.command(&["HSET", names[1], "x", "y"]).await;
    assert_eq!(written.as_deref(), Ok("1"));
    assert_eq!(
        store.fetch(minute..=minute, None).await,
        Ok(vec![row.clone()])
    );
    for name in names {
        server
            .command(&["SET", name, "x"])
            .await
            .expect("is a command");
    }
    let pushed = store.push("one", vec![row]).await;
    assert!(
        matches!(pushed, Err(StoreError::Refused { .. })),
        "{pushed:?}"
    );
    let fetched = store.fetch(minute..=minute, None).await;
    assert!(
        matches!(fetched, Err(StoreError::Refused { .. })),
        "{fetched:?}"
    );
}

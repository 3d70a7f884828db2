use std::{sync::Arc, time::Duration};

use ziggurat_cache::{CacheKey, CacheStore, Entry, MemoryStore, Tiered};
use ziggurat_redis::{RedisCache, RedisConfig};
use ziggurat_testkit::redis::{RedisCluster, RedisServer};

use crate::rig::{Rig, until_some};

const LONG: Duration = Duration::from_secs(3_600);

fn key(n: u8) -> CacheKey {
    CacheKey::from_bytes([n; 32])
}

/// A cache whose driver runs.
fn cache(rig: &Rig) -> RedisCache {
    let (cache, writes) = RedisCache::new(rig.client.clone());
    #[expect(clippy::disallowed_methods, reason = "a driver is spawned")]
    tokio::spawn(writes.run());
    cache
}

#[tokio::test]
async fn an_answer_that_one_instance_kept_is_found_by_another_and_says_its_age() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let [one, other] = [Rig::to(server.port()), Rig::to(server.port())];
    one.is_up().await;
    other.is_up().await;
    let [one, other] = [cache(&one), cache(&other)];
    assert!(other.get(&key(1)).await.is_none());
    let entry = Arc::new(Entry::whole("answer"));
    one.put(key(1), Arc::clone(&entry), LONG);
    let found = until_some("it is kept", || other.get(&key(1))).await;
    assert_eq!(found.entry, entry);
    assert!(found.age < LONG);
    assert!(other.get(&key(2)).await.is_none());
    // The server counts the time.
    let name = format!("ziggurat:cache:{{{}}}", key(1));
    let half = LONG.as_millis() / 2;
    let told = server.command(&["PEXPIRE", &name, &half.to_string()]).await;
    assert_eq!(told.as_deref(), Ok("1"));
    let found = other.get(&key(1)).await.expect("is there");
    assert!(found.age >= LONG / 2 && found.age < LONG, "{:?}", found.age);
    server
        .command(&["PEXPIRE", &name, "0"])
        .await
        .expect("is a command");
    assert!(other.get(&key(1)).await.is_none());
    // What else may be there.
    server
        .command(&["SET", &name, "something"])
        .await
        .expect("is a command");
    assert!(other.get(&key(1)).await.is_none());
    server.command(&["DEL", &name]).await.expect("is a command");
    server
        .command(&["LPUSH", &name, "something"])
        .await
        .expect("is a command");
    assert!(other.get(&key(1)).await.is_none());
}

#[tokio::test]
async fn without_a_server_there_is_no_answer_and_nothing_waits() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    let cache = cache(&rig);
    let near = Tiered::new(MemoryStore::new(1 << 20), cache.clone(), LONG);
    let entry = Arc::new(Entry::whole("answer"));
    near.put(key(1), Arc::clone(&entry), LONG);
    until_some("it is kept", || cache.get(&key(1))).await;
    server.kill();
    rig.is_down().await;
    assert!(cache.get(&key(1)).await.is_none());
    // The near store has it still, and takes new ones.
    assert!(near.get(&key(1)).await.is_some());
    near.put(key(2), Arc::clone(&entry), LONG);
    assert!(near.get(&key(2)).await.is_some());
    server.restart().await;
    rig.is_up().await;
    assert!(
        cache.get(&key(1)).await.is_none(),
        "it has forgotten everything"
    );
    cache.put(key(1), entry, LONG);
    until_some("it is kept", || cache.get(&key(1))).await;
}

#[tokio::test]
async fn answers_are_kept_on_all_servers_of_a_cluster() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let seeds = cluster.nodes().iter();
    let seeds = seeds.map(|it| ziggurat_redis::Address::new("127.0.0.1", it.port()));
    let rig = Rig::up(RedisConfig::cluster(seeds).expect("has a server")).await;
    let far = cache(&rig);
    let near = Tiered::new(MemoryStore::new(1 << 20), far.clone(), LONG);
    for n in 0..30 {
        let entry = Arc::new(Entry::whole(n.to_string()));
        far.put(key(n), Arc::clone(&entry), LONG);
        let found = until_some("it is kept", || near.get(&key(n))).await;
        assert_eq!(found.entry, entry);
    }
    assert_eq!(far.dropped(), 0);
}

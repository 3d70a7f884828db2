use std::time::Duration;

use futures_util::FutureExt as _;
use ziggurat_redis::{Address, RedisConfig, StoreError, Trouble};
use ziggurat_testkit::redis::{RedisProxy, RedisSentinel, RedisServer, Weather};

use crate::rig::{Rig, until};

#[tokio::test]
async fn without_a_driver_and_without_a_server_a_call_fails_at_once() {
    let config = RedisConfig::single(Address::new("127.0.0.1", 1));
    let (client, driver) = ziggurat_redis::RedisClient::new(config);
    let key = [client.key("a", "b")];
    let call = client.run(&crate::rig::COUNT, &key, &[]);
    assert_eq!(call.now_or_never(), Some(Err(StoreError::Down)));
    drop(driver);

    let rig = Rig::to(1);
    until("it is told", || rig.lines.counts() == (1, 0)).await;
    assert_eq!(rig.count("a").await, Err(StoreError::Down));
    assert_eq!(rig.trouble(), Some(Trouble::Unreachable));
    rig.end().await;
}

#[tokio::test]
async fn a_server_that_is_killed_is_left_alone_and_used_again_when_it_is_back() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    assert_eq!(rig.lines.counts(), (0, 1));
    assert_eq!(rig.count("a").await, Ok(1));
    for round in 1..=2 {
        server.kill();
        rig.is_down().await;
        for _ in 0..100 {
            assert_eq!(rig.count("a").await, Err(StoreError::Down));
        }
        assert_eq!(rig.lines.counts(), (round, round), "{}", rig.lines.text());
        server.restart().await;
        rig.is_up().await;
        // It has forgotten everything, the script included.
        assert_eq!(rig.count("a").await, Ok(1));
        assert_eq!(
            rig.lines.counts(),
            (round, round + 1),
            "{}",
            rig.lines.text()
        );
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_found_out_by_calls() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    server.pause();
    let mut late = 0;
    loop {
        match rig.count("a").await {
            Err(StoreError::Late) => late += 1,
            Err(StoreError::Down) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(late <= 3, "{late} calls waited");
    rig.is_down().await;
    assert_eq!(rig.lines.counts(), (1, 1), "{}", rig.lines.text());
    server.resume();
    rig.is_up().await;
    assert!(rig.count("b").await.is_ok());
    assert_eq!(rig.lines.counts(), (1, 2), "{}", rig.lines.text());
}

#[tokio::test]
async fn a_server_that_hangs_is_found_out_though_nobody_calls() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    let mut watch = rig.client.watch();
    server.pause();
    let down = watch
        .wait_for(|health| !health.is_up())
        .await
        .expect("is watched")
        .clone();
    assert!(
        down.troubles().all(|(_, it)| *it == Trouble::Slow),
        "{down:?}"
    );
    server.resume();
    let up = watch
        .wait_for(|health| health.is_up())
        .await
        .expect("is watched")
        .clone();
    assert!(up.since() > down.since());
}

#[tokio::test]
async fn a_server_that_is_slow_is_left_alone_until_it_is_quick_again() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let proxy = RedisProxy::start(server.port()).await.expect("has a port");
    let rig = Rig::to(proxy.port());
    rig.is_up().await;
    proxy.set(Weather::Slow(Duration::from_millis(250)));
    until("a call is late", {
        let client = rig.client.clone();
        move || !client.is_up()
    })
    .await;
    // Probes are answered now, each too late.
    let start = tokio::time::Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        assert_eq!(rig.count("a").await, Err(StoreError::Down));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.trouble(), Some(Trouble::Slow));
    assert_eq!(rig.lines.counts(), (1, 1), "{}", rig.lines.text());
    proxy.set(Weather::Fair);
    rig.is_up().await;
    assert!(rig.count("a").await.is_ok());
    assert_eq!(rig.lines.counts(), (1, 2), "{}", rig.lines.text());
}

#[tokio::test]
async fn a_server_that_only_refuses_is_left_alone_until_it_serves() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let proxy = RedisProxy::start(server.port()).await.expect("has a port");
    let rig = Rig::to(proxy.port());
    rig.is_up().await;
    for code in ["OOM", "LOADING", "READONLY", "CLUSTERDOWN", "MISCONF"] {
        proxy.set(Weather::Refusing(format!("{code} not now")));
        let mut refused = 0;
        loop {
            match rig.count("a").await {
                Err(StoreError::Unfit { code: told }) => {
                    assert_eq!(&*told, code);
                    refused += 1;
                }
                Err(StoreError::Down) => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(refused <= 3, "{refused}");
        proxy.set(Weather::Fair);
        rig.is_up().await;
    }
    assert_eq!(rig.lines.counts(), (5, 6), "{}", rig.lines.text());
    // A connection that is closed is made again.
    proxy.set(Weather::Gone);
    rig.is_down().await;
    proxy.set(Weather::Fair);
    rig.is_up().await;
    // And one that is silent is given up.
    proxy.set(Weather::Silent);
    rig.is_down().await;
    proxy.set(Weather::Fair);
    rig.is_up().await;
    assert_eq!(rig.lines.counts(), (7, 8), "{}", rig.lines.text());
}

#[tokio::test]
async fn a_server_without_memory_is_left_alone_until_it_has_some() {
    let Some(server) = RedisServer::start_with(&[("maxmemory-policy", "noeviction")]).await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    server.config_set("maxmemory", "1").await;
    let mut refused = 0;
    loop {
        match rig.count("a").await {
            Err(StoreError::Unfit { code }) => {
                assert_eq!(&*code, "OOM");
                refused += 1;
            }
            Err(StoreError::Down) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(refused <= 3, "{refused}");
    until("it is known why", || {
        rig.trouble() == Some(Trouble::Unfit { code: "OOM".into() })
    })
    .await;
    server.config_set("maxmemory", "0").await;
    rig.is_up().await;
    assert_eq!(rig.count("a").await, Ok(1));
    assert_eq!(rig.lines.counts(), (1, 2), "{}", rig.lines.text());
}

#[tokio::test]
async fn the_master_is_followed_when_sentinel_makes_another_one() {
    let Some(set) = RedisSentinel::start().await else {
        return;
    };
    let sentinels = [
        Address::new("127.0.0.1", 1),
        Address::new("127.0.0.1", set.port()),
    ];
    let config = RedisConfig::sentinel(sentinels, RedisSentinel::SERVICE).expect("has a sentinel");
    let rig = Rig::up(config).await;
    assert_eq!(rig.count("a").await, Ok(1));
    // As the first did to the second, so the second has it.
    let [first, second] = set.servers();
    let counted = rig.client.key("count", "a");
    while second.command(&["GET", &counted]).await.as_deref() != Ok("1") {
        tokio::task::yield_now().await;
    }
    first.kill();
    rig.is_down().await;
    rig.is_up().await;
    assert_eq!(rig.count("a").await, Ok(2));
    assert_eq!(second.command(&["GET", &counted]).await.as_deref(), Ok("2"));
    assert_eq!(rig.lines.counts(), (1, 2), "{}", rig.lines.text());
}

use std::{sync::LazyLock, time::Duration};

use futures_util::FutureExt as _;
use ziggurat_redis::{Arg, Script, StoreError, Value, read};
use ziggurat_testkit::redis::RedisServer;

use crate::rig::Rig;

static ALL: LazyLock<Script> = LazyLock::new(|| Script::new("return {KEYS, ARGV}"));
static WRONG: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('LPUSH', KEYS[1], '1')"));
static BROKEN: LazyLock<Script> = LazyLock::new(|| Script::new("return nobody()"));

#[tokio::test]
async fn a_script_gets_its_keys_and_arguments_and_gives_its_answer() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    let args: [Arg<'_>; 5] = [
        (-1_i64).into(),
        u64::MAX.into(),
        1.5.into(),
        "text".into(),
        Arg::Bytes(&[0, 255]),
    ];
    let answer = rig.client.run(&ALL, &["a", "b"], &args).await;
    let (keys, args): (Vec<String>, Vec<Vec<u8>>) = read(answer.expect("serves")).expect("lists");
    assert_eq!(keys, ["a", "b"]);
    let max = u64::MAX.to_string();
    let expected: [&[u8]; 5] = [b"-1", max.as_bytes(), b"1.5", b"text", &[0, 255]];
    assert_eq!(args, expected);
    assert_eq!(read::<i64>(Value::Nil), Err(StoreError::Garbled));
    rig.end().await;
}

#[tokio::test]
async fn a_script_that_the_server_has_forgotten_is_sent_again() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    assert_eq!(rig.count("a").await, Ok(1));
    assert_eq!(rig.count("a").await, Ok(2));
    server
        .command(&["SCRIPT", "FLUSH"])
        .await
        .expect("is a command");
    assert_eq!(rig.count("a").await, Ok(3));
    let stats = server
        .command(&["INFO", "commandstats"])
        .await
        .expect("is a command");
    // By its hash: found once, and not at the start and after the flush.
    let by_hash = stats.lines().find(|it| it.starts_with("cmdstat_evalsha"));
    assert!(
        by_hash.is_some_and(|it| it.contains("failed_calls=")),
        "{stats}"
    );
}

#[tokio::test]
async fn a_call_that_is_wrong_says_so_and_nothing_else_suffers() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    server
        .command(&["SET", "text", "1"])
        .await
        .expect("is a command");
    for _ in 0..10 {
        let error = rig.client.run(&WRONG, &["text"], &[]).await;
        assert!(
            matches!(&error, Err(StoreError::Refused { code, .. }) if &**code == "WRONGTYPE"),
            "{error:?}"
        );
        let error = rig.client.run(&BROKEN, &["text"], &[]).await;
        assert!(
            matches!(&error, Err(StoreError::Refused { .. })),
            "{error:?}"
        );
    }
    assert!(rig.client.is_up());
    assert_eq!(rig.lines.counts(), (0, 1), "{}", rig.lines.text());
}

#[tokio::test]
async fn all_calls_go_through_one_connection_which_has_a_name() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    let calls = (0..200).map(|_| {
        rig.client.run_within(
            Duration::from_secs(10),
            &crate::rig::COUNT,
            &["a"],
            &[Arg::Int(1)],
        )
    });
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    let clients = server
        .command(&["CLIENT", "LIST"])
        .await
        .expect("is a command");
    let ours: Vec<_> = clients
        .lines()
        .filter(|it| it.contains("name=ziggurat "))
        .collect();
    assert_eq!(ours.len(), 1, "{clients}");
    // And the one that asks.
    assert_eq!(clients.lines().count(), 2, "{clients}");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_does_no_harm() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    for _ in 0..50 {
        // Sent perhaps, and dropped.
        assert!(rig.count("dropped").now_or_never().is_none());
    }
    for n in 1..=20 {
        assert_eq!(rig.count("a").await, Ok(n));
    }
    assert!(rig.client.is_up());
}

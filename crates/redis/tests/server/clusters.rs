use ziggurat_redis::{Address, RedisConfig, StoreError};
use ziggurat_testkit::redis::RedisCluster;

use crate::rig::{Rig, until};

fn config(cluster: &RedisCluster) -> RedisConfig {
    let seeds = [
        Address::new("127.0.0.1", 1),
        Address::new("127.0.0.1", cluster.nodes()[1].port()),
    ];
    RedisConfig::cluster(seeds).expect("has a server")
}

#[tokio::test]
async fn keys_of_many_tags_are_found_on_the_servers_that_have_them() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let rig = Rig::up(config(&cluster)).await;
    for tag in 0..200 {
        for n in 1..=2 {
            assert_eq!(rig.count(&tag.to_string()).await, Ok(n), "{tag}");
        }
    }
    for node in cluster.nodes() {
        let stats = node
            .command(&["INFO", "commandstats"])
            .await
            .expect("is a command");
        assert!(stats.contains("cmdstat_incrby"), "has some of them");
        let errors = node
            .command(&["INFO", "errorstats"])
            .await
            .expect("is a command");
        assert!(
            !errors.contains("errorstat_MOVED"),
            "nothing went astray: {errors}"
        );
        let clients = node
            .command(&["CLIENT", "LIST"])
            .await
            .expect("is a command");
        let ours = clients.lines().filter(|it| it.contains("name=ziggurat "));
        assert_eq!(ours.count(), 1, "{clients}");
    }
    rig.end().await;
}

#[tokio::test]
async fn a_key_that_moves_is_followed() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let rig = Rig::up(config(&cluster)).await;
    // Slot 12182 is the third's.
    cluster.move_slot(12_182, 0).await;
    for n in 1..=3 {
        assert_eq!(rig.count("foo").await, Ok(n));
    }
    let key = rig.client.key("count", "foo");
    let kept = cluster.nodes()[0].command(&["GET", &key]).await;
    assert_eq!(kept.as_deref(), Ok("3"));
    assert!(rig.client.is_up());
}

#[tokio::test]
async fn a_key_that_is_moving_is_asked_for_where_it_goes() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let rig = Rig::up(config(&cluster)).await;
    let [to, _, from] = cluster.nodes();
    let to_id = to.command(&["CLUSTER", "MYID"]).await.expect("has an id");
    let from_id = from.command(&["CLUSTER", "MYID"]).await.expect("has an id");
    for (node, state, id) in [(to, "IMPORTING", &from_id), (from, "MIGRATING", &to_id)] {
        let told = node
            .command(&["CLUSTER", "SETSLOT", "12182", state, id])
            .await;
        assert_eq!(told.as_deref(), Ok("OK"));
    }
    for n in 1..=3 {
        assert_eq!(rig.count("foo").await, Ok(n));
    }
    assert!(rig.client.is_up());
}

#[tokio::test]
async fn the_servers_that_are_left_serve_while_one_is_gone() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let rig = Rig::up(config(&cluster)).await;
    assert_eq!(rig.lines.counts(), (0, 3), "{}", rig.lines.text());
    let tags = || (0..60).map(|it| it.to_string());
    cluster.nodes()[2].kill();
    rig.is_down().await;
    let mut answered = 0;
    for tag in tags() {
        match rig.count(&tag).await {
            Ok(_) => answered += 1,
            Err(StoreError::Down) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!((20..60).contains(&answered), "{answered}");
    assert_eq!(rig.lines.counts(), (1, 3), "{}", rig.lines.text());
    let troubles = rig.client.watch().borrow().troubles().count();
    assert_eq!(troubles, 1);
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_told_once() {
    let seeds = [Address::new("127.0.0.1", 1)];
    let rig = Rig::new(RedisConfig::cluster(seeds).expect("has a server"));
    until("it is told", || rig.lines.counts() == (1, 0)).await;
    assert_eq!(rig.count("a").await, Err(StoreError::Down));
    rig.end().await;
}

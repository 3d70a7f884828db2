use std::time::Duration;

use ziggurat_priority_queue::{
    Capacity, Parts,
    parts::{PartStore, Report, Told},
};
use ziggurat_redis::RedisParts;
use ziggurat_testkit::{part_store, redis::RedisServer};

use crate::{
    rig::{Rig, until, until_some},
    servers::Bench,
};

const LONG: Duration = Duration::from_secs(50);

async fn conforms(bench: Option<Bench>) {
    let Some(bench) = bench else {
        return;
    };
    let make = async || {
        let [client] = bench.clients().await;
        RedisParts::new(client)
    };
    part_store::check(make, async |_: &RedisParts| bench.lose().await).await;
}

#[tokio::test]
async fn a_server_does_what_every_store_does() {
    conforms(Bench::one().await).await;
}

#[tokio::test]
async fn a_cluster_does_what_every_store_does() {
    conforms(Bench::cluster().await).await;
}

#[tokio::test]
async fn a_server_that_hangs_leaves_each_its_share_and_they_find_together_again_when_it_goes_on() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rigs = [Rig::to(server.port()), Rig::to(server.port())];
    let parts = [Parts::new(), Parts::new()];
    let whole = Capacity::new(6);
    let capacities = parts.each_ref().map(|parts| parts.of("all", &whole));
    let [one, other] = [0, 1].map(|at| {
        let store = RedisParts::new(rigs[at].client.clone());
        parts[at].share(store, at.to_string())
    });
    let watching = async {
        let all = |instances| parts.iter().all(|it| it.instances() == instances);
        let each = |units| capacities.iter().all(|it| it.get() == units);
        until("they know each other", || all(2)).await;
        until("nothing is held where nobody is", || each(0)).await;
        server.pause();
        until("each has its share", || each(3)).await;
        server.resume();
        until("they have it together", || each(0)).await;
    };
    tokio::select! {
        () = one => {}
        () = other => {}
        () = watching => {}
    }
}

fn told(in_use: u64) -> Told {
    let report = Report {
        in_use,
        ..Report::default()
    };
    Told {
        whole: 10,
        wants: 10,
        report,
    }
}

#[tokio::test]
async fn nothing_is_left_of_those_that_have_died_and_what_somebody_else_wrote_tells_nothing() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    let store = RedisParts::new(rig.client.clone());
    let name = "ziggurat:queue:{gate}";
    for (field, value) in [
        ("a", "x"),
        ("b", "99999999999999999999 1 5 "),
        ("c", "1 1 5 "),
        ("d", "-1 1 5 "),
    ] {
        let set = server.command(&["HSET", name, field, value]).await;
        set.expect("is a command");
    }
    let gate = Some("gate");
    let answer = store.exchange("one", gate, told(1), LONG).await;
    let answer = answer.expect("is there");
    assert_eq!((answer.held, answer.others.len()), (10, 0));
    let left = server.command(&["HLEN", name]).await;
    assert_eq!(left.as_deref(), Ok("1"));
    // What it says is set aside is not to be had, whatever else it says.
    let row = format!("{} 1 7 garbage", answer.now + 20_000);
    let set = server.command(&["HSET", name, "e", &row]).await;
    set.expect("is a command");
    let answer = store.exchange("one", gate, told(1), LONG).await;
    let answer = answer.expect("is there");
    assert_eq!((answer.held, answer.others.len()), (3, 1));
    assert_eq!(answer.others[0].report, Report::default());
    for instance in ["one", "e"] {
        let gone = store.exchange(instance, gate, Told::default(), Duration::ZERO);
        gone.await.expect("is there");
    }
    until_some("the key is gone", async || {
        let there = server.command(&["EXISTS", name]).await;
        (there.as_deref() == Ok("0")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_more_instances_share_a_gate_than_may() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    let store = RedisParts::new(rig.client.clone());
    let tell = async |n: u32| {
        let answer = store.exchange(&n.to_string(), Some("gate"), told(0), LONG);
        Some(answer.await?.others.len())
    };
    for n in 0..256 {
        assert_eq!(tell(n).await, Some(n as usize));
    }
    assert_eq!(tell(256).await, None);
    assert_eq!(tell(0).await, Some(255), "it is one of them still");
}

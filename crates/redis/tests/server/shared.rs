//! What instances have learned goes over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant};
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_cooldown::{CooldownLayer, CooldownPolicy, State};
use ziggurat_core::{Deployment, Deployments, Error, ErrorKind, Routed, Snapshot};
use ziggurat_health::CheckLeases;
use ziggurat_redis::{Address, RedisChecks, RedisConfig, RedisLog};
use ziggurat_shared_log::{Cursor, Offer, SharedLog};
use ziggurat_testkit::{
    redis::{RedisCluster, RedisServer},
    shared_log,
};

use crate::rig::{Rig, until, until_some};

const LONG: Duration = Duration::from_secs(300);

/// An exchange that takes longer has not been made.
const ROUND_TRIP: Duration = Duration::from_secs(1);

/// Logs of their own, one after the other.
fn logs(rig: &Rig) -> impl Fn(usize) -> RedisLog {
    let (client, made) = (rig.client.clone(), AtomicU32::new(0));
    move |capacity| {
        let number = made.fetch_add(1, Relaxed);
        RedisLog::new(client.clone(), &number.to_string(), capacity)
    }
}

#[tokio::test]
async fn the_log_in_redis_does_what_every_log_does() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    shared_log::check(logs(&rig), async |_| {
        server.command(&["FLUSHALL"]).await.expect("is a command");
    })
    .await;
}

#[tokio::test]
async fn the_log_in_a_cluster_does_what_every_log_does() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let seeds = cluster.nodes().iter();
    let seeds = seeds.map(|it| Address::new("127.0.0.1", it.port()));
    let rig = Rig::up(RedisConfig::cluster(seeds).expect("has a server")).await;
    shared_log::check(logs(&rig), async |_| {
        for node in cluster.nodes() {
            node.command(&["FLUSHALL"]).await.expect("is a command");
        }
    })
    .await;
}

#[tokio::test]
async fn a_log_of_which_the_server_dropped_a_part_is_read_from_its_beginning() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    for dropped in ["log", "about-log"] {
        let log = RedisLog::new(rig.client.clone(), dropped, 100);
        let said = |word: &str| Offer::new(Cursor::default(), 9).entries(vec![word.to_owned()]);
        let first = log.exchange(said("1").salt(7)).await.expect("serves");
        let key = rig.client.key(dropped, dropped);
        assert_eq!(server.command(&["DEL", &key]).await.as_deref(), Ok("1"));
        let offer = Offer::new(first.cursor, 9).salt(8);
        let second = log.exchange(offer).await.expect("serves");
        assert!(second.is_new && second.entries.is_empty(), "{dropped}");
        let third = log.exchange(Offer::new(second.cursor, 9)).await;
        assert!(!third.expect("serves").is_new, "{dropped}");
        assert_eq!(second.salt, if dropped == "log" { 7 } else { 8 });
    }
}

#[tokio::test]
async fn what_somebody_else_wrote_there_is_passed_over() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    let log = RedisLog::new(rig.client.clone(), "mine", 100);
    let first = log.exchange(Offer::new(Cursor::default(), 9)).await;
    let key = rig.client.key("log", "mine");
    for fields in [
        &["a", "b"][..],
        &["at", "7", "entry"],
        &["at", "x", "entry", "y"],
    ] {
        let mut command = vec!["XADD", &key, "*"];
        command.extend(fields);
        if fields.len() % 2 == 1 {
            command.push("late");
        }
        server.command(&command).await.expect("is a command");
    }
    let since = first.expect("serves").cursor;
    let told = log.exchange(Offer::new(since, 9)).await.expect("serves");
    let told: Vec<_> = told.entries.into_iter().map(|it| it.entry).collect();
    assert_eq!(told, ["late"]);
    server.command(&["DEL", &key]).await.expect("is a command");
    server
        .command(&["SET", &key, "something"])
        .await
        .expect("is a command");
    let other = log.exchange(Offer::new(Cursor::default(), 9)).await;
    assert!(other.is_none());
}

#[tokio::test]
async fn a_check_is_given_to_one_until_its_time_is_over() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let [one, other] = [Rig::to(server.port()), Rig::to(server.port())];
    one.is_up().await;
    other.is_up().await;
    let [first, second] = [&one, &other].map(|rig| RedisChecks::new(rig.client.clone()));
    assert_eq!(first.take("a", LONG).await, Some(true));
    assert_eq!(second.take("a", LONG).await, Some(false));
    assert_eq!(second.take("b", LONG).await, Some(true));
    let key = one.client.key("check", "a");
    let ends = server.command(&["PEXPIRE", &key, "1"]).await;
    assert_eq!(ends.as_deref(), Ok("1"));
    until_some("it ends", async || {
        second.take("a", LONG).await.filter(|taken| *taken)
    })
    .await;
    server.kill();
    one.is_down().await;
    assert_eq!(first.take("c", LONG).await, None);
}

#[tokio::test]
async fn a_rest_goes_over_and_ends_at_the_same_time_in_both() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let [one, other] = [
        Instance::of(server.port()).await,
        Instance::of(server.port()).await,
    ];
    one.fail("a").await;
    until("the other knows", || other.rests("a").is_some()).await;
    let [one, other] = [one, other].map(|it| it.rests("a").expect("rests"));
    let apart = one.max(other) - one.min(other);
    assert!(apart < ROUND_TRIP, "they are {apart:?} apart");
}

#[tokio::test]
async fn clocks_that_differ_by_a_minute_do_no_harm() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let here = Instance::of(server.port()).await;
    here.fail("a").await;
    let began = here.left("a").expect("rests");
    let port = server.port();
    let there = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("starts");
        runtime.block_on(async {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(60)).await;
            tokio::time::resume();
            let there = Instance::of(port).await;
            until("the other knows", || there.rests("a").is_some()).await;
            there.left("a").expect("rests")
        })
    });
    let left_there = tokio::task::spawn_blocking(|| there.join().expect("ends")).await;
    let left_there = left_there.expect("ends");
    let left_here = here.left("a").expect("rests still");
    assert!(
        left_there <= began + ROUND_TRIP,
        "{left_there:?} of {began:?}"
    );
    assert!(
        left_there + ROUND_TRIP >= left_here,
        "{left_there:?}, {left_here:?}"
    );
}

#[tokio::test]
async fn while_redis_is_gone_each_goes_on_and_when_it_is_back_without_its_data_all_know_all() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let [one, other] = [
        Instance::of(server.port()).await,
        Instance::of(server.port()).await,
    ];
    one.fail("a").await;
    until("the other knows", || other.rests("a").is_some()).await;
    server.kill();
    one.rig.is_down().await;
    other.rig.is_down().await;
    one.fail("b").await;
    other.fail("c").await;
    assert!(one.rests("b").is_some() && one.rests("c").is_none());
    assert!(other.rests("c").is_some() && other.rests("b").is_none());
    server.restart().await;
    until("one knows", || one.rests("c").is_some()).await;
    until("the other knows", || other.rests("b").is_some()).await;
    let late = Instance::of(server.port()).await;
    until("who comes later knows all", || {
        ["a", "b", "c"].iter().all(|id| late.rests(id).is_some())
    })
    .await;
}

/// Four deployments, seen by one instance that shares its rests.
struct Instance {
    rig: Rig,
    deployments: Deployments,
    layer: CooldownLayer,
    driver: JoinHandle<()>,
}

impl Instance {
    async fn of(port: u16) -> Self {
        let deployments = ["a", "b", "c", "d"].map(|id| Deployment::new(id, "gpt", "m"));
        let deployments = Deployments::new(Snapshot::new(deployments));
        let policy = CooldownPolicy::new().cooldown_time(LONG);
        let layer = CooldownLayer::new(policy).deployments(deployments.clone());
        let rig = Rig::to(port);
        rig.is_up().await;
        let sharing = layer.share(RedisLog::cooldowns(rig.client.clone()));
        #[expect(clippy::disallowed_methods, reason = "a driver is spawned")]
        let driver = tokio::spawn(sharing);
        Self {
            rig,
            deployments,
            layer,
            driver,
        }
    }

    /// Lets a deployment fail, which rests it.
    async fn fail(&self, id: &str) {
        let failing =
            service_fn(async |_| Err::<&str, _>(Error::new(ErrorKind::NotFound, "no such model")));
        let snapshot = self.deployments.load();
        let deployment = snapshot.get(&id.into()).expect("is listed");
        let request = Routed::new("hi", Arc::clone(deployment));
        let answer = self.layer.layer(failing).oneshot(request).await;
        answer.expect_err("fails");
    }

    /// Until when it rests.
    fn rests(&self, id: &str) -> Option<Instant> {
        match self.layer.state(&id.into()) {
            State::Resting { until, .. } => Some(until),
            _ => None,
        }
    }

    fn left(&self, id: &str) -> Option<Duration> {
        Some(self.rests(id)?.saturating_duration_since(Instant::now()))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

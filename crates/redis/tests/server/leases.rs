//! Limits over several instances.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use tokio::task::JoinHandle;
use ziggurat_core::{UniqueId, Usage};
use ziggurat_rate_limit::{
    Actual, Charges, Cost, LeasedLimiter, Leasing, Limit, LimitKey, Limiter, Limits, Measure,
    MemoryLeases, Period, Rate, Settle, Window,
    lease::{LeasedPermit, SyncLimit, SyncRequest},
};
use ziggurat_redis::{Address, RedisConfig, RedisLeases};
use ziggurat_testkit::{
    leases,
    redis::{RedisCluster, RedisServer},
};

use crate::rig::{Rig, until, until_some};

#[tokio::test]
async fn one_server_does_what_every_store_does() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let rig = Rig::to(server.port());
    rig.is_up().await;
    leases::check(RedisLeases::new(rig.client.clone())).await;
}

#[tokio::test]
async fn a_cluster_does_what_every_store_does() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let rig = Rig::up(cluster_config(&cluster)).await;
    leases::check(RedisLeases::new(rig.client.clone())).await;
}

// ===== the model =====

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
struct Said {
    pause: u64,
    instance: usize,
    /// Whether it is new, told again because the answer was lost, or late.
    manner: Manner,
    knows: bool,
    lease: u64,
    limits: Vec<(usize, [u64; 8], bool, bool)>,
}

#[derive(Clone, Copy, Debug)]
enum Manner {
    New,
    Again,
    Late,
}

fn said() -> impl Strategy<Value = Said> {
    let pause = prop_oneof![
        4 => 0..50_u64,
        4 => 0..5_000_u64,
        2 => 0..100_000_u64,
        1 => 0..8_000_000_u64,
        1 => 0..40 * 86_400_000_u64,
    ];
    let manner =
        prop_oneof![8 => Just(Manner::New), 1 => Just(Manner::Again), 1 => Just(Manner::Late)];
    let limit = (
        0..8_usize,
        prop::array::uniform8(0..30_u64),
        any::<bool>(),
        prop::bool::weighted(0.1),
    );
    let limits = prop::collection::vec(limit, 1..4);
    let lease = prop_oneof![Just(5_000_u64), Just(100_u64)];
    (
        pause,
        0..NAMES.len(),
        manner,
        prop::bool::weighted(0.9),
        lease,
        limits,
    )
        .prop_map(|(pause, instance, manner, knows, lease, limits)| Said {
            pause,
            instance,
            manner,
            knows,
            lease,
            limits,
        })
}

fn limit(which: usize, amount: u64) -> Limit {
    let rate = |seconds| Rate::new(amount, Duration::from_secs(seconds)).expect("a valid period");
    let fixed = |period| Limit::new(Measure::Money, amount, Window::Fixed(period));
    match which {
        0 => rate(7).of(Measure::Requests),
        1 => rate(7).smooth().of(Measure::Tokens),
        2 => Limit::new(Measure::InFlight, amount, Window::AtOnce),
        3 => fixed(Period::Rolling(Duration::from_secs(30))),
        4 => fixed(Period::Day),
        5 => fixed(Period::Week),
        6 => fixed(Period::Month),
        _ => fixed(Period::Forever),
    }
}

#[test]
fn whatever_is_said_the_script_answers_as_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let Some(server) = runtime.block_on(RedisServer::start()) else {
        return;
    };
    let rig = runtime.block_on(async {
        let rig = Rig::to(server.port());
        rig.is_up().await;
        rig
    });
    let store = RedisLeases::new(rig.client);
    let all = (
        0..2_000_000_000_000_u64,
        prop::collection::vec(said(), 1..60),
    );
    proptest!(ProptestConfig::with_cases(64), |((start, all) in all)| {
        runtime.block_on(async {
            let model = MemoryLeases::new();
            let key = LimitKey::tenant(UniqueId::next().to_string());
            let mut now = 1_000_000_000 + start;
            let mut numbers = [0_u64; NAMES.len()];
            let mut batches = [0_u64; NAMES.len()];
            let mut born = 0;
            let mut places: Vec<u64> = vec![0];
            let mut resets = [0_u64; 8];
            for said in all {
                now += said.pause;
                let at = said.instance;
                match said.manner {
                    Manner::New => {
                        numbers[at] += 1;
                        batches[at] = numbers[at];
                    }
                    Manner::Again => numbers[at] += 1,
                    Manner::Late => {}
                }
                let mut limits: Vec<SyncLimit> = Vec::new();
                let mut asked = Vec::new();
                for (which, it, huge, is_reset) in &said.limits {
                    let scale = if *huge { 100_000_000_000_000 } else { 1 };
                    let limit = limit(*which, it[0] * scale);
                    if limits.iter().any(|other| other.limit.window() == limit.window()) {
                        continue;
                    }
                    let place = places[usize::try_from(it[7]).expect("is small") % places.len()];
                    asked.push(*which);
                    limits.push(SyncLimit {
                        limit,
                        hold: it[1] / 4 * scale,
                        used: it[2] / 4 * scale,
                        own: it[3] * scale,
                        refunds: if it[4] > 20 { vec![(place, it[4] - 20)] } else { Vec::new() },
                        ends: if it[4] > 10 { now + it[4] * 1_000 } else { 0 },
                        reset_at: if said.knows { resets[*which] } else { 0 },
                        resets: *is_reset,
                        least: it[5] * scale,
                        largest: it[6] * scale,
                        needed: it[5].max(it[6]) * scale,
                        stock: it[7] * scale,
                    });
                }
                let request = SyncRequest {
                    key: Some(key.clone()),
                    instance: Arc::from(NAMES[at]),
                    number: numbers[at],
                    batch: batches[at],
                    born: if said.knows { born } else { 0 },
                    lease: Duration::from_millis(said.lease),
                    limits,
                };
                let expected = model.sync_at(&request, now);
                let Ok(answer) = store.sync_at(&request, now).await else {
                    return Err(TestCaseError::reject("the machine is busy"));
                };
                prop_assert_eq!(answer, expected.clone(), "at {} to {:?}", now, request);
                born = expected.born;
                places.extend(expected.limits.iter().map(|it| it.place));
                for (which, it) in asked.into_iter().zip(&expected.limits) {
                    resets[which] = it.reset_at;
                }
            }
            Ok(())
        })?;
    });
}

// ===== instances =====

struct Instance {
    limiter: LeasedLimiter,
    driver: JoinHandle<()>,
}

/// Instances that share a server, each with its own connection.
async fn instances(config: &RedisConfig, number: usize) -> Vec<(Rig, Instance)> {
    let mut instances = Vec::new();
    for _ in 0..number {
        let rig = Rig::up(config.clone()).await;
        // Machines that run tests are busy.
        let leasing = Leasing::new().deadline(Duration::from_secs(5));
        let (limiter, driver) = leasing.lease(Duration::from_secs(1)).build();
        let store = RedisLeases::new(rig.client.clone());
        #[expect(clippy::disallowed_methods, reason = "a driver is spawned")]
        let driver = tokio::spawn(driver.run(store));
        instances.push((rig, Instance { limiter, driver }));
    }
    instances
}

fn charges(limits: &Limits) -> Charges {
    let charges = Charges::none().on(LimitKey::tenant("alice"), limits.clone());
    charges.with_cost(Cost::new(0, Some(10)))
}

async fn ask(instance: &Instance, limits: &Limits) -> Option<LeasedPermit> {
    instance.limiter.acquire(&charges(limits)).await.ok()
}

const NOTHING: Actual = Actual::Complete {
    usage: Usage::new(0, 0),
    money: None,
};

const USED: Actual = Actual::Complete {
    usage: Usage::new(0, 10),
    money: None,
};

fn cluster_config(cluster: &RedisCluster) -> RedisConfig {
    let node = Address::new("127.0.0.1", cluster.nodes()[0].port());
    RedisConfig::cluster([node]).expect("has a server")
}

#[tokio::test]
async fn of_forty_at_once_on_four_instances_three_pass_and_places_come_back() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let config = RedisConfig::from_url(&server.url()).expect("a URL");
    let instances = instances(&config, 4).await;
    let limits = Limits::none().with_in_flight(3);
    for _ in 0..5 {
        let asked = (0..40).map(|at| ask(&instances[at % 4].1, &limits));
        let permits = futures_util::future::join_all(asked).await;
        let permits: Vec<_> = permits.into_iter().flatten().collect();
        assert_eq!(permits.len(), 3);
        drop(permits);
        // All are found again, wherever they were.
        until_some("three places are free", || async {
            let one = ask(&instances[0].1, &limits).await?;
            let two = ask(&instances[1].1, &limits).await?;
            let three = ask(&instances[2].1, &limits).await?;
            drop((one, two, three));
            Some(())
        })
        .await;
    }
    // One dies with all places.
    let (_rig, dead) = &instances[3];
    let held = until_some("three places are free", || async {
        let one = ask(dead, &limits).await?;
        let two = ask(dead, &limits).await?;
        Some([one, two, ask(dead, &limits).await?])
    })
    .await;
    dead.driver.abort();
    assert!(
        ask(&instances[0].1, &limits).await.is_none(),
        "its lease has not expired"
    );
    until_some("its lease has expired", || ask(&instances[0].1, &limits)).await;
    drop(held);
}

#[tokio::test]
async fn a_server_that_has_forgotten_everything_is_told_again() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let config = RedisConfig::from_url(&server.url()).expect("a URL");
    let instances = instances(&config, 2).await;
    let limits = Limits::none().with_tokens(Rate::per_minute(400));
    for _ in 0..10 {
        for (_, instance) in &instances {
            let mut permit = ask(instance, &limits).await.expect("there is room");
            permit.settle(USED);
        }
    }
    server.kill();
    for (rig, _) in &instances {
        rig.is_down().await;
    }
    // Of a share of 200 half is used.
    for (_, instance) in &instances {
        until("the instance knows", || !instance.limiter.is_up()).await;
        for _ in 0..5 {
            let mut permit = ask(instance, &limits).await.expect("there is a share");
            permit.settle(USED);
        }
    }
    server.restart().await;
    for (rig, instance) in &instances {
        rig.is_up().await;
        until("the instance knows", || instance.limiter.is_up()).await;
    }
    // The other one has used 150 as well.
    let charges = charges(&limits);
    let charge = charges.iter().next().expect("there is one");
    for (_, instance) in &instances {
        until_some("all is known again", || async {
            drop(ask(instance, &limits).await?);
            let left = instance.limiter.left(charge, tokio::time::Instant::now());
            (left[0].used == 300).then_some(())
        })
        .await;
    }
}

/// How much a server has written, or has of what its master wrote.
async fn offset(server: &RedisServer, name: &str) -> Option<u64> {
    let info = server.command(&["INFO", "replication"]).await.ok()?;
    let mut lines = info.lines();
    lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test]
async fn a_replica_that_takes_over_goes_on_with_the_limits() {
    let Some(cluster) = RedisCluster::start_with_replicas().await else {
        return;
    };
    let instances = instances(&cluster_config(&cluster), 2).await;
    // Longer than a busy machine takes.
    let an_hour = Rate::new(400, Duration::from_secs(3_600)).expect("is a rate");
    let plenty = Rate::new(1_000, Duration::from_secs(3_600)).expect("is a rate");
    let limits = Limits::none().with_tokens(an_hour).with_requests(plenty);
    let charges = charges(&limits);
    let charge = charges.iter().next().expect("there is one");
    let used_of = |measure: Measure, instance: &Instance| {
        let now = tokio::time::Instant::now();
        let left = instance.limiter.left(charge, now);
        let left = left.iter().find(|it| it.limit.measure() == measure);
        left.expect("is limited").used
    };
    let used = |instance: &Instance| used_of(Measure::Tokens, instance);
    for _ in 0..10 {
        for (_, instance) in &instances {
            let mut permit = ask(instance, &limits).await.expect("there is room");
            permit.settle(USED);
        }
    }
    for (_, instance) in &instances {
        until_some("all is known", || async {
            drop(ask(instance, &limits).await?);
            (used(instance) == 200).then_some(())
        })
        .await;
    }
    let key = instances[0]
        .0
        .client
        .key("limit", &charge.key().to_string());
    let place = cluster.place_of(&key).await;
    let (master, replica) = (&cluster.nodes()[place], &cluster.replicas()[place]);
    let written = offset(master, "master_repl_offset:").await;
    until_some("the replica has all", || async {
        (offset(replica, "slave_repl_offset:").await >= written).then_some(())
    })
    .await;

    master.kill();
    until_some("the replica takes over", || async {
        let info = replica.command(&["INFO", "replication"]).await.ok()?;
        info.contains("role:master").then_some(())
    })
    .await;
    for (rig, instance) in &instances {
        rig.is_up().await;
        until("the instance knows", || instance.limiter.is_up()).await;
    }
    // Until each has spoken of this key to the replica it decides by its share.
    for (_, instance) in &instances {
        let mut permit = ask(instance, &limits).await.expect("there is room");
        permit.settle(NOTHING);
    }
    for (_, instance) in &instances {
        until_some("each hears of the other", || async {
            drop(ask(instance, &limits).await?);
            (used_of(Measure::Requests, instance) == 22).then_some(())
        })
        .await;
    }
    // Half of the limit is left, wherever it is asked for, and the other half is not forgotten.
    let mut passed = 0;
    until_some("all is used", async || {
        for (_, instance) in &instances {
            while let Some(mut permit) = ask(instance, &limits).await {
                permit.settle(USED);
                passed += 1;
            }
        }
        let known = instances.iter().all(|(_, instance)| used(instance) == 400);
        known.then_some(())
    })
    .await;
    assert_eq!(passed, 20);
}

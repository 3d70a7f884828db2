//! What a round trip to a `redis-server` on the loopback costs: a script, and what stores do with one.
//!
//! Run with `cargo bench -p ziggurat-redis`. Where there is no `redis-server`, it says so and ends.

use std::{
    pin::pin,
    process::{Command, Stdio},
    sync::{Arc, LazyLock, OnceLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use divan::{Bencher, black_box};
use tokio::runtime::{Builder, Runtime};
use ziggurat_cache::{CacheKey, CacheStore, Entry, SemanticStore, Threshold, Vector};
use ziggurat_core::Usage;
use ziggurat_priority_queue::parts::{Demand, PartStore, Report, Told};
use ziggurat_rate_limit::{
    Actual, Charges, Cost, LeaseStore, LeasedLimiter, Leasing, LimitKey, Limiter, Limits, Measure,
    Rate, Settle,
    lease::{SyncLimit, SyncRequest},
};
use ziggurat_redis::{
    Address, RedisCache, RedisClient, RedisConfig, RedisLeases, RedisParts, RedisSemantic,
    RedisUsage, Script,
};
use ziggurat_testkit::redis::RedisServer;
use ziggurat_usage::{Minute, Row, Subject, Tally, UsageStore};

static COUNT: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])"));

static BENCH: OnceLock<Bench> = OnceLock::new();

/// A server, and who calls it. The driver has a thread of its own, as it has beside requests.
struct Bench {
    runtime: Runtime,
    client: RedisClient,
}

const LONG: Duration = Duration::from_secs(3_600);

fn main() {
    let mut asked = Command::new("redis-server");
    asked.arg("--version").stdout(Stdio::null());
    if !asked.status().is_ok_and(|it| it.success()) {
        println!("skipped: there is no `redis-server`");
        return;
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime is made");
    let Some(server) = runtime.block_on(RedisServer::start()) else {
        return;
    };
    let config = RedisConfig::single(Address::new("127.0.0.1", server.port()));
    let config = config.with_deadline(Duration::from_secs(1));
    let (client, driver) = RedisClient::new(config.expect("is over zero"));
    runtime.spawn(driver.run());
    runtime.block_on(async {
        let mut health = client.watch();
        let up = health.wait_for(|it| it.is_up()).await;
        drop(up.expect("the driver runs"));
    });
    let _ = BENCH.set(Bench { runtime, client });
    divan::main();
}

fn bench() -> &'static Bench {
    BENCH.get().expect("is set before anything is measured")
}

impl Bench {
    /// Measures a call, which must answer.
    fn run<T>(&self, bencher: Bencher<'_, '_>, call: impl AsyncFn() -> Option<T>) {
        bencher.bench_local(|| {
            let answer = self.runtime.block_on(async { call().await });
            assert!(black_box(answer).is_some(), "the server answers");
        });
    }

    /// Calls until there is an answer.
    fn until<T>(&self, call: impl AsyncFn() -> Option<T>) {
        self.runtime.block_on(async {
            while call().await.is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
}

#[divan::bench]
fn script(bencher: Bencher<'_, '_>) {
    let it = bench();
    let key = [it.client.key("bench", "count")];
    let args = [1_i64.into()];
    it.run(bencher, async || {
        it.client.run(&COUNT, &key, &args).await.ok()
    });
}

/// What a request pays for the limits on its keys while enough is leased: nothing is waited for.
#[divan::bench(args = [1, 3])]
fn limits_of_a_request(bencher: Bencher<'_, '_>, keys: usize) {
    const PLENTY: u64 = 1 << 50;
    let it = bench();
    let (limiter, driver) = Leasing::new().build();
    it.runtime
        .spawn(driver.run(RedisLeases::new(it.client.clone())));
    let _context = it.runtime.enter();
    let limits = Limits::none()
        .with_requests(Rate::per_minute(PLENTY))
        .with_tokens(Rate::per_minute(PLENTY))
        .with_in_flight(u32::MAX);
    let names = ["key", "team", "user"];
    let charges = names[..keys].iter().fold(Charges::none(), |charges, name| {
        charges.on(LimitKey::tenant(*name), limits.clone())
    });
    let charges = charges.with_cost(Cost::new(100, Some(100)));
    let mut in_a_row = 0;
    while in_a_row < 100_000 {
        in_a_row = if passes(&limiter, &charges) {
            in_a_row + 1
        } else {
            0
        };
    }
    bencher.bench_local(|| passes(&limiter, &charges));
}

/// Whether a request passed without waiting.
fn passes(limiter: &LeasedLimiter, charges: &Charges) -> bool {
    let acquire = pin!(limiter.acquire(charges));
    match acquire.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(mut permit)) => {
            permit.settle(Actual::Complete {
                usage: Usage::new(100, 80),
                money: None,
            });
            true
        }
        Poll::Ready(Err(_)) | Poll::Pending => false,
    }
}

/// What the driver of the leases does in the background for a key with so many limits.
#[divan::bench(args = [1, 3])]
fn lease_sync(bencher: Bencher<'_, '_>, limits: usize) {
    let it = bench();
    let store = RedisLeases::new(it.client.clone());
    let measures = [Measure::Requests, Measure::Tokens, Measure::InputTokens];
    let limit = |measure| SyncLimit {
        hold: 1_000,
        used: 1_000,
        least: 1,
        largest: 1,
        needed: 1,
        stock: 1_000,
        ..SyncLimit::new(Rate::per_minute(1 << 50).of(measure))
    };
    let mut request = SyncRequest {
        key: Some(LimitKey::tenant(format!("sync-{limits}"))),
        instance: "bench".into(),
        number: 0,
        batch: 0,
        born: 0,
        lease: LONG,
        limits: measures[..limits].iter().copied().map(limit).collect(),
    };
    bencher.bench_local(|| {
        request.number += 1;
        request.batch = request.number;
        let reply = it.runtime.block_on(store.sync(&request));
        request.born = reply.expect("the server answers").born;
    });
}

#[divan::bench(args = [1_000, 100_000])]
fn cache_get(bencher: Bencher<'_, '_>, bytes: usize) {
    let it = bench();
    let (cache, writes) = RedisCache::new(it.client.clone());
    it.runtime.spawn(writes.run());
    let key = CacheKey::from_bytes([bytes as u8; 32]);
    cache.put(key, Arc::new(Entry::whole(vec![b'x'; bytes])), LONG);
    it.until(async || cache.get(&key).await);
    it.run(bencher, async || cache.get(&key).await);
}

#[divan::bench(args = [2, 40, 400])]
fn usage_push(bencher: Bencher<'_, '_>, rows: u32) {
    let it = bench();
    let store = RedisUsage::new(it.client.clone());
    let row = |n: u32| {
        let minute = Minute::new(29_000_000 + u64::from(n % 2));
        let subject = Subject::Group(format!("group-{}", n / 2).into());
        Row::new(subject, minute, Tally::default())
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    it.run(bencher, async || {
        store.push("bench", rows.clone()).await.ok()
    });
}

#[divan::bench(args = [1, 10])]
fn parts_exchange(bencher: Bencher<'_, '_>, instances: u32) {
    let it = bench();
    let store = RedisParts::new(it.client.clone());
    let demand = |level| Demand {
        level,
        weight: 1,
        head: -1_000,
        fresh: 0,
        first: 1,
        units: 100,
    };
    let report = Report {
        in_use: 1,
        demands: (0..3).map(demand).collect(),
        ..Report::default()
    };
    let told = Told {
        whole: 100,
        wants: 10,
        report,
    };
    for other in 1..instances {
        let name = format!("other-{other}");
        it.until(async || {
            let told = told.clone();
            store.exchange(&name, Some("gate"), told, LONG).await
        });
    }
    it.run(bencher, async || {
        let told = told.clone();
        store.exchange("bench", Some("gate"), told, LONG).await
    });
}

/// A search in a partition of which all is known.
#[divan::bench(args = [10, 1_000])]
fn semantic_nearest(bencher: Bencher<'_, '_>, questions: usize) {
    const NUMBERS: usize = 1_536;
    let it = bench();
    let (store, writes) = RedisSemantic::new(it.client.clone());
    it.runtime.spawn(writes.run());
    let partition = CacheKey::from_bytes([questions as u8; 32]);
    let at = |place: usize| {
        let mut numbers = vec![0.0; NUMBERS];
        numbers[place] = 1.0;
        Vector::new(numbers).expect("is one")
    };
    let threshold = Threshold::new(0.95).expect("is one");
    for n in 0..questions {
        store.put(partition, at(n), Arc::new(Entry::whole("x")), LONG);
    }
    for n in [0, questions - 1] {
        it.until(async || store.nearest(&partition, &at(n), threshold, None).await);
    }
    let last = at(questions - 1);
    it.run(bencher, async || {
        store.nearest(&partition, &last, threshold, None).await
    });
}

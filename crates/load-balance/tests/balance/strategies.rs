//! What strategies make of many requests.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{Error, ErrorKind, LlmRequest, LlmResponse, ProviderLimits, Quota};
use ziggurat_load_balance::{
    ByGroup, ConsistentHash, CostBased, Headroom, LatencyBased, LeastBusy, LoadBalanceLayer, P2c,
    Prequal, RoundRobin, SimpleShuffle, Strategy, UsageBased,
};

use crate::{
    support::{Sent, member},
    world::{Asked, drive, equal, millis, request, shares},
};

type Any = Arc<dyn Strategy<LlmRequest>>;

/// Every strategy that looks at how deployments do.
fn attentive() -> [(&'static str, Any); 6] {
    [
        ("least-busy", Arc::new(LeastBusy)),
        ("usage-based", Arc::new(UsageBased)),
        // Latencies vary by much in these tests; without a buffer, chance would decide for a while
        // which of several equal ones is the quickest.
        (
            "latency-based",
            Arc::new(LatencyBased::new().lowest_latency_buffer(1.0)),
        ),
        ("p2c", Arc::new(P2c::new())),
        ("prequal", Arc::new(Prequal::new())),
        ("headroom", Arc::new(Headroom)),
    ]
}

fn all() -> impl Iterator<Item = (&'static str, Any)> {
    let others: [(_, Any); 5] = [
        ("simple-shuffle", Arc::new(SimpleShuffle)),
        ("round-robin", Arc::new(RoundRobin)),
        ("cost-based", Arc::new(CostBased)),
        ("consistent-hash", Arc::new(ConsistentHash::new())),
        ("by-group", Arc::new(ByGroup::new(LeastBusy))),
    ];
    attentive().into_iter().chain(others)
}

/// A caller who mostly waits for the end.
fn mostly_patient() -> Duration {
    if fastrand::u32(..10) == 0 {
        millis(fastrand::u64(..100))
    } else {
        Duration::from_secs(60)
    }
}

fn patient() -> Duration {
    Duration::from_secs(60)
}

#[tokio::test(start_paused = true)]
async fn equal_deployments_get_equal_shares_with_cancels_and_errors_mixed_in() {
    fastrand::seed(20);
    for (name, strategy) in all() {
        let layer = LoadBalanceLayer::new(equal(&["a", "b", "c"]), strategy);
        let does = |_: &str| {
            let result = match fastrand::u32(..100) {
                0..4 => Err(ErrorKind::Internal),
                4 => Err(ErrorKind::BadRequest),
                _ => Ok(()),
            };
            (millis(fastrand::u64(20..120)), result)
        };
        let asked = drive(&layer, 10_000, millis(5), mostly_patient, does).await;
        let shares = shares(&asked, ["a", "b", "c"]);
        // Prequal goes by the latest medians, which differ by chance for seconds.
        let off = if name == "prequal" { 0.05 } else { 0.03 };
        for share in shares {
            assert!((share - 1.0 / 3.0).abs() < off, "{name}: {shares:?}");
        }
        for id in ["a", "b", "c"] {
            assert_eq!(layer.in_flight(&id.into()), 0, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_429_in_a_millisecond_gets_few_requests() {
    fastrand::seed(21);
    for (name, strategy) in attentive() {
        let layer = LoadBalanceLayer::new(equal(&["a", "b", "c"]), strategy);
        let does = |id: &str| match id {
            "b" => (millis(1), Err(ErrorKind::RateLimited)),
            _ => (millis(100), Ok(())),
        };
        let asked = drive(&layer, 5_000, millis(5), patient, does).await;
        let [_, share, _] = shares(&asked, ["a", "b", "c"]);
        assert!(share < 0.01, "{name}: {share}");
        assert!(share > 0.0, "{name}: it is tried again");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_starved() {
    fastrand::seed(22);
    for (name, strategy) in all() {
        let layer = LoadBalanceLayer::new(equal(&["a", "b", "c", "d"]), strategy);
        let does = |id: &str| match id {
            "a" => (millis(20), Ok(())),
            "b" => (millis(60), Ok(())),
            "c" => (millis(300), Ok(())),
            _ => (millis(50), Err(ErrorKind::Internal)),
        };
        let asked = drive(&layer, 10_000, millis(30), patient, does).await;
        let shares = shares(&asked, ["a", "b", "c", "d"]);
        assert!(
            shares.iter().all(|share| *share >= 0.000_5),
            "{name}: {shares:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_is_not_avoided_once_it_has_recovered() {
    fastrand::seed(23);
    for (name, strategy) in attentive() {
        let layer = LoadBalanceLayer::new(equal(&["a", "b"]), strategy);
        let start = Instant::now();
        let does = |id: &str| match id {
            "b" if start.elapsed() < Duration::from_secs(60) => {
                (millis(5), Err(ErrorKind::Internal))
            }
            _ => (millis(50), Ok(())),
        };
        drive(&layer, 3_500, millis(20), patient, does).await;
        let asked = drive(&layer, 4_000, millis(20), patient, does).await;
        let [_, share] = shares(&asked, ["a", "b"]);
        assert!(share > 0.25, "{name}: {share}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_deployment_gets_less_from_those_who_look_at_speed() {
    fastrand::seed(24);
    let quick: [(&str, Any, f64); 4] = [
        ("least-busy", Arc::new(LeastBusy), 0.2),
        ("latency-based", Arc::new(LatencyBased::new()), 0.05),
        ("p2c", Arc::new(P2c::new()), 0.05),
        ("prequal", Arc::new(Prequal::new()), 0.2),
    ];
    for (name, strategy, most) in quick {
        let layer = LoadBalanceLayer::new(equal(&["a", "b", "c"]), strategy);
        let does = |id: &str| {
            let base = if id == "c" { 1_000 } else { 100 };
            (millis(base + fastrand::u64(..base / 2)), Ok(()))
        };
        let asked = drive(&layer, 10_000, millis(10), patient, does).await;
        let [.., share] = shares(&asked, ["a", "b", "c"]);
        assert!(share < most, "{name}: {share}");
    }
}

#[tokio::test(start_paused = true)]
async fn weights_are_kept_within_three_standard_deviations() {
    fastrand::seed(25);
    let weights = [("a", 5.0), ("b", 3.0), ("c", 1.0), ("d", 0.0)];
    let members = weights.map(|(id, weight)| member(id).with_weight(weight));
    let layer = LoadBalanceLayer::new(members.into_iter().collect(), SimpleShuffle);
    let fine = |_: &str| (millis(1), Ok(()));
    let asked = drive(&layer, 10_000, millis(1), mostly_patient, fine).await;
    let found = shares(&asked, ["a", "b", "c", "d"]);
    for (found, (id, weight)) in found.into_iter().zip(weights) {
        let p = weight / 9.0;
        let deviation = (p * (1.0 - p) / 10_000.0).sqrt();
        assert!(
            (found - p).abs() <= 3.0 * deviation,
            "{id}: {found}, not {p}"
        );
    }
}

/// A provider with a limit of requests a minute, which it tells.
struct Limited {
    limit: u64,
    used: u64,
    window: Instant,
}

impl Limited {
    fn new(limit: u64) -> Self {
        Self {
            limit,
            used: 0,
            window: Instant::now(),
        }
    }

    fn answer(&mut self) -> Result<LlmResponse, Error> {
        let minute = Duration::from_secs(60);
        if self.window.elapsed() >= minute {
            (self.used, self.window) = (0, Instant::now());
        }
        if self.used == self.limit {
            return Err(Error::new(ErrorKind::RateLimited, "slow down"));
        }
        self.used += 1;
        let quota = Quota {
            limit: self.limit,
            remaining: self.limit - self.used,
            resets_at: Some(self.window + minute),
        };
        let limits = ProviderLimits {
            requests: Some(quota),
            tokens: None,
        };
        Ok(LlmResponse::complete("fine", None).with_provider_limits(limits))
    }
}

#[tokio::test(start_paused = true)]
async fn limits_that_only_the_providers_know_are_not_run_into() {
    fastrand::seed(26);
    let layer = LoadBalanceLayer::new(equal(&["small", "large"]), Headroom);
    let [small, large] = [100, 1_000].map(|limit| Arc::new(Mutex::new(Limited::new(limit))));
    let asked = Asked::default();
    let stack = layer.layer(service_fn(|sent: Sent| {
        let id = sent.deployment().id().to_string();
        let provider = if id == "small" { &small } else { &large };
        let answer = provider.lock().answer();
        *asked.lock().entry(id).or_default() += 1;
        async move { answer }
    }));
    let mut refused = 0;
    for number in 0..4_800 {
        // 960 a minute, of 1,100.
        tokio::time::advance(Duration::from_micros(62_500)).await;
        let answer = stack.clone().oneshot(request(number, false)).await;
        refused += u32::from(answer.is_err());
    }
    assert!(refused <= 48, "{refused}");
    let [small, _] = shares(&asked, ["small", "large"]);
    assert!((0.07..0.13).contains(&small), "{small}");
}

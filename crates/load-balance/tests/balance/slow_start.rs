//! A deployment that comes back from a rest.

use std::{sync::Arc, time::Duration};

use futures_util::future::pending;
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use ziggurat_core::{
    Deployments, Error, ErrorKind, LlmRequest, LlmResponse, Operation, Reason, Rejection, Scope,
};
use ziggurat_load_balance::{
    Affinity, AffinityKind, ByGroup, ConsistentHash, CostBased, Headroom, LatencyBased, LeastBusy,
    LoadBalanceLayer, P2c, Pins, Prequal, RoundRobin, SimpleShuffle, Strategy, UsageBased,
};

use crate::{
    support::{Sent, in_order, member, refused},
    world::{equal, request},
};

/// How many requests are looked at, each of a user of its own.
const PICKS: u32 = 6_000;

/// What a deployment does with one request.
#[derive(Clone, Copy)]
enum Does {
    Answers,
    Fails(ErrorKind),
    Refuses(Reason),
}

/// Sends a request for a model, or a deployment by its id, that meets this.
async fn send<P, A>(layer: &LoadBalanceLayer<P, (), A>, request: LlmRequest, does: Does)
where
    P: Strategy<LlmRequest>,
    A: Affinity<LlmRequest>,
{
    let stack = layer.layer(service_fn(|_: Sent| async move {
        match does {
            Does::Answers => Ok(LlmResponse::complete("fine", None)),
            Does::Fails(kind) => Err(Error::new(kind, "broken")),
            Does::Refuses(reason) => Err(refused(Rejection::new(reason, Scope::Deployment))),
        }
    }));
    let _ = stack.oneshot(request).await;
}

/// A deployment rests, and then answers.
async fn comes_back<P, A>(layer: &LoadBalanceLayer<P, (), A>, id: &str)
where
    P: Strategy<LlmRequest>,
    A: Affinity<LlmRequest>,
{
    let by_id = || LlmRequest::chat(id, "hello");
    send(layer, by_id(), Does::Refuses(Reason::Cooldown)).await;
    advance(Duration::from_millis(300)).await;
    assert_eq!(layer.stats(&id.into()).slow_start, None);
    send(layer, by_id(), Does::Answers).await;
    assert_eq!(percent(layer, id), Some(10));
}

fn percent<P, F, A>(layer: &LoadBalanceLayer<P, F, A>, id: &str) -> Option<u8> {
    layer.stats(&id.into()).slow_start.map(|it| it.percent)
}

fn requests(count: u32) -> Vec<LlmRequest> {
    (0..count).map(|user| request(user, false)).collect()
}

/// What part of some requests would go to a deployment.
fn part<P>(layer: &LoadBalanceLayer<P>, id: &str, requests: &[LlmRequest]) -> f64
where
    P: Strategy<LlmRequest>,
{
    let chosen = requests.iter().map(|request| layer.choose(request));
    let picked = chosen.filter(|it| it.as_ref().expect("one is there").id().as_str() == id);
    picked.count() as f64 / requests.len() as f64
}

type Any = Arc<dyn Strategy<LlmRequest>>;

#[tokio::test(start_paused = true)]
async fn with_every_strategy_the_share_grows_from_a_tenth_to_the_whole() {
    fastrand::seed(41);
    let strategies: [(_, Any); 11] = [
        ("simple-shuffle", Arc::new(SimpleShuffle)),
        ("round-robin", Arc::new(RoundRobin)),
        ("least-busy", Arc::new(LeastBusy)),
        ("usage-based", Arc::new(UsageBased)),
        ("headroom", Arc::new(Headroom)),
        ("latency-based", Arc::new(LatencyBased::new())),
        ("p2c", Arc::new(P2c::new())),
        ("prequal", Arc::new(Prequal::new())),
        ("cost-based", Arc::new(CostBased)),
        ("consistent-hash", Arc::new(ConsistentHash::new())),
        ("by-group", Arc::new(ByGroup::new(SimpleShuffle))),
    ];
    let requests = requests(PICKS);
    for (name, strategy) in strategies {
        let slow = LoadBalanceLayer::new(equal(&["a", "b"]), Arc::clone(&strategy));
        let whole = LoadBalanceLayer::new(equal(&["a", "b"]), strategy).slow_start(Duration::ZERO);
        for layer in [&slow, &whole] {
            let by_id = |id| LlmRequest::chat(id, "hello");
            send(layer, by_id("a"), Does::Refuses(Reason::Cooldown)).await;
            send(layer, by_id("b"), Does::Refuses(Reason::Unhealthy)).await;
        }
        advance(Duration::from_millis(300)).await;
        for layer in [&slow, &whole] {
            // So that both have been measured, and used equally; `b` has been back for long.
            send(layer, LlmRequest::chat("b", "hello"), Does::Answers).await;
        }
        advance(Duration::from_secs(30)).await;
        for layer in [&slow, &whole] {
            send(layer, LlmRequest::chat("a", "hello"), Does::Answers).await;
        }
        for seconds in [0_u32, 10, 20, 30] {
            let part = part(&slow, "a", &requests) / part(&whole, "a", &requests);
            let ramp = 0.1 + 0.03 * f64::from(seconds);
            assert!(
                (part - ramp).abs() <= 0.05,
                "{name} after {seconds} s: {part}"
            );
            advance(Duration::from_secs(10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_again_begins_anew() {
    fastrand::seed(42);
    let layer = LoadBalanceLayer::new(equal(&["a", "b"]), SimpleShuffle);
    comes_back(&layer, "a").await;
    advance(Duration::from_secs(20)).await;
    assert_eq!(percent(&layer, "a"), Some(70));
    let by_id = || LlmRequest::chat("a", "hello");
    send(&layer, by_id(), Does::Fails(ErrorKind::BadRequest)).await;
    assert_eq!(percent(&layer, "a"), Some(70), "it is not to blame");
    send(&layer, by_id(), Does::Fails(ErrorKind::Internal)).await;
    assert_eq!(percent(&layer, "a"), Some(10));
    let stats = layer.stats(&"a".into());
    assert_eq!(stats.slow_start.map(|it| it.since), Some(Instant::now()));
    let part = 2.0 * part(&layer, "a", &requests(PICKS));
    assert!((part - 0.1).abs() <= 0.05, "{part}");
    advance(Duration::from_secs(10)).await;
    comes_back(&layer, "a").await;
    advance(Duration::from_secs(30)).await;
    assert_eq!(percent(&layer, "a"), None);
}

#[tokio::test(start_paused = true)]
async fn before_it_has_answered_one_request_tries_it_and_few_besides() {
    fastrand::seed(43);
    let layer = LoadBalanceLayer::new(equal(&["a", "b"]), SimpleShuffle);
    let rests = Does::Refuses(Reason::Cooldown);
    send(&layer, LlmRequest::chat("a", "hello"), rests).await;
    advance(Duration::from_millis(300)).await;
    let requests = requests(PICKS);
    let twice = 2.0 * part(&layer, "a", &requests);
    assert!((twice - 1.0).abs() <= 0.05, "{twice}");
    let mut stack = layer.layer(service_fn(|_: Sent| {
        pending::<Result<LlmResponse, Error>>()
    }));
    let mut probe = task::spawn(stack.call(LlmRequest::chat("a", "hello")));
    assert_pending!(probe.poll());
    let part = 2.0 * part(&layer, "a", &requests);
    assert!((part - 0.1).abs() <= 0.05, "{part}");
}

#[tokio::test(start_paused = true)]
async fn it_serves_all_where_there_is_no_other() {
    let requests = requests(100);
    let alone = LoadBalanceLayer::new(equal(&["a"]), SimpleShuffle);
    comes_back(&alone, "a").await;
    assert_eq!(part(&alone, "a", &requests), 1.0);

    let refusing = LoadBalanceLayer::new(equal(&["a", "b"]), SimpleShuffle);
    comes_back(&refusing, "a").await;
    let limited = Does::Refuses(Reason::RateLimited);
    send(&refusing, LlmRequest::chat("b", "hello"), limited).await;
    assert_eq!(part(&refusing, "a", &requests), 1.0);

    let failing = LoadBalanceLayer::new(equal(&["a", "b"]), LeastBusy);
    comes_back(&failing, "a").await;
    let fails = Does::Fails(ErrorKind::Internal);
    send(&failing, LlmRequest::chat("b", "hello"), fails).await;
    assert_eq!(part(&failing, "a", &requests), 1.0);
}

#[tokio::test(start_paused = true)]
async fn where_all_come_back_at_once_each_gets_its_share() {
    fastrand::seed(44);
    let layer = LoadBalanceLayer::new(equal(&["a", "b", "c"]), SimpleShuffle);
    for id in ["a", "b", "c"] {
        comes_back(&layer, id).await;
    }
    let part = part(&layer, "b", &requests(PICKS));
    assert!((part - 1.0 / 3.0).abs() <= 0.02, "{part}");
}

#[tokio::test(start_paused = true)]
async fn those_of_a_higher_order_serve_what_it_does_not() {
    fastrand::seed(45);
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    comes_back(&layer, "a").await;
    advance(Duration::from_secs(10)).await;
    let part = part(&layer, "a", &requests(PICKS));
    assert!((part - 0.4).abs() <= 0.02, "{part}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_pinned_to_it_stays() {
    let pins = Pins::new([AffinityKind::Session]);
    let deployments = Deployments::from_iter([member("a"), member("b")]);
    let layer = LoadBalanceLayer::new(deployments, SimpleShuffle).affinity(pins);
    let turn = || {
        let body = r#"{"model":"gpt","metadata":{"session_id":"s"}}"#;
        LlmRequest::from_bytes(Operation::ChatCompletions, body).expect("is valid")
    };
    send(&layer, turn(), Does::Answers).await;
    let home = layer.choose(&turn()).expect("there is one");
    comes_back(&layer, home.id().as_str()).await;
    for _ in 0..100 {
        let chosen = layer.choose(&turn()).expect("there is one");
        assert_eq!(chosen.id(), home.id());
    }
}

#[tokio::test(start_paused = true)]
async fn operators_see_it_and_may_end_it() {
    let layer = LoadBalanceLayer::new(equal(&["a"]), SimpleShuffle);
    comes_back(&layer, "a").await;
    advance(Duration::from_secs(10)).await;
    let explanation = layer.explain(&request(0, false)).expect("there is a group");
    assert_eq!(
        explanation.to_string(),
        "`gpt`: 1 of 1 deployments may serve\n\
         > a: may serve, in slow start, 40 %, would be chosen now\n"
    );
    let shown = explanation.members()[0].slow_start().map(|it| it.percent);
    assert_eq!(shown, Some(40));
    layer.for_each_member("gpt", |_, stats| {
        assert_eq!(stats.slow_start.map(|it| it.percent), Some(40));
    });
    layer.reset_refusals();
    assert_eq!(percent(&layer, "a"), None);
}

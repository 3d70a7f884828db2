//! Whoever hangs up leaves nothing behind, wherever the request is.

use futures_util::StreamExt as _;
use serde_json::json;
use tokio::time::sleep;
use tower::ServiceExt as _;
use ziggurat::{ErrorKind, LlmRequest, LlmResponse, Outcome, Router, cooldown::State};
use ziggurat_testkit::contract::Watched;

use crate::stack::{
    leaf::{Leaf, Step},
    support::{gpt, ledger, request, router, secs, send, streamed},
};

/// One turn in the queue, and one place at each deployment: what leaks blocks the next request.
const NARROW: &str = "ziggurat_settings: {deadline: 60, queue: {capacity: 1}}";
const ONE: [(&str, &[&str]); 1] = [("gpt", &["a max_parallel_requests: 1"])];
const TWO: [(&str, &[&str]); 2] = [
    (
        "gpt",
        &["a max_parallel_requests: 1", "b max_parallel_requests: 1"],
    ),
    ("claude", &["c max_parallel_requests: 1"]),
];

/// Nothing runs, nothing is counted, and the next request is served at once.
async fn assert_idle(leaf: &Leaf, router: &Router, when: &str) {
    assert_eq!((router.in_flight(), leaf.live()), (0, 0), "{when}");
    for id in ["a", "b", "c"] {
        leaf.always(id, Step::ok());
    }
    for model in ["gpt", "gpt", "claude"] {
        if router.deployments().load().resolve(model).is_some() {
            let sent = send(router, request(model, json!({}))).await;
            assert!(sent.is_ok(), "{when}: {:?}", sent.result);
            assert!(sent.took < secs(1), "{when}: {:?}", sent.took);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_up_in_the_queue_leaves_nothing() {
    let leaf = Leaf::default();
    leaf.always("a", Step::hang());
    let router = router(&leaf, &ONE, NARROW);
    let mut holder = Watched::new(router.clone().oneshot(gpt()));
    let mut waiting = Watched::new(router.clone().oneshot(gpt()));
    assert!(holder.within(secs(1)).await.is_err());
    assert!(waiting.within(secs(1)).await.is_err());
    assert_eq!((router.in_flight(), leaf.count()), (1, 1));
    drop(waiting);
    assert_eq!(router.in_flight(), 1);
    drop(holder);
    assert_idle(&leaf, &router, "in the queue").await;
}

#[tokio::test(start_paused = true)]
async fn hanging_up_just_as_the_turn_comes_passes_it_on() {
    let leaf = Leaf::default();
    leaf.script("a", [Step::hang()]);
    let router = router(&leaf, &ONE, NARROW);
    let mut holder = Watched::new(router.clone().oneshot(gpt()));
    let mut first = Watched::new(router.clone().oneshot(gpt()));
    let mut second = Watched::new(router.clone().oneshot(gpt()));
    assert!(holder.poll().is_pending());
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());
    drop(holder);
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    let answer = second.within(secs(1)).await.expect("its turn has come");
    assert!(answer.is_ok());
    assert_idle(&leaf, &router, "with the turn").await;
}

#[tokio::test(start_paused = true)]
async fn hanging_up_in_a_back_off_leaves_nothing() {
    for fault in [Step::throttled(7), Step::fail(ErrorKind::Overloaded)] {
        let leaf = Leaf::default();
        leaf.always("a", fault);
        let settings = format!("router_settings: {{retry_after: 5}}\n{NARROW}");
        let router = router(&leaf, &ONE, &settings);
        let mut call = Watched::new(router.clone().oneshot(gpt()));
        assert!(call.within(secs(4)).await.is_err());
        assert_eq!((leaf.count(), leaf.live()), (1, 0), "it waits");
        assert_eq!(router.in_flight(), 0, "and holds no deployment");
        drop(call);
        assert_idle(&leaf, &router, "in a back-off").await;
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_up_while_all_deployments_rest_leaves_nothing() {
    let leaf = Leaf::default();
    for id in ["a", "b"] {
        leaf.always(id, Step::throttled(30));
    }
    let groups: [(&str, &[&str]); 1] = [("gpt", &["a", "b"])];
    let router = router(&leaf, &groups, NARROW);
    let mut call = Watched::new(router.clone().oneshot(gpt()));
    assert!(call.within(secs(10)).await.is_err());
    drop(call);
    assert_eq!((router.in_flight(), leaf.live()), (0, 0));
    sleep(secs(30)).await;
    assert_idle(&leaf, &router, "while all rest").await;
}

#[tokio::test(start_paused = true)]
async fn hanging_up_before_the_first_token_leaves_nothing_but_an_abandoned_attempt() {
    for request in [gpt(), streamed()] {
        let leaf = Leaf::default();
        leaf.always("a", Step::stream(3).after(5_000));
        let router = router(&leaf, &ONE, NARROW);
        let ledger = ledger(&request);
        let mut call = Watched::new(router.clone().oneshot(request));
        assert!(call.within(secs(4)).await.is_err());
        assert_eq!((router.in_flight(), leaf.live()), (1, 1));
        drop(call);
        let outcome = ledger.trail().entries()[0].outcome();
        assert_eq!(outcome, Outcome::Abandoned);
        assert_idle(&leaf, &router, "before the first token").await;
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_up_in_a_stream_leaves_nothing_but_an_abandoned_attempt() {
    for read in 0..4 {
        let leaf = Leaf::default();
        leaf.always("a", Step::stream(4));
        let router = router(&leaf, &ONE, NARROW);
        let request = streamed();
        let ledger = ledger(&request);
        let answer = send(&router, request).await.result.expect("answers");
        let (_, mut items) = answer.into_parts();
        for _ in 0..read {
            assert!(items.next().await.is_some_and(|item| item.is_ok()));
        }
        assert_eq!((router.in_flight(), leaf.live()), (1, 1));
        drop(items);
        let outcome = ledger.trail().entries()[0].outcome();
        assert_eq!(outcome, Outcome::Abandoned);
        assert_idle(&leaf, &router, "in the stream").await;
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_up_on_a_probe_makes_room_for_the_next() {
    let leaf = Leaf::default();
    leaf.always("a", Step::fail(ErrorKind::Internal));
    let groups: [(&str, &[&str]); 1] = [("gpt", &["a order: 1", "b order: 2"])];
    let router = router(&leaf, &groups, NARROW);
    for _ in 0..3 {
        assert!(send(&router, gpt()).await.is_ok());
    }
    let state = || router.cooldown().state(&"a".into());
    assert!(matches!(state(), State::Resting { .. }));
    sleep(secs(6)).await;
    leaf.always("a", Step::ok().after(2_000));
    let mut probe = Watched::new(router.clone().oneshot(gpt()));
    assert!(probe.within(secs(1)).await.is_err());
    drop(probe);
    leaf.forget();
    assert!(send(&router, gpt()).await.is_ok());
    assert_eq!(leaf.order().concat(), "a", "the next one is the probe");
    assert_eq!(state(), State::Closed);
    assert_idle(&leaf, &router, "on a probe").await;
}

/// Reads an answer to its end, whatever it is.
async fn whole(call: impl Future<Output = Result<LlmResponse, ziggurat::Error>>) {
    if let Ok(response) = call.await {
        crate::stack::support::read(response).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_at_any_poll_leaves_nothing() {
    let fail = |kind| Step::fail(kind).after(50);
    let ways: [(&str, Vec<Step>, fn() -> LlmRequest); 6] = [
        ("an answer at once", vec![Step::ok()], gpt),
        ("a late answer", vec![Step::ok().after(900)], gpt),
        ("one failure", vec![fail(ErrorKind::Internal)], gpt),
        ("four failures", vec![fail(ErrorKind::Overloaded); 2], gpt),
        ("a stream", vec![Step::stream(3).after(50)], streamed),
        ("a stream that breaks", vec![Step::breaking(2)], streamed),
    ];
    let settings =
        format!("router_settings: {{num_retries: 2, fallbacks: [{{gpt: [claude]}}]}}\n{NARROW}");
    for (name, steps, request) in ways {
        for polls in 0.. {
            assert!(polls < 50, "{name} never completes");
            let leaf = Leaf::default();
            for id in ["a", "b"] {
                leaf.script(id, steps.clone());
            }
            let router = router(&leaf, &TWO, &settings);
            let request = request();
            let ledger = ledger(&request);
            let mut call = Watched::new(whole(router.clone().oneshot(request)));
            let done = call.poll_n(polls, secs(100)).await.is_some();
            drop(call);
            let when = format!("{name}, dropped after {polls} polls");
            assert_eq!(ledger.attempts(), leaf.count(), "{when}");
            assert_idle(&leaf, &router, &when).await;
            if done {
                assert!(polls > 0);
                break;
            }
        }
    }
}

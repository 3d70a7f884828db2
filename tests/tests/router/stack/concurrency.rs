//! What is in flight at each deployment.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tower::service_fn;
use ziggurat::{Error, ErrorKind, LlmRequest, LlmResponse, Reason, Rejection, Routed, Router};

use crate::stack::{
    leaf::{Leaf, Step},
    support::{gpt, plan, request, router, secs, send},
};

#[tokio::test(start_paused = true)]
async fn a_model_that_hangs_holds_its_own_places_and_another_is_as_quick_as_before() {
    let leaf = Leaf::default();
    leaf.always("a", Step::hang());
    leaf.always("b", Step::ok().after(50));
    let router = router(
        &leaf,
        &[("gpt", &["a"]), ("claude", &["b"])],
        "ziggurat_settings: {queue: {capacity: 10}, concurrency: 5}",
    );
    let hanging = join_all((0..50).map(|_| async {
        let sent = send(&router, gpt()).await;
        let error = sent.result.expect_err("nobody answers");
        assert_eq!(error.rejection().map(Rejection::reason), Some(Reason::Busy));
        assert_eq!((error.status().as_u16(), sent.took), (429, secs(0)));
    }));
    let others = async {
        for _ in 0..20 {
            let sent = send(&router, request("claude", json!({}))).await;
            assert!(sent.is_ok(), "{:?}", sent.result);
            assert_eq!(sent.took.as_millis(), 50);
        }
    };
    tokio::select! {
        _ = hanging => panic!("five of them hang"),
        () = others => {}
    }
    assert_eq!((leaf.count_of("a"), leaf.count_of("b")), (5, 20));
    assert_eq!(
        (router.in_flight(), leaf.live()),
        (0, 0),
        "all were dropped"
    );
}

#[tokio::test(start_paused = true)]
async fn who_finds_a_deployment_full_goes_to_the_next_and_that_costs_no_attempt() {
    let leaf = Leaf::default();
    leaf.always("a", Step::hang());
    let router = router(
        &leaf,
        &[("gpt", &["a order: 1", "b order: 2"])],
        "router_settings: {num_retries: 0}\nziggurat_settings: {concurrency: 3, hedge: off}",
    );
    let mut hanging: Vec<_> = (0..3).map(|_| Box::pin(send(&router, gpt()))).collect();
    let all = async {
        sleep(secs(1)).await;
        for _ in 0..20 {
            let sent = send(&router, gpt()).await;
            assert!(sent.is_ok() && sent.attempts() == 1, "{}", sent.trail);
        }
    };
    tokio::select! {
        _ = join_all(&mut hanging) => panic!("they hang"),
        () = all => {}
    }
    assert_eq!((leaf.count_of("a"), leaf.count_of("b")), (3, 20));
    let a = router.deployment(&"a".into()).expect("is one");
    assert_eq!(router.concurrency().in_flight(a.id()), 3);
    assert!(!router.stats(a.id()).is_failing, "to be full is no failure");
    drop(hanging);
    assert_eq!(router.concurrency().in_flight(a.id()), 0);
}

/// Calls of a provider that has eight places.
#[derive(Default)]
struct Calls {
    taken: AtomicU32,
    answered: AtomicU32,
    refused: AtomicU32,
}

fn eight_places(calls: &Arc<Calls>, settings: &str) -> Router {
    let calls = Arc::clone(calls);
    let leaf = service_fn(move |_: Routed<LlmRequest>| {
        let calls = Arc::clone(&calls);
        async move {
            if calls.taken.fetch_add(1, Relaxed) >= 8 {
                sleep(secs(1) / 20).await;
                calls.taken.fetch_sub(1, Relaxed);
                calls.refused.fetch_add(1, Relaxed);
                return Err(Error::new(ErrorKind::RateLimited, "too many at a time"));
            }
            sleep(secs(2)).await;
            calls.taken.fetch_sub(1, Relaxed);
            calls.answered.fetch_add(1, Relaxed);
            Ok(LlmResponse::complete("{}", None))
        }
    });
    Router::with_leaf(&plan(&[("gpt", &["a"])], settings), leaf).expect("the plan is whole")
}

/// Forty clients, each of which asks again half a second after it was refused.
async fn forty_clients(router: &Router, until: Instant) {
    join_all((0..40).map(|_| async {
        while Instant::now() < until {
            if !send(router, gpt()).await.is_ok() {
                sleep(secs(1) / 2).await;
            }
        }
    }))
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_refuses_the_ninth_at_a_time_refuses_few_after_a_while() {
    fastrand::seed(7);
    let settings = "router_settings: {num_retries: 0, disable_cooldowns: true}\n";
    let [learned, unlimited] = ["aimd", "off"].map(|mode| async move {
        let calls = Arc::default();
        let settings = format!("{settings}ziggurat_settings: {{concurrency: {mode}}}");
        let router = eight_places(&calls, &settings);
        forty_clients(&router, Instant::now() + secs(60)).await;
        let early = [&calls.answered, &calls.refused].map(|it| it.load(Relaxed));
        forty_clients(&router, Instant::now() + secs(300)).await;
        let all = [&calls.answered, &calls.refused].map(|it| it.load(Relaxed));
        [all[0] - early[0], all[1] - early[1]]
    });
    let ([answered, refused], [_, without]) = (learned.await, unlimited.await);
    // Eight at a time, two seconds each, would be 1,200.
    assert!(answered >= 1_080, "{answered}");
    assert!(refused * 100 <= answered * 4, "{refused} of {answered}");
    assert!(without > 10_000, "{without}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_group_goes_on_to_wait_when_the_limit_that_it_has_learned_falls() {
    for (queue, all_wait) in [("queue: {per: group}, ", true), ("", false)] {
        fastrand::seed(7);
        let calls = Arc::default();
        let settings = format!(
            "router_settings: {{num_retries: 0, disable_cooldowns: true}}\nziggurat_settings: {{{queue}concurrency: {{mode: aimd, max: 40}}}}"
        );
        let router = eight_places(&calls, &settings);
        let until = Instant::now() + secs(120);
        let busy = AtomicU32::new(0);
        join_all((0..60).map(|_| async {
            while Instant::now() < until {
                let sent = send(&router, gpt()).await;
                let error = sent.result.err();
                if error.is_some_and(|error| error.rejection().is_some()) {
                    busy.fetch_add(1, Relaxed);
                    sleep(secs(1)).await;
                }
            }
        }))
        .await;
        let busy = busy.into_inner();
        assert_eq!(busy == 0, all_wait, "{busy} were refused");
        let (answered, refused) = (&calls.answered, &calls.refused);
        assert!(
            refused.load(Relaxed) > 32,
            "it was too many again and again"
        );
        assert!(answered.load(Relaxed) >= 7 * 60, "{answered:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_survives_a_reload_and_is_forgotten_with_its_deployment() {
    fastrand::seed(7);
    let off = "router_settings: {num_retries: 0, disable_cooldowns: true}\nziggurat_settings: {concurrency: aimd}";
    let calls = Arc::default();
    let router = eight_places(&calls, off);
    forty_clients(&router, Instant::now() + secs(10)).await;
    let a = router.deployment(&"a".into()).expect("is one");
    let limit = |router: &Router| router.concurrency().limit(&a).expect("is limited");
    let learned = limit(&router);
    assert!((7..=9).contains(&learned), "{learned}");
    assert_eq!(router.group_capacity("gpt"), Some(u64::from(learned)));
    router
        .reload(&plan(&[("gpt", &["a", "b"])], off))
        .expect("is fine");
    assert_eq!(limit(&router), learned);
    assert_eq!(
        router.group_capacity("gpt"),
        Some(u64::from(learned) + 1_000)
    );
    router
        .reload(&plan(&[("gpt", &["b"])], off))
        .expect("is fine");
    assert_eq!(limit(&router), 1_000, "as if it had never been there");
    let small = "ziggurat_settings: {concurrency: 7}";
    router
        .reload(&plan(
            &[("gpt", &["b", "c max_parallel_requests: 2"])],
            small,
        ))
        .expect("is fine");
    assert_eq!(router.group_capacity("gpt"), Some(9));
}

#[tokio::test(start_paused = true)]
async fn the_capacity_of_a_group_is_that_of_its_members_that_serve() {
    let leaf = Leaf::default();
    leaf.script("a", [Step::throttled(30)]);
    let router = router(
        &leaf,
        &[("gpt", &["a order: 1", "b order: 2"]), ("claude", &["c"])],
        "ziggurat_settings: {concurrency: 5}",
    );
    assert_eq!(router.group_capacity("gpt"), Some(10));
    assert!(send(&router, gpt()).await.is_ok());
    assert_eq!(router.group_capacity("gpt"), Some(5), "one rests");
    sleep(secs(31)).await;
    assert_eq!(router.group_capacity("gpt"), Some(6), "one is probed");
    assert!(send(&router, gpt()).await.is_ok());
    assert_eq!(router.group_capacity("gpt"), Some(10));
    assert_eq!(router.group_capacity("nobody"), None);
    let usage = router.group_usage("claude").expect("is a group");
    assert_eq!(usage.capacity, Some(5));
}

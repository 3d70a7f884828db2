//! A second copy for who is late.

use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::ServiceExt as _;
use ziggurat::{HasLedger as _, LlmRequest};
use ziggurat_testkit::provider::{Script, Step};
use ziggurat_tests::VirtualWorld;

use crate::{
    reliability::support::{asked, assert_idle, counts},
    support::{millis, secs, world},
};

const HEDGE: &str = "ziggurat_settings: {hedge: {percentile: 95, budget: 5}}";

/// Forty answers of a tenth of a second each: what is usual.
async fn learn(world: &VirtualWorld) {
    for name in ["a", "b"] {
        world.providers.script(name, Step::ok().delay(millis(100)));
    }
    for _ in 0..40 {
        assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_late_is_overtaken_by_another_deployment_and_cancelled() {
    for stream in [false, true] {
        let world = world(&[("gpt", &["a", "b"])], HEDGE);
        for name in ["a", "b"] {
            world.providers.script(name, Step::ok().delay(millis(100)));
        }
        for _ in 0..40 {
            world.chat("gpt", json!({"stream": stream})).await;
        }
        let before = counts(&world, ["a", "b"]);
        world.providers.script("a", Step::ok().hang());
        // Every second one meets `a` first, more or less.
        let reply = loop {
            let reply = world.chat("gpt", json!({"stream": stream})).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            if world.providers.count("a") > before[0] {
                break reply;
            }
        };
        assert!(reply.answer().starts_with("from b"), "{}", reply.text);
        assert_eq!(asked(&reply), "ab", "{}", reply.header("x-ziggurat-trail"));
        assert_idle(&world, &["a", "b"]).await;
        let call = world.providers.calls("a").pop().expect("was asked");
        let took = call.hung_up.expect("is cancelled") - call.at;
        assert!(took >= millis(150) && took < secs(1), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_else_could_answer_no_second_copy_is_sent() {
    let world = world(&[("gpt", &["a"])], HEDGE);
    learn(&world).await;
    world.providers.script("a", Step::ok().delay(secs(5)));
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    assert_eq!(world.providers.count("a"), 41);
}

#[tokio::test(start_paused = true)]
async fn an_error_does_not_win_over_an_answer_to_come() {
    let world = world(
        &[("gpt", &["a order: 1", "b order: 2"])],
        &format!("router_settings: {{num_retries: 0}}\n{HEDGE}"),
    );
    learn(&world).await;
    world.providers.script("a", Step::ok().delay(secs(2)));
    world
        .providers
        .script("b", Step::status(500).delay(millis(10)));
    let began = Instant::now();
    let reply = world.chat("gpt", json!({})).await;
    assert!(reply.answer().starts_with("from a"), "{}", reply.text);
    assert_eq!((began.elapsed(), asked(&reply).as_str()), (secs(2), "ab"));
}

#[tokio::test(start_paused = true)]
async fn second_copies_are_five_percent_of_the_requests_at_most_and_never_for_the_same_deployment()
{
    const REQUESTS: u64 = 3_000;
    let settings = "ziggurat_settings: {hedge: {percentile: 50, budget: 5}}";
    let world = world(&[("gpt", &["a", "b", "c"])], settings);
    for (seed, name) in ["a", "b", "c"].into_iter().enumerate() {
        let usual = (8, Step::ok().delay(millis(100)));
        let late = (2, Step::ok().delay(secs(2)));
        let script = Script::random(seed as u64, [usual, late]);
        world.providers.script(name, script);
    }
    let mut running = JoinSet::new();
    for _ in 0..REQUESTS {
        let request = LlmRequest::chat("gpt", "hi");
        let ledger = request.ledger().expect("has one").clone();
        let answer = world.router.clone().oneshot(request);
        running.spawn(async move {
            assert!(answer.await.is_ok());
            ledger.tried()
        });
        sleep(millis(10)).await;
    }
    let mut twice = 0;
    for tried in running.join_all().await {
        assert!(tried.len() == 1 || tried.len() == 2 && tried[0] != tried[1]);
        twice += u64::from(tried.len() == 2);
    }
    let calls: u64 = counts(&world, ["a", "b", "c"]).iter().sum();
    assert_eq!(calls - REQUESTS, twice);
    assert!(twice * 100 <= REQUESTS * 5, "{twice} second copies");
    assert!(twice * 100 >= REQUESTS * 3, "{twice}: the budget is used");
    assert_idle(&world, &["a", "b", "c"]).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hedged_unless_it_is_wanted() {
    for settings in [
        "",
        "ziggurat_settings: {hedge: {}, groups: {gpt: {hedge: false}}}",
    ] {
        let world = world(&[("gpt", &["a", "b"])], settings);
        learn(&world).await;
        for name in ["a", "b"] {
            world.providers.script(name, Step::ok().delay(secs(5)));
        }
        let reply = world.chat("gpt", json!({})).await;
        assert_eq!(asked(&reply).len(), 1, "{settings}");
    }
}

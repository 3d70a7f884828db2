//! What callers spend, and what providers are charged, is what attempts cost, all of them, and exactly.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use ziggurat::{Caller, rate_limit::Crossing, settle::Recent};
use ziggurat_testkit::provider::{Script, Step};
use ziggurat_tests::{VirtualWorld, chat};

use crate::{
    limits::support::DEAR,
    support::{CHAT, Groups, priced, world},
};

/// A world that counts the money of all requests and of a provider, and what settles in it.
fn counted(groups: Groups<'_>, rest: &str) -> (VirtualWorld, Arc<Recent>) {
    let own =
        "limits: {rules: [{for: all, max_budget: 1000000}, {for: provider, max_budget: 1000000}]}";
    let sections = match rest.split_once("ziggurat_settings: {") {
        Some((before, after)) => format!("{before}ziggurat_settings: {{{own}, {after}"),
        None => format!("{rest}\nziggurat_settings: {{{own}}}\n"),
    };
    priced(groups, DEAR, &sections)
}

/// What was spent by the counts of the limits, and by the rows; in nanodollars.
#[track_caller]
fn assert_spent(world: &VirtualWorld, recent: &Recent, attempts: usize) {
    let rows = recent.take();
    assert_eq!(rows.len(), attempts, "{rows:?}");
    let costs = rows.iter().filter_map(ziggurat::settle::Settlement::cost);
    let cost: ziggurat::Money = costs.sum();
    let of_all = world.router.limits_of(&Caller::new());
    let of_provider = world.router.limits_of_deployment(&"a".into());
    for left in [of_all, of_provider] {
        let [one] = &left[..] else {
            panic!("there is one: {left:?}")
        };
        let used = u128::from(one.left.used) * 1_000;
        assert_eq!(used, cost.picodollars(), "{}: {rows:?}", one.key);
    }
    assert!(cost.picodollars() > 0);
}

fn script(world: &VirtualWorld, providers: &[&str], step: &Step) {
    for provider in providers {
        world.providers.script(provider, step.clone());
    }
}

fn streamed() -> Value {
    json!({"stream": true})
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_tried_again_costs_what_both_cost() {
    let (world, recent) = counted(&[("gpt", &["a", "b"])], "router_settings: {num_retries: 1}");
    // An empty answer is billed, and is none.
    world
        .providers
        .script("a", Step::ok().empty_answer().usage(10, 0));
    world.providers.script("b", Step::ok().usage(7, 2));
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    assert_spent(&world, &recent, 2);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_costs_what_both_groups_cost() {
    let sections = "router_settings: {num_retries: 0, fallbacks: [{gpt: [claude]}]}";
    let (world, recent) = counted(&[("gpt", &["a"]), ("claude", &["b"])], sections);
    world
        .providers
        .script("a", Step::ok().empty_answer().usage(10, 0));
    world.providers.script("b", Step::ok().usage(7, 2));
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    assert_spent(&world, &recent, 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_are_asked_side_by_side_the_slower_costs_too() {
    for more in [json!({}), streamed()] {
        let hedge = "ziggurat_settings: {hedge: {percentile: 50, budget: 100, min_delay: 0.001}}";
        let (world, recent) = counted(&[("gpt", &["a", "b"])], hedge);
        script(&world, &["a", "b"], &Step::ok().usage(9, 3));
        for _ in 0..200 {
            world.chat("gpt", more.clone()).await;
        }
        let served = recent.take().len();
        world.router.reset_budgets();
        world.providers.script(
            "a",
            Step::ok()
                .usage(9, 3)
                .first_token_delay(Duration::from_secs(30))
                .delay(Duration::from_secs(30)),
        );
        let reply = world.chat("gpt", more.clone()).await;
        assert_eq!((served, reply.status), (200, 200));
        assert_spent(&world, &recent, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_played_costs_nobody_anything() {
    let sections = "ziggurat_settings: {limits: {rules: [{for: all, max_budget: 1000000}, {for: provider, max_budget: 1000000}]}}";
    let played = format!("a {DEAR}, mock_response: hello");
    for more in [json!({}), streamed()] {
        let world = world(&[("gpt", &[&played])], sections);
        assert_eq!(world.chat("gpt", more).await.status, 200);
        assert_eq!(world.providers.count("a"), 0);
        let of_all = world.router.limits_of(&Caller::new());
        let of_provider = world.router.limits_of_deployment(&"a".into());
        for left in [of_all, of_provider] {
            let used: Vec<_> = left.iter().map(|it| it.left.used).collect();
            assert_eq!(used, [0]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_costs_what_came_when_its_client_hangs_up() {
    let (world, recent) = counted(&[("gpt", &["a"])], "");
    script(
        &world,
        &["a"],
        &Step::ok().words(50).chunk_delay(Duration::from_secs(1)),
    );
    let mut answer = world.begin(CHAT, &chat("gpt", streamed()), &[]).await;
    for _ in 0..3 {
        assert!(answer.next().await.is_some());
    }
    drop(answer);
    assert_spent(&world, &recent, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_and_is_gone_on_with_costs_both_parts() {
    let sections = "router_settings: {num_retries: 1}";
    let (world, recent) = counted(&[("gpt", &["a", "b"])], sections);
    let step = Step::ok().words(9).cut_after(3);
    world.providers.script("a", step);
    world.providers.script("b", Step::ok().usage(7, 2));
    let reply = world.chat("gpt", streamed()).await;
    assert_eq!(reply.status, 200);
    let attempts = usize::try_from(world.providers.count("a") + world.providers.count("b"));
    assert_spent(&world, &recent, attempts.expect("are few"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_costs_what_it_had_sent() {
    let (world, recent) = counted(&[("gpt", &["a"])], "");
    script(&world, &["a"], &Step::ok().hang());
    let asking = world.chat("gpt", json!({}));
    let gone = tokio::time::timeout(Duration::from_secs(5), asking).await;
    assert!(gone.is_err(), "nobody answers");
    assert_spent(&world, &recent, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_word_of_usage_costs_the_text_that_came() {
    let (world, recent) = counted(&[("gpt", &["a"])], "");
    let body = r#"{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"twelve bytes"},"finish_reason":"stop"}]}"#;
    script(&world, &["a"], &Step::ok().raw(body, "application/json"));
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    assert_spent(&world, &recent, 1);
}

#[tokio::test(start_paused = true)]
async fn what_fails_without_a_word_of_usage_costs_nothing() {
    let (world, recent) = counted(
        &[("gpt", &["a"])],
        "router_settings: {num_retries: 2, disable_cooldowns: true}",
    );
    let script = [Step::status(500), Step::status(429), Step::ok().usage(5, 5)];
    world.providers.script("a", Script::sequence(script));
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    assert_spent(&world, &recent, 3);
}

#[tokio::test(start_paused = true)]
async fn somebody_is_told_once_when_a_budget_is_near_and_when_it_is_spent() {
    let sections = "ziggurat_settings: {limits: {rules: [{for: tag, name: x, max_budget: 100, budget_duration: 1h, soft: 0.8}]}}";
    let member = format!("a {DEAR}");
    let world = world(&[("gpt", &[&*member])], sections);
    let told: Arc<parking_lot::Mutex<Vec<String>>> = Arc::default();
    let sink = Arc::clone(&told);
    world.router.on_limit(move |crossing: &Crossing| {
        sink.lock()
            .push(format!("{} {}", crossing.key, crossing.level.as_str()));
    });
    script(&world, &["a"], &Step::ok().usage(20, 10));
    for _ in 0..9 {
        world
            .chat(
                "gpt",
                json!({"metadata": {"tags": ["x"]}, "max_tokens": 10}),
            )
            .await;
    }
    assert_eq!(*told.lock(), ["tag `x` near", "tag `x` full"]);
}

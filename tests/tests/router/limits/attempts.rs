//! What deployments, providers and quotas may be used.

use serde_json::json;
use ziggurat_testkit::provider::Step;

use crate::{
    limits::support::{DEAR, answered, pass},
    support::world,
};

const STRICT: &str =
    "router_settings: {num_retries: 0, optional_pre_call_checks: [enforce_model_rate_limits]}";

#[tokio::test(start_paused = true)]
async fn in_strict_mode_what_a_full_deployment_refuses_goes_to_its_idle_sibling() {
    let world = world(&[("gpt", &["a rpm: 1, order: 1", "b order: 2"])], STRICT);
    assert_eq!(answered(&world, "gpt", 5).await, 5);
    assert_eq!(
        (world.providers.count("a"), world.providers.count("b")),
        (1, 4)
    );
    // Nothing rests for it: a minute later it serves again.
    pass(60).await;
    assert_eq!(answered(&world, "gpt", 1).await, 1);
    assert_eq!(world.providers.count("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn input_and_output_tokens_are_limited_apart_and_only_in_strict_mode() {
    for (limit, strict, expected) in [
        // The text is estimated at three.
        ("itpm: 25", STRICT, 3),
        ("otpm: 25", STRICT, 5),
        ("itpm: 25", "", 9),
        ("otpm: 25", "", 9),
    ] {
        let world = world(
            &[(
                "gpt",
                &[limit]
                    .map(|limit| format!("a {limit}"))
                    .each_ref()
                    .map(|it| &**it),
            )],
            strict,
        );
        world.providers.script("a", Step::ok().usage(10, 5));
        let mut passed = 0;
        for _ in 0..9 {
            let reply = world.chat("gpt", json!({"max_tokens": 5})).await;
            passed += usize::from(reply.status == 200);
        }
        assert_eq!(passed, expected, "{limit} {strict}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_whose_budget_is_spent_is_passed_over_until_its_time_is_over() {
    let members = [
        format!("a order: 1, max_budget: 20, budget_duration: 1h, {DEAR}"),
        format!("b order: 2, {DEAR}"),
    ];
    let members = members.each_ref().map(|member| &**member);
    let world = world(&[("gpt", &members)], "");
    for provider in ["a", "b"] {
        world.providers.script(provider, Step::ok().usage(8, 2));
    }
    for _ in 0..5 {
        let reply = world.chat("gpt", json!({"max_tokens": 2})).await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(
        (world.providers.count("a"), world.providers.count("b")),
        (2, 3)
    );
    pass(3_600).await;
    world.chat("gpt", json!({"max_tokens": 2})).await;
    assert_eq!(world.providers.count("a"), 3);
}

#[tokio::test(start_paused = true)]
async fn where_every_budget_is_spent_the_stop_is_hard_and_says_so() {
    let member = format!("a {DEAR}");
    let sections = "router_settings:
  num_retries: 3
  provider_budget_config: {openai: {budget_limit: 10, time_period: 1d}}
";
    let world = world(&[("gpt", &[&*member])], sections);
    world.providers.script("a", Step::ok().usage(8, 2));
    assert_eq!(
        world.chat("gpt", json!({"max_tokens": 2})).await.status,
        200
    );
    let began = tokio::time::Instant::now();
    let reply = world.chat("gpt", json!({"max_tokens": 2})).await;
    assert_eq!(
        began.elapsed(),
        std::time::Duration::ZERO,
        "it is not tried again"
    );
    let error = &reply.json()["error"];
    assert_eq!(
        (reply.status, &error["type"], &error["code"]),
        (429, &json!("budget_exceeded"), &json!("budget_exceeded"))
    );
    let limit = &error["limit"];
    assert_eq!(
        (
            &limit["scope"],
            &limit["name"],
            &limit["measure"],
            &limit["limit"],
            &limit["remaining"]
        ),
        (
            &json!("provider"),
            &json!("openai"),
            &json!("money"),
            &json!("10"),
            &json!("0")
        )
    );
    assert_eq!(reply.header("retry-after"), "");
    assert_eq!(reply.header("x-should-retry"), "false");
    assert_eq!(
        reply.header("x-ziggurat-limit"),
        "provider;name=\"openai\";measure=money;window=rolling;seconds=86400;limit=10;remaining=0"
    );
    assert_eq!(world.providers.count("a"), 1);
    pass(24 * 60 * 60).await;
    assert_eq!(
        world.chat("gpt", json!({"max_tokens": 2})).await.status,
        200
    );
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_do_not_slip_past_a_budget_together() {
    let member = format!("a {DEAR}");
    let sections =
        "router_settings: {provider_budget_config: {openai: {budget_limit: 45, time_period: 1d}}}";
    let world = world(&[("gpt", &[&*member])], sections);
    // As dear as it is estimated: three tokens in, seven out.
    world.providers.script("a", Step::ok().usage(3, 7));
    let all = (0..100).map(|_| world.chat("gpt", json!({"max_tokens": 7})));
    let replies = futures_util::future::join_all(all).await;
    let passed = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(passed, 4);
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_shared_by_its_deployments_and_no_other() {
    let sections =
        "ziggurat_settings: {quotas: [{name: eu, deployments: [a], models: [claude], rpm: 3}]}";
    let groups: [(&str, &[&str]); 3] = [("gpt", &["a"]), ("claude", &["b"]), ("llama", &["c"])];
    let world = world(&groups, sections);
    assert_eq!(answered(&world, "gpt", 2).await, 2);
    assert_eq!(answered(&world, "claude", 2).await, 1);
    assert_eq!(answered(&world, "gpt", 1).await, 0);
    assert_eq!(answered(&world, "llama", 5).await, 5);
    let left = world.router.limits_of_deployment(&"a".into());
    assert_eq!(
        (left[0].key.to_string(), left[0].left.remaining()),
        ("quota `eu`".to_owned(), 0)
    );
}

/// Field report RL9, through the whole stack.
#[tokio::test(start_paused = true)]
async fn a_provider_that_says_what_is_left_is_left_alone_when_nothing_is() {
    let sections =
        "router_settings: {num_retries: 0}\nziggurat_settings: {limits: {heed_providers: true}}";
    let world = world(&[("gpt", &["a order: 1", "b order: 2"])], sections);
    let step = Step::ok()
        .header("x-ratelimit-limit-requests", "9")
        .header("x-ratelimit-remaining-requests", "0")
        .header("x-ratelimit-reset-requests", "20s");
    world.providers.script("a", step);
    assert_eq!(answered(&world, "gpt", 1).await, 1);
    for _ in 0..5 {
        assert_eq!(answered(&world, "gpt", 1).await, 1);
    }
    assert_eq!(
        (world.providers.count("a"), world.providers.count("b")),
        (1, 5)
    );
    pass(20).await;
    assert_eq!(answered(&world, "gpt", 1).await, 1);
    assert_eq!(world.providers.count("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_answer_tells_what_its_provider_says_and_is_heeded() {
    let step = Step::status(429)
        .header("x-ratelimit-limit-requests", "9")
        .header("x-ratelimit-remaining-requests", "0")
        .header("x-ratelimit-reset-requests", "20s");
    let plain = "router_settings: {num_retries: 0, disable_cooldowns: true}";
    let heeding = format!("{plain}\nziggurat_settings: {{limits: {{heed_providers: true}}}}");
    for (sections, asked) in [(plain, 2), (&*heeding, 1)] {
        let world = world(&[("gpt", &["a"])], sections);
        world.providers.script("a", step.clone());
        let reply = world.chat("gpt", json!({})).await;
        for (name, value) in [("limit", "9"), ("remaining", "0"), ("reset", "20s")] {
            let name = format!("llm_provider-x-ratelimit-{name}-requests");
            assert_eq!(reply.header(&name), value, "{name}");
        }
        assert_eq!(
            (reply.status, reply.header("x-ratelimit-limit-requests")),
            (429, "")
        );
        assert_eq!(world.chat("gpt", json!({})).await.status, 429);
        assert_eq!(world.providers.count("a"), asked, "{sections}");
    }
}

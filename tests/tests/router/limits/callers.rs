//! What callers may use.

use serde_json::json;
use ziggurat::{Caller, rate_limit::Measure};
use ziggurat_testkit::provider::Step;

use crate::{
    limits::support::{answered, key, pass, send},
    support::world,
};

fn keys(rest: &str) -> String {
    let keys: Vec<_> = (0..3)
        .map(|n| {
            let limits = rest.split('|').nth(n).unwrap_or_default();
            format!("{{name: k{n}, key: {}, {limits}}}", key(n))
        })
        .collect();
    format!("keys: [{}]", keys.join(", "))
}

/// Field report RL3.
#[tokio::test(start_paused = true)]
async fn of_a_hundred_at_once_three_pass_where_there_is_room_for_three() {
    for limit in [
        "rpm: 3",
        "tpm: 899",
        "max_parallel_requests: 3",
        "rpm: 3, window: smooth",
    ] {
        let sections = format!("ziggurat_settings: {{limits: {{rules: [{{for: all, {limit}}}]}}}}");
        let world = world(&[("gpt", &["a max_tokens: 290"])], &sections);
        world
            .providers
            .script("a", Step::ok().delay(std::time::Duration::from_secs(1)));
        let all = (0..100).map(|_| world.chat("gpt", json!({"max_tokens": 290})));
        let replies = futures_util::future::join_all(all).await;
        let passed = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!((passed, world.providers.count("a")), (3, 3), "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_a_team_and_a_user_are_each_limited_and_all_are_charged_or_none() {
    let sections = format!(
        "ziggurat_settings:
  teams: [{{name: red, rpm_limit: 5}}]
  users: [{{name: alice, rpm_limit: 4}}]
  {}
",
        keys("team: red, user: alice, rpm_limit: 3|team: red|team: red, user: alice")
    );
    let world = world(&[("gpt", &["a"])], &sections);
    let status = async |n| send(&world, &key(n), "gpt", json!({})).await.status;
    for _ in 0..3 {
        assert_eq!(status(0).await, 200);
    }
    // The key is at its limit; what it refuses burns nothing of the others.
    for _ in 0..9 {
        assert_eq!(status(0).await, 429);
    }
    assert_eq!(
        (status(2).await, status(2).await),
        (200, 429),
        "alice has had four"
    );
    assert_eq!(
        (status(1).await, status(1).await),
        (200, 429),
        "red has had five"
    );
    assert_eq!(world.providers.count("a"), 5);
    pass(60).await;
    assert_eq!(status(0).await, 200);
    let caller = Caller::new().with_key("k0").with_team("red");
    let left = world.router.limits_of(&caller);
    let left: Vec<_> = left
        .iter()
        .map(|it| (it.key.to_string(), it.left.remaining()))
        .collect();
    assert_eq!(
        left,
        [("key `k0`".to_owned(), 2), ("team `red`".to_owned(), 4)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_may_have_less_of_one_model_whatever_it_is_called() {
    let sections = format!(
        "router_settings: {{model_group_alias: {{smart: gpt}}}}
ziggurat_settings:
  {}
",
        keys("'model_rpm_limit': {gpt: 1}")
    );
    let world = world(&[("gpt", &["a"]), ("llama", &["b"])], &sections);
    let status = async |model| send(&world, &key(0), model, json!({})).await.status;
    assert_eq!(status("gpt").await, 200);
    assert_eq!((status("gpt").await, status("smart").await), (429, 429));
    assert_eq!((status("llama").await, status("llama").await), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn users_tags_and_each_of_them_are_limited_by_rules_and_a_name_goes_first() {
    let sections = "ziggurat_settings:
  limits:
    rules:
      - {for: user, rpm: 1}
      - {for: user, name: bob, rpm: 3}
      - {for: tag, name: batch, requests: 2, per: 10}
";
    let world = world(&[("gpt", &["a"])], sections);
    let passes = async |more: serde_json::Value| {
        let mut passed = 0;
        while world.chat("gpt", more.clone()).await.status == 200 {
            passed += 1;
            assert!(passed < 10);
        }
        passed
    };
    assert_eq!(passes(json!({"user": "alice"})).await, 1);
    assert_eq!(passes(json!({"user": "carol"})).await, 1);
    assert_eq!(passes(json!({"user": "bob"})).await, 3);
    assert_eq!(passes(json!({"metadata": {"tags": ["batch"]}})).await, 2);
    assert_eq!(
        answered(&world, "gpt", 5).await,
        5,
        "nobody else is limited"
    );
    pass(10).await;
    assert_eq!(passes(json!({"metadata": {"tags": ["batch"]}})).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_place_in_flight_is_held_until_a_stream_ends_or_its_client_goes() {
    let sections = "ziggurat_settings: {limits: {rules: [{for: all, max_parallel_requests: 1}]}}";
    let world = world(&[("gpt", &["a"])], sections);
    let body = ziggurat_tests::chat("gpt", json!({"stream": true}));
    let begin = || world.begin(crate::support::CHAT, &body, &[]);
    let first = begin().await;
    assert_eq!((first.status, begin().await.status), (200, 429));
    assert_eq!(first.read().await.status, 200);
    let second = begin().await;
    assert_eq!((second.status, begin().await.status), (200, 429));
    drop(second);
    assert_eq!(begin().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_counts_and_a_reset_forgets_rates_and_not_budgets() {
    let config = |rpm: u64| {
        format!(
            "model_list: [{{model_name: gpt, litellm_params: {{model: openai/m, api_base: '{{a}}', api_key: k, {}}}}}]
ziggurat_settings: {{limits: {{rules: [{{for: all, rpm: {rpm}, max_budget: 1000}}]}}}}
",
            crate::limits::support::DEAR
        )
    };
    let world = ziggurat_tests::VirtualWorld::new(&config(2));
    world.providers.script("a", Step::ok().usage(10, 5));
    assert_eq!(answered(&world, "gpt", 3).await, 2);
    world.reload(&config(3));
    assert_eq!(answered(&world, "gpt", 3).await, 1);
    world.router.reset_usage();
    assert_eq!(answered(&world, "gpt", 4).await, 3);
    let spent = || {
        let all = world.router.limits_of(&Caller::new());
        let money = all
            .iter()
            .find(|it| it.left.limit.measure() == Measure::Money);
        money.map(|it| it.left.used)
    };
    assert_eq!(spent(), Some(6 * 15 * 1_000_000_000));
    world.router.reset_budgets();
    assert_eq!(spent(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_fallback_is_limited_by_its_own_model_and_passed_over_when_that_is_used_up() {
    let sections = format!(
        "router_settings: {{num_retries: 0, disable_cooldowns: true, fallbacks: [{{gpt: [claude, llama]}}, {{claude: [llama]}}]}}
ziggurat_settings:
  {}
",
        keys("model_rpm_limit: {claude: 1}, model_tpm_limit: {gpt: 1000}")
    );
    let world = world(
        &[("gpt", &["a"]), ("claude", &["b"]), ("llama", &["c"])],
        &sections,
    );
    world.providers.script("a", Step::status(500));
    let ask = async |model| send(&world, &key(0), model, json!({})).await;
    for _ in 0..3 {
        assert_eq!(ask("gpt").await.status, 200);
    }
    let counts = ["a", "b", "c"].map(|name| world.providers.count(name));
    assert_eq!(counts, [3, 1, 2]);
    // Who asks for it is told, and gets no other.
    let reply = ask("claude").await;
    let limit = &reply.json()["error"]["limit"];
    assert_eq!(
        (reply.status, &limit["name"], &limit["of"]),
        (429, &json!("k0"), &json!("claude"))
    );
    assert_eq!(world.providers.count("c"), 2);
    // What the others answered is not charged to the first.
    let left = world.router.limits_of(&Caller::new().with_key("k0"));
    let used: Vec<_> = left
        .iter()
        .map(|it| (it.key.share().unwrap_or_default(), it.left.used))
        .collect();
    assert!(
        used.contains(&("gpt", 0)) && used.contains(&("claude", 1)),
        "{used:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn where_the_group_is_chosen_the_one_that_serves_is_charged() {
    let sections = format!(
        "ziggurat_settings:
  auto_route: {{splits: [{{model: auto, to: {{gpt: 100}}}}]}}
  {}
",
        keys(
            "model_rpm_limit: {gpt: 1}|model_rpm_limit: {auto: 1}|model_rpm_limit: {auto: 2, gpt: 3}"
        )
    );
    let world = world(&[("gpt", &["a"])], &sections);
    for (n, model, passes) in [
        (0, "auto", 1),
        (1, "auto", 1),
        (1, "gpt", 3),
        (2, "auto", 2),
        (2, "gpt", 1),
    ] {
        for turn in 0..3 {
            let expected = if turn < passes { 200 } else { 429 };
            let status = send(&world, &key(n), model, json!({})).await.status;
            assert_eq!(status, expected, "{n} {model} {turn}");
        }
    }
}

//! What clients are told of limits.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, advance};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::Reply;

use crate::{
    limits::support::{key, pass, send},
    support::world,
};

/// Field report RL8.
#[tokio::test(start_paused = true)]
async fn a_client_that_sleeps_exactly_as_long_as_it_is_told_succeeds() {
    for limit in [
        "rpm: 3",
        "tpm: 900",
        "rpm: 3, window: smooth",
        "requests: 2, per: 0.7",
    ] {
        let sections = format!("ziggurat_settings: {{limits: {{rules: [{{for: all, {limit}}}]}}}}");
        let world = world(&[("gpt", &["a"])], &sections);
        world.providers.script("a", Step::ok().usage(100, 200));
        let mut refused = 0;
        for turn in 0..40_u64 {
            advance(Duration::from_micros(turn * 77_777 % 500_000)).await;
            let chat = async || world.chat("gpt", json!({"max_tokens": 290})).await;
            let reply = chat().await;
            if reply.status == 200 {
                continue;
            }
            refused += 1;
            let wait = match turn % 2 {
                0 => Duration::from_millis(number(&reply, "retry-after-ms")),
                _ => Duration::from_secs(number(&reply, "retry-after")),
            };
            let told = &reply.json()["error"]["limit"];
            assert_eq!(told["resets_in_ms"], number(&reply, "retry-after-ms"));
            advance(wait).await;
            assert_eq!(chat().await.status, 200, "{limit}");
        }
        assert!(refused > 5, "{limit}: {refused}");
    }
}

fn number(reply: &Reply, header: &str) -> u64 {
    reply.header(header).parse().expect(header)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_tells_its_limit_in_headers_and_in_the_body_of_every_shape() {
    let sections = format!(
        "ziggurat_settings: {{keys: [{{name: batch, key: {}, rpm_limit: 2}}]}}",
        key(0)
    );
    let world = world(&[("gpt", &["a"])], &sections);
    for _ in 0..2 {
        assert_eq!(send(&world, &key(0), "gpt", json!({})).await.status, 200);
    }
    advance(Duration::from_millis(12_500)).await;
    let reply = send(&world, &key(0), "gpt", json!({})).await;
    assert_eq!(reply.status, 429);
    for (header, expected) in [
        ("retry-after", "48"),
        ("retry-after-ms", "47500"),
        ("x-ratelimit-limit-requests", "2"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "47.5s"),
        ("x-ratelimit-limit-tokens", ""),
        (
            "x-ziggurat-limit",
            "key;name=\"batch\";measure=requests;window=sliding;seconds=60",
        ),
    ] {
        assert_eq!(reply.header(header), expected, "{header}");
    }
    let expected = json!({
        "scope": "key", "name": "batch", "measure": "requests", "limit": 2, "remaining": 0,
        "window": "sliding", "seconds": 60.0, "resets_in_ms": 47_500,
    });
    assert_eq!(reply.json()["error"]["limit"], expected);
    assert_eq!(reply.json()["error"]["code"], "rate_limit_exceeded");

    let bearer = format!("Bearer {}", key(0));
    let headers = [("authorization", &*bearer)];
    let message =
        json!({"model": "gpt", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    let reply = world
        .begin("/v1/messages", &message, &headers)
        .await
        .read()
        .await;
    assert_eq!(
        (reply.status, &reply.json()["type"]),
        (429, &json!("error"))
    );
    assert_eq!(reply.json()["error"]["limit"], expected);
    let generate = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let path = "/v1beta/models/gpt:generateContent";
    let reply = world.begin(path, &generate, &headers).await.read().await;
    assert_eq!(
        (reply.status, &reply.json()["error"]["limit"]),
        (429, &expected)
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_tells_what_one_has_left_the_caller_before_the_group_and_never_the_provider() {
    let sections = format!(
        "ziggurat_settings:
  teams: [{{name: red, rpm_limit: 10, tpm_limit: 100000}}]
  keys: [{{name: a, key: {}, team: red, rpm_limit: 100}}, {{name: b, key: {}}}]
",
        key(0),
        key(1)
    );
    let world = world(&[("gpt", &["a rpm: 50"])], &sections);
    let theirs = Step::ok()
        .usage(60, 40)
        .header("x-ratelimit-limit-requests", "7")
        .header("x-ratelimit-remaining-requests", "6");
    world.providers.script("a", theirs);
    let told = |reply: &Reply, expected: [&str; 6]| {
        let names = [
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-tokens",
            "x-ziggurat-limit",
        ];
        assert_eq!(names.map(|name| reply.header(name)), expected);
        assert_eq!(
            reply.header("llm_provider-x-ratelimit-remaining-requests"),
            "6"
        );
    };
    // The team has less left than the key.
    let reply = send(&world, &key(0), "gpt", json!({})).await;
    let team = "team;name=\"red\";window=sliding;seconds=60";
    told(&reply, ["10", "9", "1m0s", "100000", "99900", team]);
    let reply = send(&world, &key(1), "gpt", json!({})).await;
    let group = "group;name=\"gpt\";window=minute";
    told(&reply, ["50", "48", "", "", "", group]);
}

#[tokio::test(start_paused = true)]
async fn where_all_deployments_are_at_a_limit_the_one_that_ends_first_is_told() {
    let sections = "router_settings: {optional_pre_call_checks: [enforce_model_rate_limits]}";
    let world = world(
        &[("gpt", &["a rpm: 1, order: 1", "b rpm: 1, order: 2"])],
        sections,
    );
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    pass(20).await;
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    pass(20).await;
    let began = Instant::now();
    let reply = world.chat("gpt", json!({})).await;
    assert_eq!(
        (reply.status, reply.header("retry-after-ms")),
        (429, "20000")
    );
    assert_eq!(reply.json()["error"]["limit"]["name"], "a");
    assert_eq!(began.elapsed(), Duration::ZERO);
    pass(20).await;
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
}

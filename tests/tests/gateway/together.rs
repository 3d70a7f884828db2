//! Gateways over one Redis.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;
use ziggurat_testkit::{provider::Step, redis::RedisServer};
use ziggurat_tests::{PATIENCE, World};

/// Everybody together may send so many requests.
fn config(redis: &str, limit: &str) -> String {
    format!(
        "
model_list:
  - {{model_name: gpt, litellm_params: {{model: openai/m, api_base: '{{a}}', api_key: k}}}}
router_settings: {{num_retries: 0}}
ziggurat_settings:
  redis: {{url: '{redis}', deadline_ms: 2000}}
  limits: {{rules: [{{for: all, {limit}}}]}}
"
    )
}

async fn ask(world: &World) -> u16 {
    let body = json!({"model": "gpt", "messages": []});
    let asked = world.client.post(world.url("/v1/chat/completions"));
    world.send(asked.json(&body)).await.status
}

/// How many of so many at once, at each gateway, are answered.
async fn answered(worlds: &[World], each: usize) -> usize {
    let all = worlds
        .iter()
        .flat_map(|world| (0..each).map(|_| ask(world)));
    let statuses = join_all(all).await;
    assert!(
        statuses.iter().all(|it| [200, 429].contains(it)),
        "{statuses:?}"
    );
    statuses.iter().filter(|status| **status == 200).count()
}

/// Gateways that have reached the same Redis.
async fn joined(config: &str) -> Vec<World> {
    let mut worlds = Vec::new();
    for _ in 0..3 {
        let world = World::start(config).await;
        assert!(world.router.joined(PATIENCE).await);
        worlds.push(world);
    }
    worlds
}

#[tokio::test]
async fn who_waits_for_redis_keeps_limits_with_the_others_from_the_first_request_on() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let worlds = joined(&config(&server.url(), "rpm: 4")).await;
    assert_eq!(answered(&worlds, 10).await, 4);
}

#[tokio::test]
async fn without_redis_nobody_waits_longer_than_it_wants_to() {
    let world = World::start(&config("redis://127.0.0.1:1", "rpm: 4")).await;
    assert!(!world.router.joined(Duration::from_millis(50)).await);
    assert_eq!(answered(&[world], 10).await, 4);
}

#[tokio::test]
async fn while_redis_is_gone_requests_pass_or_do_not_as_the_settings_say() {
    for (outage, expected) in [("open", 200), ("share", 429), ("closed", 503)] {
        let Some(server) = RedisServer::start().await else {
            return;
        };
        let config = config(&server.url(), "rpm: 4");
        let gone = format!("deadline_ms: 50, outage: {outage}");
        let world = World::start(&config.replace("deadline_ms: 2000", &gone)).await;
        assert!(world.router.joined(PATIENCE).await);
        server.kill();
        // What was leased may pass before.
        let settled = async {
            let mut in_a_row = 0;
            while in_a_row < 10 {
                in_a_row = match ask(&world).await {
                    status if status == expected => in_a_row + 1,
                    _ => 0,
                };
            }
        };
        let settled = tokio::time::timeout(PATIENCE, settled).await;
        assert!(settled.is_ok(), "{outage} is not {expected}");
    }
}

#[tokio::test]
async fn what_one_gateway_resets_all_may_use_again() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let worlds = joined(&config(&server.url(), "rpm: 4")).await;
    assert_eq!(answered(&worlds, 10).await, 4);
    worlds[0].router.reset_limits(|_, _| true);
    let again = async {
        let mut passed = 0;
        while passed < 4 {
            passed += answered(&worlds, 1).await;
        }
        passed
    };
    let passed = tokio::time::timeout(PATIENCE, again).await;
    assert_eq!(passed, Ok(4));
    assert_eq!(answered(&worlds, 10).await, 0);
}

/// One request at a time, and nobody waits for another to end.
fn narrow(redis: &str, queue: &str) -> String {
    format!(
        "
model_list:
  - model_name: gpt
    litellm_params: {{model: openai/m, api_base: '{{a}}', api_key: k}}
    model_info: {{id: one}}
router_settings: {{num_retries: 0}}
ziggurat_settings:
  redis: {{url: '{redis}', deadline_ms: 2000, namespace: '{}'}}
  queue: {{capacity: 1, max_wait: 0, {queue}}}
",
        queue.replace([':', ' ', ','], "")
    )
}

#[tokio::test]
async fn a_queue_has_one_capacity_for_all_gateways_wherever_it_stands() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    for (queue, is_shared) in [
        ("per: global", true),
        ("per: group", true),
        ("per: deployment", true),
        ("per: global, shared: false", false),
    ] {
        let worlds = joined(&narrow(&server.url(), queue)).await;
        let [one, other, _] = &worlds[..] else {
            unreachable!("there are three")
        };
        one.providers.script("a", Step::ok().hang());
        let mut holder = Box::pin(ask(one));
        let begun = async {
            while one.providers.count("a") == 0 {
                sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            status = &mut holder => panic!("{queue}: {status} of one that hangs"),
            () = begun => {}
        }
        assert_eq!(ask(other).await == 200, !is_shared, "{queue}");
        // It hangs up, and its place is anybody's.
        drop(holder);
        let again = async { while ask(other).await != 200 {} };
        let again = tokio::time::timeout(PATIENCE, again).await;
        assert!(again.is_ok(), "{queue}");
    }
}

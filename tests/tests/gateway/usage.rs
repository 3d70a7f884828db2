//! What deployments and groups did: in code, over HTTP, and as metrics that no client can make more of.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::SystemTime,
};

use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tower::{ServiceExt as _, service_fn};
use ziggurat::{
    Caller, Error, ErrorKind, LlmRequest, LlmResponse, Operation, ProviderLimits, Quota, Routed,
    Router, Usage,
    config::Plan,
    usage::{MemoryUsageStore, UsageSync},
};
use ziggurat_tests::World;

const CONFIG: &str = "
model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_base: '{a}', api_key: k, rpm: 60, tpm: 9000, input_cost_per_token: 0.5, output_cost_per_token: 1}, model_info: {id: one}}
  - {model_name: any/*, litellm_params: {model: openai/*, api_base: '{a}', api_key: k}, model_info: {id: wild}}
router_settings: {num_retries: 0, default_fallbacks: [gpt], model_group_alias: {smart: gpt}}
ziggurat_settings: {queue: {capacity: 100}}
";

fn router(config: &str, succeeds: impl Fn() -> bool + Clone + Send + Sync + 'static) -> Router {
    let config = config.replace("{a}", "http://a.example/v1");
    let plan = Plan::parse(&config, "test.yaml", |_| None);
    let plan = plan.unwrap_or_else(|problems| panic!("{problems}"));
    let leaf = service_fn(move |_: Routed<LlmRequest>| {
        let succeeds = succeeds();
        async move {
            if !succeeds {
                return Err(Error::new(ErrorKind::Overloaded, "busy"));
            }
            let requests = Quota {
                limit: 100,
                remaining: 42,
                resets_at: None,
            };
            let answer = LlmResponse::complete("{}", Some(Usage::new(10, 2)));
            Ok(answer.with_provider_limits(ProviderLimits {
                requests: Some(requests),
                tokens: None,
            }))
        }
    });
    Router::with_leaf(&plan, leaf).expect("the plan is whole")
}

#[tokio::test]
async fn a_group_knows_how_it_did_by_any_of_its_names() {
    let calls = std::sync::Arc::new(AtomicU64::new(0));
    let router = router(CONFIG, move || {
        !calls.fetch_add(1, Relaxed).is_multiple_of(4)
    });
    for _ in 0..4 {
        let _ = router.clone().oneshot(LlmRequest::chat("gpt", "hi")).await;
    }
    for name in ["gpt", "smart"] {
        let usage = router.group_usage(name).expect("is a group");
        assert_eq!(
            (usage.successes, usage.failures, usage.cancelled),
            (3, 1, 0)
        );
        assert_eq!(usage.cost.to_string(), "21");
        assert!(usage.latency.p95.is_some() && usage.first_token.p50.is_some());
    }
    let page = router.usage().group("gpt").expect("is known");
    assert_eq!(page.totals().most_in_flight(), 1, "itself alone");
    assert_eq!(router.group_usage("nobody"), None);
}

#[tokio::test]
async fn the_gateway_tells_the_last_minutes_of_groups_and_deployments() {
    let world = World::start(CONFIG).await;
    let body = json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}]});
    for _ in 0..3 {
        let reply = world.send(
            world
                .client
                .post(world.url("/v1/chat/completions"))
                .json(&body),
        );
        assert_eq!(reply.await.status, 200);
    }
    let reply = world
        .send(world.client.get(world.url("/usage?minutes=60")))
        .await;
    let told: Value = serde_json::from_str(&reply.text).expect("is JSON");
    let named = |list: &str, key: &str, name: &str| {
        let list = told[list].as_array().expect("is a list");
        let found = list.iter().find(|it| it[key] == name);
        found.expect("is listed").clone()
    };
    for it in [
        named("groups", "model_group", "gpt"),
        named("deployments", "model_id", "one"),
    ] {
        assert_eq!(it["lately"]["successes"], 3);
        assert_eq!(it["totals"]["requests"], 3);
        assert!(it["lately"]["latency_ms"]["p95"].is_u64());
        let history = it["history"].as_array().expect("is a list");
        let sum: u64 = history
            .iter()
            .filter_map(|row| row["successes"].as_u64())
            .sum();
        assert_eq!(sum, 3);
        assert!(
            history
                .iter()
                .all(|row| row["minute"].as_u64().is_some_and(|it| it % 60 == 0))
        );
    }
    assert_eq!(
        named("groups", "model_group", "any/*")["totals"]["requests"],
        0
    );
    let reply = world
        .send(world.client.get(world.url("/usage?model_group=any/*")))
        .await;
    let told: Value = serde_json::from_str(&reply.text).expect("is JSON");
    assert_eq!(told["groups"].as_array().map(Vec::len), Some(1));
    for minutes in ["0", "61", "x"] {
        let url = world.url(&format!("/usage?minutes={minutes}"));
        assert_eq!(world.send(world.client.get(url)).await.status, 400);
    }
}

#[tokio::test]
async fn the_gateway_tells_what_all_instances_did_and_says_so() {
    let world = World::start(CONFIG).await;
    let other = router(CONFIG, || true);
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    for _ in 0..2 {
        let asked = other.clone().oneshot(LlmRequest::chat("gpt", "hi"));
        asked.await.expect("the leaf answers");
    }
    let told = async |query: &str| world.get(&format!("/usage{query}")).await.json();
    let lately = |told: &Value| {
        let group = &told["groups"].as_array().expect("is a list")[..];
        let gpt = group.iter().find(|it| it["model_group"] == "gpt");
        let gpt = gpt.expect("is listed");
        [&gpt["lately"], &gpt["totals"]].map(|it| it["successes"].as_u64())
    };
    let alone = told("").await;
    assert_eq!(lately(&alone), [Some(1), Some(1)]);
    assert_eq!(
        (&alone["instances"], &alone["others_read"]),
        (&json!("this"), &Value::Null)
    );
    let store = MemoryUsageStore::new();
    for (router, name) in [(&other, "other"), (&world.router, "this")] {
        let mut sync = UsageSync::new(router.usage().clone(), store.clone(), name);
        let Ok(()) = sync.sync(SystemTime::now()).await;
    }
    let all = told("").await;
    assert_eq!(
        lately(&all),
        [Some(3), Some(1)],
        "since the start, each for itself"
    );
    assert_eq!(
        (&all["instances"], &all["of_this_instance"]),
        (&json!("all"), &json!(["totals", "in_flight"]))
    );
    assert!(all["others_read"].is_u64());
    let own = told("?instances=this").await;
    assert_eq!(lately(&own), [Some(1), Some(1)]);
    assert_eq!(own["instances"], "this");
    assert_eq!(world.get("/usage?instances=that").await.status, 400);
}

#[tokio::test]
async fn usage_is_behind_the_key() {
    let config = format!("{CONFIG}general_settings: {{master_key: sk-1}}\n");
    let world = World::start(&config).await;
    let url = world.url("/usage");
    assert_eq!(world.send(world.client.get(&url)).await.status, 401);
    let asked = world.client.get(&url).bearer_auth("sk-1");
    assert_eq!(world.send(asked).await.status, 200);
}

/// The series of a rendering, without the values and without what a histogram is made of.
fn series(text: &str) -> Vec<&str> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names = lines.filter_map(|line| line.rsplit_once(' ').map(|(name, _)| name));
    let mut names: Vec<_> = names.filter(|name| !name.contains("le=\"")).collect();
    names.sort_unstable();
    names
}

#[test]
fn ten_thousand_models_users_keys_and_tags_make_no_series() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime needs nothing");
    let rendered = metrics::with_local_recorder(&recorder, || {
        let calls = std::sync::Arc::new(AtomicU64::new(0));
        let router = router(CONFIG, move || {
            !calls.fetch_add(1, Relaxed).is_multiple_of(5)
        });
        let ask = |i: u64| {
            let mut models = vec![format!("gpt-{i}"), format!("any/m-{i}")];
            if i.is_multiple_of(20) {
                models.extend(["gpt".to_owned(), "smart".to_owned()]);
            }
            for model in models {
                let body = json!({
                    "model": model, "messages": [{"role": "user", "content": "hi"}],
                    "user": format!("u-{i}"), "metadata": {"tags": [format!("t-{i}")]},
                });
                let request = LlmRequest::from_bytes(Operation::ChatCompletions, body.to_string());
                let caller = Caller::new()
                    .with_key(format!("k-{i}"))
                    .with_team(format!("t-{i}"));
                let request = request.expect("is valid").with_caller(caller);
                let _ = runtime.block_on(router.clone().oneshot(request));
            }
            if i.is_multiple_of(100) {
                router.reset_cooldowns();
            }
        };
        let render = || {
            router.record_states();
            handle.render()
        };
        (0..200).for_each(ask);
        let few = render();
        (200..10_000).for_each(ask);
        (few, render())
    });
    let (few, many) = (series(&rendered.0), series(&rendered.1));
    assert_eq!(many, few);
    assert!(few.len() > 50, "they were recorded");
    for name in [
        "litellm_deployment_state{",
        "litellm_deployment_rpm_limit{",
        "litellm_remaining_requests_metric{",
        "litellm_overhead_latency_metric",
        "ziggurat_queue_waiting ",
    ] {
        assert!(rendered.1.contains(name), "{name}");
    }
    assert!(!rendered.1.contains("u-77") && !rendered.1.contains("k-77"));
}

#[test]
fn states_follow_rests_and_reloads() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime needs nothing");
    metrics::with_local_recorder(&recorder, || {
        let config = "
model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_key: k}, model_info: {id: one}}
  - {model_name: gpt, litellm_params: {model: openai/m, api_key: k}, model_info: {id: two}}
router_settings: {num_retries: 0, allowed_fails: 0, cooldown_time: 600}
";
        let router = router(config, || false);
        let asked = router.clone().oneshot(LlmRequest::chat("gpt", "hi"));
        assert!(runtime.block_on(asked).is_err());
        let render = || {
            router.record_states();
            handle.render()
        };
        let value = |text: &str, name: &str, id: &str| -> Vec<String> {
            let of = |line: &&str| {
                line.starts_with(name) && line.contains(&format!("model_id=\"{id}\""))
            };
            let lines = text.lines().filter(of);
            let values = lines.filter_map(|line| line.rsplit_once(' '));
            values.map(|(_, value)| value.to_owned()).collect()
        };
        let text = render();
        let mut states: Vec<_> = ["one", "two"]
            .iter()
            .flat_map(|id| value(&text, "litellm_deployment_state{", id))
            .collect();
        states.sort();
        assert_eq!(states, ["0", "2"]);
        assert_eq!(
            text.matches("\nlitellm_deployment_cooled_down{").count(),
            1,
            "{text}"
        );
        assert!(text.contains("exception_status=\"503\""));
        let other = config.replace("id: two", "id: three");
        let plan = Plan::parse(&other, "test.yaml", |_| None).expect("is valid");
        router.reload(&plan).expect("is valid");
        let text = render();
        assert_eq!(value(&text, "litellm_deployment_state{", "two"), ["NaN"]);
        assert_eq!(value(&text, "litellm_deployment_state{", "three"), ["0"]);
    });
}

//! `GET /health`: what checks and requests say of deployments.

use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use ziggurat_testkit::provider::Step;
use ziggurat_tests::VirtualWorld;

fn config(more: &str) -> String {
    let deployment = |id: &str| {
        format!(
            "  - {{model_name: gpt, litellm_params: {{model: openai/m, api_base: \"{{{id}}}\", api_key: sk-canary-{id}}}, model_info: {{id: {id}}}}}\n"
        )
    };
    format!("model_list:\n{}{}{more}", deployment("a"), deployment("b"))
}

/// Asks for a path, with a key perhaps.
async fn get(world: &VirtualWorld, path: &str, key: Option<&str>) -> (u16, Value) {
    let mut request = Request::get(path);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let request = request.body(Default::default()).expect("is a request");
    let service = world.gateway.service(&world.router);
    let Ok(response) = service.oneshot(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await;
    let body = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    assert!(!text.contains("canary"), "{text}");
    (status, serde_json::from_str(&text).expect("is JSON"))
}

fn ids(report: &Value, list: &str) -> Vec<String> {
    let list = report[list].as_array().expect("is a list").iter();
    list.map(|it| it["model_id"].as_str().expect("has an id").to_owned())
        .collect()
}

fn calls(world: &VirtualWorld) -> u64 {
    world.providers.count("a") + world.providers.count("b")
}

#[tokio::test(start_paused = true)]
async fn who_asks_has_every_deployment_checked() {
    let world = VirtualWorld::new(&config(""));
    world.providers.script("b", Step::status(401));
    let (status, report) = get(&world, "/health", None).await;
    assert_eq!(status, 200);
    assert_eq!(ids(&report, "healthy_endpoints"), ["a"], "{report}");
    assert_eq!(ids(&report, "unhealthy_endpoints"), ["b"]);
    assert_eq!(report["unknown_endpoints"], json!([]));
    let counts = ["healthy_count", "unhealthy_count", "unknown_count"];
    assert_eq!(
        counts.map(|it| report[it].as_u64()),
        [Some(1), Some(1), Some(0)]
    );
    let bad = &report["unhealthy_endpoints"][0];
    assert_eq!(bad["error"]["kind"], "authentication");
    assert!(bad["error"]["message"].is_string(), "{bad}");
    assert_eq!(
        (&bad["checked_ms_ago"], &bad["state"]),
        (&json!(0), &json!("serving"))
    );
    let good = &report["healthy_endpoints"][0];
    assert_eq!(
        (&good["model"], &good["model_name"], &good["provider"]),
        (&json!("openai/m"), &json!("gpt"), &json!("openai"))
    );
    assert_eq!(good["api_base"], world.providers.base_url("a"));
    assert!(
        good["took_ms"].is_u64() && good.get("error").is_none(),
        "{good}"
    );
    assert!(calls(&world) > 0, "somebody was asked");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_told_without_a_check() {
    fastrand::seed(1);
    let world = VirtualWorld::new(&config("router_settings: {num_retries: 1}\n"));
    world
        .providers
        .script("b", Step::status(429).retry_after(7));
    for _ in 0..20 {
        assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    }
    let before = calls(&world);
    let (status, report) = get(&world, "/health?check=false", None).await;
    assert_eq!((status, calls(&world)), (200, before), "nobody is asked");
    assert_eq!(ids(&report, "unknown_endpoints"), ["a", "b"], "{report}");
    let [a, b] = [0, 1].map(|at| &report["unknown_endpoints"][at]);
    assert_eq!(
        (&a["state"], &a["failures_in_a_row"]),
        (&json!("serving"), &json!(0))
    );
    assert_eq!(
        (&b["state"], &b["because"]),
        (&json!("resting"), &json!("rate_limited"))
    );
    assert_eq!(
        (&b["rests_for_ms"], &b["rests_in_a_row"]),
        (&json!(7_000), &json!(1))
    );
    assert!(
        b.get("checked_ms_ago").is_none() && b.get("slow_start_percent").is_none(),
        "{b}"
    );

    tokio::time::advance(std::time::Duration::from_secs(8)).await;
    let state = async || {
        let (_, report) = get(&world, "/health?check=false", None).await;
        report["unknown_endpoints"][1].clone()
    };
    assert_eq!(state().await["state"], "half_open");
    world.providers.script("b", Step::ok());
    for _ in 0..20 {
        assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    }
    let back = state().await;
    assert_eq!(
        (&back["state"], &back["slow_start_percent"]),
        (&json!("serving"), &json!(10))
    );
}

#[tokio::test(start_paused = true)]
async fn where_checks_run_in_the_background_their_report_is_told() {
    let world = VirtualWorld::new(&config(
        "general_settings: {background_health_checks: true}\n",
    ));
    let (_, report) = get(&world, "/health", None).await;
    assert_eq!(ids(&report, "unknown_endpoints"), ["a", "b"]);
    assert_eq!(calls(&world), 0, "who asks starts no check");
    world.router.check_health().await;
    tokio::time::advance(std::time::Duration::from_secs(3)).await;
    let (_, report) = get(&world, "/health", None).await;
    assert_eq!(ids(&report, "healthy_endpoints"), ["a", "b"]);
    assert_eq!(report["healthy_endpoints"][0]["checked_ms_ago"], 3_000);
    world.providers.script("a", Step::status(500));
    let (_, report) = get(&world, "/health?check=true", None).await;
    assert_eq!(
        ids(&report, "unhealthy_endpoints"),
        ["a"],
        "it can be wanted: {report}"
    );
}

#[tokio::test(start_paused = true)]
async fn it_needs_the_key_and_probes_need_none() {
    let world = VirtualWorld::new(&config("general_settings: {master_key: sk-master}\n"));
    let (status, error) = get(&world, "/health?check=false", None).await;
    assert_eq!(
        (status, &error["error"]["type"]),
        (401, &json!("authentication_error"))
    );
    assert_eq!(get(&world, "/health", Some("sk-other")).await.0, 401);
    assert_eq!(calls(&world), 0);
    assert_eq!(
        get(&world, "/health?check=false", Some("sk-master"))
            .await
            .0,
        200
    );
    assert_eq!(get(&world, "/health/readiness", None).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_an_error() {
    let world = VirtualWorld::new(&config(""));
    let (status, error) = get(&world, "/health?check=perhaps", None).await;
    assert_eq!(
        (status, &error["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
    assert_eq!(world.post("/health", &json!({})).await.status, 405);
    assert_eq!(calls(&world), 0);
}

//! Hits have a row on the bill, and a count.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use ziggurat::{Money, Usage, settle::Outcome};
use ziggurat_testkit::provider::Step;

use crate::caching::support::{ON, ask, world};

#[tokio::test(start_paused = true)]
async fn a_hit_has_a_row_that_costs_nothing_under_the_name_of_its_request() {
    let (world, recent) = world(&["a"], ON);
    world.providers.script("a", Step::ok().usage(12, 5));
    for stream in [false, true] {
        ask(
            &world,
            json!({"stream": stream, "user": "u", "tags": ["t"]}),
        )
        .await;
        let [paid] = &recent.take()[..] else {
            panic!("there is one attempt")
        };
        assert_eq!(
            (paid.outcome(), paid.usage()),
            (Outcome::Served, &Usage::new(12, 5))
        );
        let reply = ask(
            &world,
            json!({"stream": stream, "user": "u", "tags": ["t"]}),
        )
        .await;
        let [hit] = &recent.take()[..] else {
            panic!("there is one hit")
        };
        assert_eq!(
            (hit.outcome(), hit.usage()),
            (Outcome::Cached, &Usage::new(12, 5))
        );
        assert_eq!(hit.cost(), Some(Money::ZERO));
        assert_eq!(
            hit.request_id().to_string(),
            reply.header("x-litellm-call-id")
        );
        let row = hit.to_json();
        assert_eq!(
            (
                &row["outcome"],
                &row["cost"],
                &row["model_group"],
                &row["user"],
                &row["tags"]
            ),
            (
                &json!("cached"),
                &json!("0"),
                &json!("a"),
                &json!("u"),
                &json!(["t"])
            )
        );
        assert!(row.get("model_id").is_none() && row.get("provider").is_none());
    }
}

fn recorder() -> PrometheusHandle {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).expect("is the only one");
    handle
}

#[tokio::test(start_paused = true)]
async fn hits_and_misses_are_counted_by_group() {
    let metrics = recorder();
    let sections = format!("{ON}router_settings: {{model_group_alias: {{also: z}}}}\n");
    let (world, _) = world(&["z"], &sections);
    world.providers.script("z", Step::ok().usage(12, 5));
    for name in ["z", "also", "z"] {
        world.chat(name, json!({})).await;
    }
    world
        .chat("z", json!({"cache": {"use-cache": false}}))
        .await;
    world.chat("nobody", json!({})).await;
    let text = metrics.render();
    let labels = "{model_group=\"z\",route=\"chat_completions\"}";
    for (name, count) in [
        ("litellm_cache_hits_metric", 2),
        ("litellm_cache_misses_metric", 1),
        ("litellm_cached_tokens_metric", 34),
    ] {
        let line = format!("{name}{labels} {count}");
        assert!(text.lines().any(|it| it == line), "{line} in {text}");
    }
    let page = world.router.usage().group("z").expect("was asked");
    let totals = page.totals();
    assert_eq!(
        (totals.requests(), totals.cached(), totals.successes()),
        (4, 2, 2),
        "the page says the same"
    );
    assert_eq!(totals.input_tokens() + totals.output_tokens(), 34);
    assert_eq!(totals.latency().count(), 2);
    assert!(world.router.usage().group("nobody").is_none());
}

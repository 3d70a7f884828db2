//! The main job over real sockets: what a client sees, and what the providers see of it.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use ziggurat_testkit::provider::{SseChunking, Step};
use ziggurat_tests::World;

const TWO: &str = r#"
model_list:
  - model_name: gpt
    litellm_params: {model: openai/m, api_base: "{a}", api_key: k}
    model_info: {id: a}
  - model_name: gpt
    litellm_params: {model: openai/m, api_base: "{b}", api_key: k}
    model_info: {id: b}
router_settings: {num_retries: 3}
"#;

const FALLBACK: &str = r#"
model_list:
  - model_name: primary
    litellm_params: {model: openai/m, api_base: "{a}", api_key: k}
    model_info: {id: a}
  - model_name: backup
    litellm_params: {model: openai/m, api_base: "{b}", api_key: k}
    model_info: {id: b}
router_settings: {num_retries: 1, fallbacks: [{primary: [backup]}]}
"#;

fn streamed() -> serde_json::Value {
    json!({"stream": true})
}

#[tokio::test]
async fn headers_tell_who_answered_and_what_happened_before() {
    let world = World::start(FALLBACK).await;
    world.providers.script("a", Step::status(503));
    let reply = world.chat("primary", json!({})).await;
    assert_eq!((reply.status, reply.answer().as_str()), (200, "from b"));
    assert_eq!(reply.header("x-litellm-model-id"), "b");
    assert_eq!(reply.header("x-litellm-model-group"), "backup");
    assert_eq!(reply.header("x-litellm-attempted-fallbacks"), "1");
    let trail = reply.header("x-ziggurat-trail");
    assert!(
        trail.starts_with("a=unavailable/") && trail.contains(", b=ok/"),
        "{trail}"
    );
    assert!(!reply.header("x-litellm-call-id").is_empty());
    assert!(
        reply
            .header("x-litellm-response-duration-ms")
            .parse::<f64>()
            .is_ok()
    );
    assert!(
        reply
            .header("x-litellm-overhead-duration-ms")
            .parse::<f64>()
            .is_ok()
    );
}

#[tokio::test]
async fn upstream_calls_are_the_attempts_of_the_trail() {
    let world = World::start(FALLBACK).await;
    world.providers.script("a", Step::status(500));
    world.providers.script("b", Step::status(500));
    let reply = world.chat("primary", json!({})).await;
    assert_eq!(reply.status, 500);
    let attempts = reply.header("x-ziggurat-trail").split(", ").count() as u64;
    assert_eq!(
        world.providers.count("a") + world.providers.count("b"),
        attempts
    );
    assert_eq!(
        attempts,
        4,
        "two in each group: {}",
        reply.header("x-ziggurat-trail")
    );
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_token_is_never_seen() {
    for fault in [
        Step::ok().cut_after(0),
        Step::ok().role_chunk_first().cut_after(0),
        Step::ok().end_after(0),
        Step::ok().stream_error_after(0, json!({"message": "overloaded", "type": "server_error"})),
        Step::ok().reset(),
        Step::status(500),
        Step::ok().raw("<html>not an answer</html>", "text/html"),
        Step::ok().raw("", "text/event-stream"),
    ] {
        let world = World::start(TWO).await;
        world.providers.script("a", fault.clone());
        for _ in 0..6 {
            let reply = world.chat("gpt", streamed()).await;
            assert_eq!(reply.status, 200, "{fault:?}: {}", reply.text);
            assert!(reply.is_whole_stream(), "{fault:?}: {}", reply.text);
            assert!(
                reply.answer().starts_with("from b"),
                "{fault:?}: {}",
                reply.text
            );
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_after_its_first_token_never_looks_complete() {
    for fault in [
        Step::ok().words(60).cut_after(40),
        Step::ok().words(60).end_after(40),
        Step::ok().words(60).without_finish(),
        Step::ok()
            .words(60)
            .stream_error_after(40, json!({"message": "overloaded", "type": "server_error"})),
    ] {
        let world = World::start(FALLBACK).await;
        world.providers.script("a", fault.clone());
        let reply = world.chat("primary", streamed()).await;
        assert_eq!(reply.status, 200);
        assert!(
            reply.ends_in_error() && !reply.text.contains("[DONE]"),
            "{fault:?}: {}",
            reply.text
        );
        assert_eq!(
            world.providers.count("a") + world.providers.count("b"),
            1,
            "nothing is sent again"
        );
    }
}

#[tokio::test]
async fn odd_streams_that_are_whole_arrive_whole() {
    for step in [
        Step::ok().words(20).without_done(),
        Step::ok().words(20).malformed_at(10),
        Step::ok().words(20).comments(),
        Step::ok().words(20).role_chunk_first(),
        Step::ok()
            .words(20)
            .sse_chunking(SseChunking::SplitEvery(1)),
        Step::ok().words(20).sse_chunking(SseChunking::AllAtOnce),
        Step::ok().words(20).sse_chunking(SseChunking::Crlf),
    ] {
        let world = World::start(FALLBACK).await;
        world.providers.script("a", step.clone());
        let reply = world.chat("primary", streamed()).await;
        assert!(reply.is_whole_stream(), "{step:?}: {}", reply.text);
        assert_eq!(
            reply.answer(),
            ziggurat_testkit::provider::healthy_text("a", 20),
            "{step:?}"
        );
    }
}

#[tokio::test]
async fn usage_is_asked_for_and_hidden_from_who_did_not_ask() {
    let world = World::start(FALLBACK).await;
    let silent = world.chat("primary", streamed()).await;
    assert!(!silent.text.contains("prompt_tokens"), "{}", silent.text);
    let asked = world
        .chat(
            "primary",
            json!({"stream": true, "stream_options": {"include_usage": true}}),
        )
        .await;
    assert!(asked.text.contains("prompt_tokens"), "{}", asked.text);
    for call in world.providers.calls("a") {
        assert_eq!(call.json()["stream_options"]["include_usage"], true);
    }
}

#[tokio::test]
async fn a_200_that_is_no_answer_is_a_failure() {
    for fault in [
        Step::ok().raw("", "application/json"),
        Step::ok().raw("<html>sorry</html>", "text/html"),
        Step::ok().raw(r#"{"choices": []}"#, "application/json"),
        Step::ok().error_in_200(),
        Step::ok().empty_answer(),
    ] {
        let world = World::start(FALLBACK).await;
        world.providers.script("a", fault.clone());
        let reply = world.chat("primary", json!({})).await;
        assert_eq!(
            (reply.status, reply.answer().as_str()),
            (200, "from b"),
            "{fault:?}: {}",
            reply.text
        );
    }
}

#[tokio::test]
async fn killing_an_upstream_under_200_streams_leaves_no_hang_and_no_false_end() {
    let world = World::start(TWO).await;
    let step = || Step::ok().words(200).chunk_delay(Duration::from_millis(20));
    world.providers.script("a", step());
    world.providers.script("b", step());
    let streams = join_all((0..200).map(|_| world.chat("gpt", streamed())));
    let kill = async {
        world
            .providers
            .wait_until(|providers| providers.in_flight("a") + providers.in_flight("b") == 200)
            .await;
        world.providers.kill("a");
    };
    let (replies, ()) = tokio::join!(streams, kill);
    let whole = replies
        .iter()
        .filter(|reply| reply.is_whole_stream())
        .count();
    for reply in &replies {
        assert!(
            reply.is_whole_stream() || reply.ends_in_error(),
            "{} … {:?}",
            reply.status,
            reply.events().last()
        );
        if reply.is_whole_stream() {
            assert!(reply.answer().ends_with(" w199"), "{}", reply.answer());
        }
    }
    assert!(whole > 0 && whole < 200, "{whole} of 200 were whole");
    world
        .providers
        .wait_until(|providers| providers.in_flight("a") + providers.in_flight("b") == 0)
        .await;
    assert_eq!(world.router.in_flight(), 0);
    world.providers.revive("a");
    assert_eq!(world.chat("gpt", json!({})).await.status, 200);
}

#[tokio::test]
async fn a_hang_up_closes_the_upstream_in_every_phase() {
    for step in [
        Step::ok().hang(),
        Step::ok().first_token_delay(Duration::from_secs(600)),
        Step::ok().words(60).stall_after(5, None),
    ] {
        let world = World::start(FALLBACK).await;
        world.providers.script("a", step);
        let body = ziggurat_tests::chat("primary", streamed());
        let request = world
            .client
            .post(world.url("/v1/chat/completions"))
            .json(&body)
            .send();
        let hang_up = async {
            tokio::select! {
                response = request => {
                    let mut response = response.expect("answers");
                    let _ = response.chunk().await;
                    drop(response);
                }
                () = world.providers.wait_until(|providers| providers.in_flight("a") == 1) => {}
            }
        };
        hang_up.await;
        let closed = world
            .providers
            .wait_until(|providers| providers.hung_up("a") == 1);
        tokio::time::timeout(ziggurat_tests::PATIENCE, closed)
            .await
            .expect("the upstream is closed");
        assert_eq!(world.router.in_flight(), 0);
    }
}

#[tokio::test]
async fn what_the_client_sent_reaches_the_provider_byte_for_byte() {
    let world = World::start(FALLBACK).await;
    let body = r#"{ "model":"primary" , "temperature" : 0.10, "num_retries": 0, "messages":[ {"role":"user","content":"h\u00e9 "} ],"x":[1,2 ,3]}"#;
    let sent = world
        .client
        .post(world.url("/chat/completions"))
        .body(body)
        .send()
        .await
        .expect("answers");
    assert_eq!(sent.status(), 200);
    let seen = world.providers.calls("a").remove(0).body;
    assert_eq!(
        String::from_utf8_lossy(&seen),
        r#"{ "model":"m" , "temperature" : 0.10, "messages":[ {"role":"user","content":"h\u00e9 "} ],"x":[1,2 ,3]}"#
    );
}

#[tokio::test]
async fn listings_and_errors_hold_no_secret() {
    const CANARY: &str = "sk-canary-5ca1ab1e";
    let world = World::start(&TWO.replace("api_key: k", &format!("api_key: {CANARY}"))).await;
    world.providers.script("a", Step::status(401));
    world.providers.script("b", Step::ok().reset());
    let mut seen = world.chat("gpt", json!({})).await.text;
    for path in [
        "/v1/models",
        "/model/info",
        "/v1/model/info",
        "/health/readiness",
    ] {
        seen += &world
            .client
            .get(world.url(path))
            .send()
            .await
            .expect("answers")
            .text()
            .await
            .expect("is text");
    }
    assert!(seen.contains("\"gpt\""));
    assert!(!seen.contains(CANARY) && !seen.contains("canary"), "{seen}");
}

#[tokio::test]
async fn a_large_body_arrives_whole_and_with_its_length() {
    let world = World::start(FALLBACK).await;
    world.providers.keep("a", 1, 4 << 20);
    let text = "0123456789abcdef".repeat(1 << 16);
    let body = |model: &str, router: &str| {
        format!(
            r#"{{"model":"{model}"{router},"messages":[{{"role":"user","content":"{text}"}}]}}"#
        )
    };
    let sent = body("primary", r#","num_retries":0"#);
    let reply = world
        .client
        .post(world.url("/v1/chat/completions"))
        .body(sent)
        .send()
        .await;
    assert_eq!(reply.expect("answers").status(), 200);
    let call = world.providers.calls("a").remove(0);
    assert_eq!(
        call.headers["content-length"],
        call.body.len().to_string().as_str()
    );
    assert!(call.body == body("m", ""), "the body is not what was sent");
}

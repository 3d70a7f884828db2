//! Clients of other shapes than chat: the same stack, with answers and errors as they know them.

use std::time::Duration;

use serde_json::{Value, json};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::{Reply, VirtualWorld, World};

use super::support::WITH_SPARE;

const CLAUDE: &str = r#"
model_list:
  - {model_name: m, litellm_params: {model: anthropic/claude, api_base: "{a}", api_key: key-a}, model_info: {id: a}}
general_settings: {master_key: sk-test}
"#;

/// A shape, and how its clients see what happens.
pub(super) struct Shape {
    path: &'static str,
    pub(super) body: fn(bool) -> Value,
    /// The events of a whole answer of four words.
    events: &'static [&'static str],
    /// Where the type of an error stands in the event of a broken stream.
    broken_type: &'static str,
}

pub(super) const MESSAGES: Shape = Shape {
    path: "/v1/messages",
    body: |stream| {
        json!({
            "model": "m", "max_tokens": 99, "system": "be kind", "stream": stream,
            "messages": [{"role": "user", "content": "hello"}],
        })
    },
    events: &[
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ],
    broken_type: "api_error",
};

const RESPONSES: Shape = Shape {
    path: "/v1/responses",
    body: |stream| json!({"model": "m", "instructions": "be kind", "input": "hello", "stream": stream}),
    events: &[
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ],
    broken_type: "server_error",
};

const SHAPES: [&Shape; 2] = [&MESSAGES, &RESPONSES];

impl Shape {
    /// The text of a whole answer.
    fn text(answer: &Value) -> &str {
        let first = match answer["content"][0].is_object() {
            true => &answer["content"][0],
            false => &answer["output"][0]["content"][0],
        };
        first["text"].as_str().unwrap_or_default()
    }

    async fn ask(&self, world: &VirtualWorld, stream: bool) -> Reply {
        world.post(self.path, &(self.body)(stream)).await
    }

    /// That a reply is an error in the envelope of the shape; of that type if that is Anthropic's.
    pub(super) fn assert_error(&self, reply: &Reply, status: u16, kind: &str) {
        let json = reply.json();
        assert_eq!(reply.status, status, "{}: {}", self.path, reply.text);
        assert_eq!(reply.header("content-type"), "application/json");
        let error = json["error"].as_object().expect("has an error");
        assert!(error["message"].is_string(), "{}", reply.text);
        if self.path == MESSAGES.path {
            assert_eq!(
                (&json["type"], &error["type"]),
                (&json!("error"), &json!(kind))
            );
            assert!(!error.contains_key("code"), "{}", reply.text);
        } else {
            assert!(!json["type"].is_string(), "{}", reply.text);
            assert!(error.contains_key("code") && error.contains_key("param"));
        }
    }
}

/// The names of the events of a stream, and their data. The data names the event as well.
fn events(reply: &Reply) -> Vec<(String, Value)> {
    let blocks = reply.text.split("\n\n").filter(|block| {
        let is_comment = block.starts_with(':');
        !block.is_empty() && !is_comment
    });
    let events = blocks.map(|block| {
        let (name, data) = block.split_once('\n').expect("has two lines");
        let name = name.strip_prefix("event: ").expect("is named").to_owned();
        let data = data.strip_prefix("data: ").expect("has data");
        let data: Value = serde_json::from_str(data).expect("is JSON");
        assert_eq!(data["type"], name.as_str());
        (name, data)
    });
    events.collect()
}

/// The words of a stream, in either shape.
fn said(events: &[(String, Value)]) -> String {
    let deltas = events.iter().map(|(_, data)| &data["delta"]);
    let texts = deltas.filter_map(|delta| delta.as_str().or(delta["text"].as_str()));
    texts.collect()
}

fn assert_whole(shape: &Shape, reply: &Reply, text: &str) {
    assert_eq!(reply.status, 200, "{}: {}", shape.path, reply.text);
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let events = events(reply);
    let names: Vec<_> = events.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, shape.events, "{}", reply.text);
    assert_eq!(said(&events), text);
    assert!(!reply.text.contains("[DONE]"));
}

/// That a stream said this, and then told of a failure and nothing more.
fn assert_broken(shape: &Shape, reply: &Reply, text: &str) {
    assert_eq!((reply.status, reply.broken), (200, false), "{}", reply.text);
    let events = events(reply);
    assert_eq!(said(&events), text, "{}", reply.text);
    let (last, before) = events.split_last().expect("has events");
    assert_eq!(last.0, "error", "{}", reply.text);
    assert_eq!(last.1["error"]["type"], shape.broken_type);
    assert!(last.1["error"]["message"].is_string());
    for end in ["message_stop", "message_delta", "response.completed"] {
        assert!(before.iter().all(|(name, _)| name != end), "{}", reply.text);
    }
    assert!(!reply.text.contains("[DONE]"));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_answered_in_anthropics_shape() {
    let world = VirtualWorld::new(WITH_SPARE);
    for path in ["/v1/messages", "/messages", "/anthropic/v1/messages"] {
        let reply = world.post(path, &(MESSAGES.body)(false)).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        let answer = reply.json();
        assert_eq!(
            (&answer["type"], &answer["role"], &answer["stop_reason"]),
            (&json!("message"), &json!("assistant"), &json!("end_turn"))
        );
        assert_eq!(Shape::text(&answer), "from a");
        assert_eq!(answer["usage"]["input_tokens"], 10);
        assert_eq!(answer["usage"]["output_tokens"], 5);
        assert_eq!(reply.header("x-litellm-model-id"), "a");
    }
    let call = world.providers.calls("a").pop().expect("was called");
    assert_eq!(call.path, "/v1/chat/completions");
    let sent = call.json();
    assert_eq!(sent["model"], "real");
    assert_eq!(
        sent["messages"],
        json!([{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}])
    );
}

#[tokio::test(start_paused = true)]
async fn a_response_is_answered_in_its_own_shape() {
    let world = VirtualWorld::new(WITH_SPARE);
    for path in ["/v1/responses", "/responses"] {
        let reply = world.post(path, &(RESPONSES.body)(false)).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        let answer = reply.json();
        assert_eq!(
            (&answer["object"], &answer["status"]),
            (&json!("response"), &json!("completed"))
        );
        assert_eq!(Shape::text(&answer), "from a");
        assert_eq!(answer["usage"]["input_tokens"], 10);
        assert_eq!(answer["usage"]["output_tokens"], 5);
    }
    let call = world.providers.calls("a").pop().expect("was called");
    assert_eq!(call.path, "/v1/chat/completions");
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_all_events_of_its_shape_in_order() {
    for shape in SHAPES {
        let world = VirtualWorld::new(WITH_SPARE);
        for step in [Step::ok(), Step::ok().comments(), Step::ok().without_done()] {
            world.providers.script("a", step.role_chunk_first());
            let reply = shape.ask(&world, true).await;
            let without_pings = reply
                .text
                .replace("event: ping\ndata: {\"type\":\"ping\"}\n\n", "");
            let reply = Reply {
                text: without_pings,
                ..reply
            };
            assert_whole(shape, &reply, "from a w1 w2 w3");
            let events = events(&reply);
            let numbers = events
                .iter()
                .map(|(_, data)| data["sequence_number"].as_u64());
            if shape.path == RESPONSES.path {
                let last = &events[events.len() - 1].1["response"];
                assert!(numbers.eq((0..).map(Some).take(events.len())));
                assert_eq!(last["status"], "completed");
                assert_eq!(last["usage"]["output_tokens"], 5);
                assert_eq!(Shape::text(last), "from a w1 w2 w3");
            } else {
                let delta = &events[events.len() - 2].1;
                assert_eq!(delta["delta"]["stop_reason"], "end_turn");
                assert_eq!(delta["usage"]["output_tokens"], 5);
                assert!(numbers.eq(vec![None; events.len()]));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_and_elsewhere_before_the_first_content() {
    for shape in SHAPES {
        for stream in [false, true] {
            let world = VirtualWorld::new(WITH_SPARE);
            let retried = |reply: &Reply| reply.header("x-litellm-attempted-retries") == "1";
            world.providers.script("a", [Step::status(500), Step::ok()]);
            let reply = shape.ask(&world, stream).await;
            assert!(
                reply.text.contains("from a") && retried(&reply),
                "{}",
                reply.text
            );

            world.providers.script("a", Step::status(500));
            let reply = shape.ask(&world, stream).await;
            assert!(reply.text.contains("from b"), "{}", reply.text);
            assert_eq!(reply.header("x-litellm-attempted-fallbacks"), "1");
        }
        let error = json!({"code": "rate_limit_exceeded", "message": "slow down"});
        for step in [
            Step::ok().cut_after(0),
            Step::ok().end_after(0),
            Step::ok().stream_error_after(0, error),
        ] {
            let world = VirtualWorld::new(WITH_SPARE);
            world.providers.script("a", vec![step; 2]);
            let reply = shape.ask(&world, true).await;
            assert_whole(shape, &reply, "from b w1 w2 w3");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_never_looks_whole() {
    let error = json!({"code": "server_error", "message": "it broke"});
    for shape in SHAPES {
        for step in [
            Step::ok().cut_after(2),
            Step::ok().end_after(2),
            Step::ok().stream_error_after(2, error.clone()),
        ] {
            let world = VirtualWorld::new(WITH_SPARE);
            world.providers.script("a", step);
            let reply = shape.ask(&world, true).await;
            assert_broken(shape, &reply, "from a w1");
            assert_eq!(world.providers.count("b"), 0);
        }
        let world = VirtualWorld::new(WITH_SPARE);
        world.providers.script("a", Step::ok().without_finish());
        let reply = shape.ask(&world, true).await;
        assert_broken(shape, &reply, "from a w1 w2 w3");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_come_in_the_envelope_that_a_client_reads() {
    for shape in SHAPES {
        for stream in [false, true] {
            let world = VirtualWorld::new(WITH_SPARE);
            let limited = Step::status(429).retry_after(7);
            for provider in ["a", "b"] {
                world.providers.script(provider, limited.clone());
            }
            let reply = shape.ask(&world, stream).await;
            shape.assert_error(&reply, 429, "rate_limit_error");
            assert!(!reply.header("retry-after").is_empty());

            let mut unknown = (shape.body)(stream);
            unknown["model"] = json!("unknown");
            let reply = world.post(shape.path, &unknown).await;
            shape.assert_error(&reply, 404, "not_found_error");

            let mut wrong = (shape.body)(stream);
            wrong["stream"] = json!("yes");
            let reply = world.post(shape.path, &wrong).await;
            shape.assert_error(&reply, 400, "invalid_request_error");
            assert!(reply.text.contains("`stream`"), "{}", reply.text);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_stream_is_kept_alive_and_may_still_fail() {
    for shape in SHAPES {
        let world = VirtualWorld::new(WITH_SPARE);
        let slow = Duration::from_secs(20);
        let mut body = (shape.body)(true);
        body["num_retries"] = json!(0);
        body["disable_fallbacks"] = json!(true);
        let kept_alive = |reply: &Reply| reply.text.starts_with(": keep-alive\n\n");

        world.providers.script("a", Step::ok().delay(slow));
        let reply = world.post(shape.path, &body).await;
        assert!(kept_alive(&reply), "{}", reply.text);
        assert_whole(shape, &reply, "from a w1 w2 w3");

        world.providers.script("a", Step::status(500).delay(slow));
        let reply = world.post(shape.path, &body).await;
        assert!(kept_alive(&reply), "{}", reply.text);
        assert_broken(shape, &reply, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_of_the_same_shape_gets_and_gives_it_as_it_is() {
    let world = VirtualWorld::new(CLAUDE);
    let whole = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "future": 1,
        "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn",
        "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 2},
    });
    let step = Step::ok().raw(whole.to_string(), "application/json");
    world.providers.script("a", step);
    let mut body = (MESSAGES.body)(false);
    body["future_field"] = json!({"x": 1});
    let headers = [
        ("x-api-key", "sk-test"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "one-2025-01-01,two-2025-01-01"),
    ];
    let reply = world.begin("/v1/messages", &body, &headers).await;
    let reply = reply.read().await;
    assert_eq!((reply.status, reply.json()), (200, whole), "{}", reply.text);
    let call = world.providers.calls("a").pop().expect("was called");
    let header = |name: &str| call.headers[name].to_str().expect("is text").to_owned();
    body["model"] = json!("claude");
    assert_eq!((call.path.as_str(), call.json()), ("/v1/messages", body));
    assert_eq!(header("x-api-key"), "key-a");
    let betas = header("anthropic-beta");
    assert!(
        betas.contains("one-2025-01-01") && betas.contains("two-2025-01-01"),
        "{betas}"
    );

    let begun = concat!(
        "event: message_start\n",
        r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","#,
        r#""model":"claude","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}"#,
        "\n\nevent: content_block_start\n",
        r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        "\n\nevent: ping\n",
        r#"data: {"type": "ping"}"#,
        "\n\nevent: content_block_delta\n",
        r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#,
        "\n\n",
    );
    let overloaded = concat!(
        "event: error\n",
        r#"data: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
        "\n\n",
    );
    let stream = async |text: String| {
        let step = Step::ok().raw(text, "text/event-stream");
        world.providers.script("a", step);
        let body = (MESSAGES.body)(true);
        let reply = world.begin("/v1/messages", &body, &headers).await;
        reply.read().await
    };
    let reply = stream(begun.to_owned()).await;
    let rest = reply.text.strip_prefix(begun).expect("begins as it came");
    assert!(rest.starts_with("event: error\n"), "{}", reply.text);
    assert_broken(&MESSAGES, &reply, "hi");
    // What comes in one read has not begun.
    let reply = stream(format!("{begun}{overloaded}")).await;
    MESSAGES.assert_error(&reply, 503, "overloaded_error");
}

#[tokio::test]
async fn a_client_that_is_not_let_in_can_read_why() {
    let world = World::start(CLAUDE).await;
    let send = |path: &str, key: Option<(&str, &str)>| {
        let request = world.client.post(world.url(path));
        let request = match key {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        world.send(request.json(&json!({"model": "unknown"})))
    };
    for path in [
        "/v1/messages",
        "/anthropic/v1/messages",
        "/v1/messages/count_tokens",
    ] {
        for key in [None, Some(("x-api-key", "sk-wrong"))] {
            let reply = send(path, key).await;
            MESSAGES.assert_error(&reply, 401, "authentication_error");
        }
        for key in [
            ("x-api-key", "sk-test"),
            ("authorization", "Bearer sk-test"),
        ] {
            let reply = send(path, Some(key)).await;
            MESSAGES.assert_error(&reply, 404, "not_found_error");
        }
    }
    for key in [None, Some(("x-api-key", "sk-wrong"))] {
        let reply = send("/v1/responses", key).await;
        RESPONSES.assert_error(&reply, 401, "");
    }
    // Some clients send the key of another server beside it.
    let request = world.client.post(world.url("/v1/messages"));
    let request = request.bearer_auth("other").header("x-api-key", "sk-test");
    let reply = world.send(request.json(&json!({"model": "unknown"}))).await;
    MESSAGES.assert_error(&reply, 404, "not_found_error");
}

#[tokio::test]
async fn routes_that_are_not_there_say_so() {
    let world = World::start(WITH_SPARE).await;
    let reply = world.get("/v1/messages").await;
    MESSAGES.assert_error(&reply, 405, "invalid_request_error");
    let reply = world.get("/v1/messages/batches").await;
    MESSAGES.assert_error(&reply, 404, "not_found_error");
    for path in ["/v1/responses/resp_1", "/v1/responses/resp_1/input_items"] {
        let reply = world.get(path).await;
        RESPONSES.assert_error(&reply, 404, "");
        assert!(reply.text.contains("was not stored"), "{}", reply.text);
    }
    let reply = world.post("/v1/responses/resp_1/cancel", &json!({})).await;
    RESPONSES.assert_error(&reply, 404, "");
}

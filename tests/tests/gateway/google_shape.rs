//! Clients of Google's shape: the same stack, with answers and errors as they know them.

use std::time::Duration;

use serde_json::{Value, json};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::{Reply, VirtualWorld, World};

const CONFIG: &str = r#"
model_list:
  - {model_name: m, litellm_params: {model: openai/real, api_base: "{a}", api_key: key-a}, model_info: {id: a}}
  - {model_name: spare, litellm_params: {model: openai/other, api_base: "{b}", api_key: key-b}, model_info: {id: b}}
  - {model_name: "x/y:z", litellm_params: {model: openai/odd, api_base: "{a}", api_key: key-a}, model_info: {id: c}}
  - {model_name: e, litellm_params: {model: openai/small, api_base: "{a}", api_key: key-a}, model_info: {id: d, mode: embedding}}
router_settings: {num_retries: 1, fallbacks: [{m: [spare]}]}
"#;

const GEMINI: &str = r#"
model_list:
  - {model_name: m, litellm_params: {model: gemini/gemini-2.5-pro, api_base: "{a}", api_key: key-a}, model_info: {id: a}}
general_settings: {master_key: sk-test}
"#;

const WHOLE: &str = "/v1beta/models/m:generateContent";
const EVENTS: &str = "/v1beta/models/m:streamGenerateContent?alt=sse";
const LIST: &str = "/v1beta/models/m:streamGenerateContent";

fn asks() -> Value {
    json!({
        "systemInstruction": {"parts": [{"text": "be kind"}]},
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
        "generationConfig": {"maxOutputTokens": 99},
    })
}

fn said(answers: &[Value]) -> String {
    let parts = answers
        .iter()
        .map(|answer| &answer["candidates"][0]["content"]["parts"][0]);
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// The answers of a stream, in either form.
fn answers(reply: &Reply) -> Vec<Value> {
    if reply.header("content-type") == "application/json" {
        let Value::Array(list) = reply.json() else {
            panic!("is a list: {}", reply.text);
        };
        return list;
    }
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let lines = reply.text.lines().filter(|line| !line.is_empty());
    // Google's Python client takes anything but data for an answer.
    let data = lines.map(|line| line.strip_prefix("data: ").expect("is data"));
    data.map(|data| serde_json::from_str(data).expect("is JSON"))
        .collect()
}

fn assert_whole(reply: &Reply, text: &str) {
    assert_eq!((reply.status, reply.broken), (200, false), "{}", reply.text);
    let answers = answers(reply);
    assert_eq!(said(&answers), text, "{}", reply.text);
    let (last, before) = answers.split_last().expect("has answers");
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(last["usageMetadata"]["candidatesTokenCount"], 5);
    assert!(
        before
            .iter()
            .all(|answer| answer["candidates"][0].get("finishReason").is_none())
    );
}

/// That a stream said this, and then told of a failure and nothing more.
fn assert_broken(reply: &Reply, text: &str) {
    assert_eq!((reply.status, reply.broken), (200, false), "{}", reply.text);
    let answers = answers(reply);
    let (last, before) = answers.split_last().expect("has answers");
    assert_eq!(said(before), text, "{}", reply.text);
    assert!(last["error"]["status"].is_string(), "{}", reply.text);
    assert!(!reply.text.contains("finishReason"), "{}", reply.text);
}

fn assert_error(reply: &Reply, code: u16, status: &str) {
    assert_eq!(reply.status, code, "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/json");
    let json = reply.json();
    let error = json.get(0).unwrap_or(&json)["error"].clone();
    assert_eq!(
        (&error["code"], &error["status"]),
        (&json!(code), &json!(status))
    );
    assert!(error["message"].is_string(), "{}", reply.text);
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_in_google_s_shape_on_every_path() {
    let world = VirtualWorld::new(CONFIG);
    for path in [
        WHOLE,
        "/v1/models/m:generateContent",
        "/models/m:generateContent",
        "/gemini/v1beta/models/m:generateContent",
        "/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
        "/vertex_ai/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
        "/v1beta1/publishers/google/models/m%3AgenerateContent",
    ] {
        let reply = world.post(path, &asks()).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        let expected = json!([{
            "content": {"parts": [{"text": "from a"}], "role": "model"},
            "finishReason": "STOP", "index": 0,
        }]);
        let answer = reply.json();
        assert_eq!(answer["candidates"], expected);
        assert_eq!(
            answer["usageMetadata"],
            json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15})
        );
        assert_eq!(reply.header("x-litellm-model-id"), "a");
    }
    let call = world.providers.calls("a").pop().expect("was called");
    assert_eq!(call.path, "/v1/chat/completions");
    let expected = json!({
        "model": "real", "max_completion_tokens": 99,
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}],
    });
    assert_eq!(call.json(), expected);
    for path in [
        "/v1beta/models/x/y:z:generateContent",
        "/models/x%2Fy%3az:generateContent",
    ] {
        let reply = world.post(path, &asks()).await;
        assert_eq!(reply.header("x-litellm-model-id"), "c", "{}", reply.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_events_or_a_list() {
    for path in [EVENTS, LIST] {
        let world = VirtualWorld::new(CONFIG);
        for step in [Step::ok(), Step::ok().comments(), Step::ok().without_done()] {
            world.providers.script("a", step.role_chunk_first());
            let reply = world.post(path, &asks()).await;
            assert_whole(&reply, "from a w1 w2 w3");
            assert_eq!(answers(&reply).len(), 5, "{}", reply.text);
        }
        let call = world.providers.calls("a").pop().expect("was called");
        let sent = call.json();
        assert_eq!(
            (&sent["stream"], &sent["stream_options"]["include_usage"]),
            (&json!(true), &json!(true))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_meant_for_the_router_works_and_goes_no_further() {
    let world = VirtualWorld::new(CONFIG);
    let mut body = asks();
    body["num_retries"] = json!(0);
    body["fallbacks"] = json!([{"model": "x/y:z", "temperature": 0.5}]);
    body["metadata"] = json!({"tags": ["t"], "mine": 1});
    body["tags"] = json!(["u"]);
    world.providers.script("a", [Step::status(500), Step::ok()]);
    let reply = world.post(EVENTS, &body).await;
    assert_whole(&reply, "from a w1 w2 w3");
    assert_eq!(reply.header("x-litellm-model-id"), "c");
    let sent = world.providers.calls("a").pop().expect("was called").json();
    assert_eq!(
        (&sent["model"], &sent["temperature"]),
        (&json!("odd"), &json!(0.5))
    );
    for name in ["num_retries", "fallbacks", "metadata", "tags", "contents"] {
        assert!(sent.get(name).is_none(), "{sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_and_elsewhere_before_the_first_content() {
    for path in [WHOLE, EVENTS, LIST] {
        let world = VirtualWorld::new(CONFIG);
        world.providers.script("a", [Step::status(500), Step::ok()]);
        let reply = world.post(path, &asks()).await;
        assert!(reply.text.contains("from a"), "{}", reply.text);
        assert_eq!(reply.header("x-litellm-attempted-retries"), "1");
        world.providers.script("a", Step::status(500));
        let reply = world.post(path, &asks()).await;
        assert!(reply.text.contains("from b"), "{}", reply.text);
        assert_eq!(reply.header("x-litellm-attempted-fallbacks"), "1");
    }
    for step in [Step::ok().cut_after(0), Step::ok().end_after(0)] {
        let world = VirtualWorld::new(CONFIG);
        world.providers.script("a", vec![step; 2]);
        assert_whole(&world.post(EVENTS, &asks()).await, "from b w1 w2 w3");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_never_looks_whole() {
    let error = json!({"code": "server_error", "message": "it broke"});
    for path in [EVENTS, LIST] {
        for step in [
            Step::ok().cut_after(2),
            Step::ok().end_after(2),
            Step::ok().stream_error_after(2, error.clone()),
        ] {
            let world = VirtualWorld::new(CONFIG);
            world.providers.script("a", step);
            assert_broken(&world.post(path, &asks()).await, "from a w1");
            assert_eq!(world.providers.count("b"), 0);
        }
        let world = VirtualWorld::new(CONFIG);
        world.providers.script("a", Step::ok().without_finish());
        assert_broken(&world.post(path, &asks()).await, "from a w1 w2 w3");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_come_in_the_envelope_that_a_client_reads() {
    for path in [WHOLE, EVENTS, LIST] {
        let world = VirtualWorld::new(CONFIG);
        for provider in ["a", "b"] {
            world
                .providers
                .script(provider, Step::status(429).retry_after(7));
        }
        let reply = world.post(path, &asks()).await;
        assert_error(&reply, 429, "RESOURCE_EXHAUSTED");
        assert!(!reply.header("retry-after").is_empty());
        assert!(reply.text.contains("retryDelay"), "{}", reply.text);

        let reply = world.post(&path.replace("/m:", "/unknown:"), &asks()).await;
        assert_error(&reply, 404, "NOT_FOUND");
        let reply = world
            .post(path, &json!({"contents": [], "num_retries": "x"}))
            .await;
        assert_error(&reply, 400, "INVALID_ARGUMENT");
        assert!(reply.text.contains("`num_retries`"), "{}", reply.text);
        assert_eq!(reply.json().is_array(), path == LIST);
    }
    let world = VirtualWorld::new(CONFIG);
    let mut body = asks();
    body["cachedContent"] = json!("cachedContents/1");
    body["disable_fallbacks"] = json!(true);
    let reply = world.post(WHOLE, &body).await;
    assert_error(&reply, 400, "INVALID_ARGUMENT");
    assert!(reply.text.contains("`cachedContent`"), "{}", reply.text);
    assert_eq!(world.providers.count("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_stream_is_kept_alive_and_may_still_fail() {
    let mut body = asks();
    body["num_retries"] = json!(0);
    body["disable_fallbacks"] = json!(true);
    for (path, silence) in [(EVENTS, "\r\n"), (LIST, "\n")] {
        let world = VirtualWorld::new(CONFIG);
        let slow = Duration::from_secs(20);
        world.providers.script("a", Step::ok().delay(slow));
        let reply = world.post(path, &body).await;
        assert!(reply.text.starts_with(silence), "{}", reply.text);
        assert_whole(&reply, "from a w1 w2 w3");
        world.providers.script("a", Step::status(500).delay(slow));
        let reply = world.post(path, &body).await;
        assert!(reply.text.starts_with(silence), "{}", reply.text);
        assert_broken(&reply, "");
    }
}

#[tokio::test(start_paused = true)]
async fn google_gets_and_gives_it_as_it_is() {
    let world = VirtualWorld::new(GEMINI);
    let whole = concat!(
        r#"{ "candidates": [ {"content": {"parts": [{"text": "hi", "future": 1}], "role": "model"}, "finishReason": "STOP"} ],"#,
        r#" "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}, "modelVersion": "g" }"#,
    );
    let mut body = asks();
    body["futureField"] = json!({"x": 1});
    body["safetySettings"] = json!([{"category": 10, "threshold": 3}]);
    for (path, headers) in [
        (WHOLE.to_owned(), &[("x-goog-api-key", "sk-test")][..]),
        (format!("{WHOLE}?key=sk-test"), &[]),
    ] {
        world
            .providers
            .script("a", Step::ok().raw(whole, "application/json"));
        let reply = world.begin(&path, &body, headers).await.read().await;
        assert_eq!((reply.status, &*reply.text), (200, whole));
        let call = world.providers.calls("a").pop().expect("was called");
        assert_eq!(call.path, "/v1/models/gemini-2.5-pro:generateContent");
        assert_eq!(call.json(), body);
        assert_eq!(call.headers["x-goog-api-key"], "key-a");
    }

    let events = [
        "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"h\"}],\"role\": \"model\"}}],\"usageMetadata\": {\"promptTokenCount\": 3,\"totalTokenCount\": 3}}\r\n\r\n",
        "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"i\"}],\"role\": \"model\"},\"finishReason\": \"STOP\"}],\"usageMetadata\": {\"promptTokenCount\": 3,\"candidatesTokenCount\": 2,\"totalTokenCount\": 5}}\r\n\r\n",
    ];
    let stream = async |path: &str, text: String| {
        world
            .providers
            .script("a", Step::ok().raw(text, "text/event-stream"));
        let headers = [("x-goog-api-key", "sk-test")];
        world.begin(path, &body, &headers).await.read().await
    };
    let reply = stream(EVENTS, events.concat()).await;
    assert_eq!((reply.status, reply.text), (200, events.concat()));
    let call = world.providers.calls("a").pop().expect("was called");
    assert!(
        call.path.ends_with(":streamGenerateContent?alt=sse"),
        "{}",
        call.path
    );
    let reply = stream(LIST, events.concat()).await;
    let told = answers(&reply);
    assert_eq!((told.len(), said(&told)), (2, "hi".to_owned()));
    let reply = stream(EVENTS, events[0].to_owned()).await;
    assert_broken(&reply, "h");
}

#[tokio::test]
async fn a_client_that_is_not_let_in_can_read_why() {
    let world = World::start(GEMINI).await;
    let send = async |path: &str, key: Option<(&str, &str)>| {
        let request = world.client.post(world.url(path));
        let request = match key {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        world.send(request.json(&asks())).await
    };
    for path in [
        WHOLE,
        "/v1beta/models/m:countTokens",
        "/vertex_ai/v1/x",
        "/models/m:embedContent",
    ] {
        for key in [None, Some(("x-goog-api-key", "sk-wrong"))] {
            assert_error(&send(path, key).await, 401, "UNAUTHENTICATED");
        }
    }
    let wrong = send("/v1beta/models/m:generateContent?key=sk-wrong-canary", None).await;
    assert_error(&wrong, 401, "UNAUTHENTICATED");
    assert!(!wrong.text.contains("canary"), "{}", wrong.text);
    let other = WHOLE.replace("/m:", "/unknown:");
    for (path, key) in [
        (other.clone(), Some(("x-goog-api-key", "sk-test"))),
        (other.clone(), Some(("authorization", "Bearer sk-test"))),
        (format!("{other}?key=sk%2Dtest&alt=json"), None),
    ] {
        assert_error(&send(&path, key).await, 404, "NOT_FOUND");
    }
    // A query is no place for the key of anybody else.
    let chat = send("/v1/chat/completions?key=sk-test", None).await;
    assert_eq!(chat.status, 401, "{}", chat.text);
}

#[tokio::test]
async fn routes_that_are_not_there_say_so() {
    let world = World::start(CONFIG).await;
    assert_error(&world.get(WHOLE).await, 405, "INVALID_ARGUMENT");
    assert_error(&world.get("/v1beta/files/x").await, 404, "NOT_FOUND");
    let reply = world.post("/v1beta/models/m:predict", &json!({})).await;
    assert_error(&reply, 404, "NOT_FOUND");
    assert!(reply.text.contains("`embedContent`"), "{}", reply.text);
    // What is not ours there is passed through, where that is allowed.
    for path in [
        "/gemini/v1beta/models/m:predict",
        "/vertex_ai/v1/publishers/google/models/m:predict",
    ] {
        let reply = world.post(path, &json!({})).await;
        assert_error(&reply, 403, "PERMISSION_DENIED");
        assert!(reply.text.contains("use_in_pass_through"), "{}", reply.text);
    }
    let list = world.get("/v1/models").await.json();
    assert_eq!(list["object"], "list");
}

#[tokio::test(start_paused = true)]
async fn the_tokens_of_a_prompt_are_estimated_without_asking_anybody() {
    let world = VirtualWorld::new(CONFIG);
    let path = "/v1beta/models/m:countTokens";
    let count = async |body: &Value| {
        let reply = world.post(path, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("x-ziggurat-estimated"), "true");
        reply.json()["totalTokens"].as_u64().expect("is a number")
    };
    let mut body = asks();
    let little = count(&body).await;
    assert!((1..15).contains(&little), "{little}");
    assert_eq!(
        count(&json!({"generateContentRequest": body})).await,
        little
    );
    body["contents"][0]["parts"][0]["text"] = json!("word ".repeat(1_000));
    let long = count(&body).await;
    assert!((900..1_500).contains(&long), "{long}");
    body["tools"] =
        json!([{"functionDeclarations": [{"name": "f", "description": "word ".repeat(1_000)}]}]);
    let longer = count(&body).await;
    assert!((900..1_500).contains(&(longer - long)), "{longer}");
    assert_eq!(world.providers.count("a") + world.providers.count("b"), 0);

    assert_error(
        &world.post("/models/unknown:countTokens", &asks()).await,
        404,
        "NOT_FOUND",
    );
    assert_error(&world.post(path, &json!([])).await, 400, "INVALID_ARGUMENT");
    let large = json!({"contents": [], "x": "y".repeat(26 * 1024 * 1024)});
    assert_error(&world.post(path, &large).await, 413, "INVALID_ARGUMENT");
}

#[tokio::test(start_paused = true)]
async fn contents_are_embedded() {
    let world = VirtualWorld::new(CONFIG);
    let vectors = |count: usize| {
        let data = (0..count).map(|index| json!({"index": index, "embedding": [0.5, 1.5]}));
        let data: Vec<_> = data.collect();
        let body = json!({"object": "list", "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}});
        Step::ok().raw(body.to_string(), "application/json")
    };
    let one = |text: &str| json!({"model": "models/e", "content": {"parts": [{"text": text}]}, "outputDimensionality": 2, "taskType": "RETRIEVAL_QUERY"});
    world.providers.script("a", vectors(2));
    let body = json!({"requests": [one("x"), one("y")]});
    let reply = world
        .post("/v1beta/models/e:batchEmbedContents", &body)
        .await;
    let values = json!({"values": [0.5, 1.5]});
    assert_eq!(
        reply.json(),
        json!({"embeddings": [values, values]}),
        "{}",
        reply.text
    );
    assert_eq!(reply.header("x-litellm-model-id"), "d");
    let sent = world.providers.calls("a").pop().expect("was called").json();
    assert_eq!(
        (&sent["input"], &sent["dimensions"]),
        (&json!(["x", "y"]), &json!(2))
    );
    assert!(sent.get("task_type").is_none(), "{sent}");

    world.providers.script("a", vectors(1));
    let reply = world
        .post("/gemini/v1beta/models/e:embedContent", &one("x"))
        .await;
    assert_eq!(
        reply.json(),
        json!({ "embedding": values }),
        "{}",
        reply.text
    );
    let reply = world
        .post("/v1beta/models/e:embedContent", &json!({}))
        .await;
    assert_error(&reply, 400, "INVALID_ARGUMENT");
    let reply = world
        .post("/v1beta/models/unknown:embedContent", &one("x"))
        .await;
    assert_error(&reply, 404, "NOT_FOUND");
    world.providers.script("a", vec![Step::status(429); 2]);
    let reply = world.post("/v1beta/models/e:embedContent", &one("x")).await;
    assert_error(&reply, 429, "RESOURCE_EXHAUSTED");
}

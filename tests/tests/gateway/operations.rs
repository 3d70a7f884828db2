//! Images, audio, moderation and ranking go through the same stack as chat.

use std::time::Duration;

use serde_json::{Value, json};
use ziggurat_testkit::provider::{SseChunking, Step};
use ziggurat_tests::{Form, Reply, VirtualWorld, World};

use super::support::WITH_SPARE;

/// Whatever a file may hold, but the boundary.
const FILE: &[u8] = b"RIFF\0\r\n\r\n--\r\n----form\xff\xfe\r\n--{\"model\":\"x\"}\n";

/// An operation, and a request for it.
struct Asked {
    path: &'static str,
    body: Body,
    /// What a whole answer of the provider `a` holds.
    answer: &'static str,
}

enum Body {
    Json(Value),
    Form(Form),
}

/// Every operation, asked with these further fields.
fn operations(more: &[(&str, &str)]) -> Vec<Asked> {
    let json = |path, mut body: Value, answer| {
        for (name, value) in more {
            body[*name] = serde_json::from_str(value).unwrap_or_else(|_| (*value).into());
        }
        Asked {
            path,
            body: Body::Json(body),
            answer,
        }
    };
    let form = |path, file, answer| {
        let mut form = Form::new().field("model", "m").file(file, FILE);
        for (name, value) in more {
            form = form.field(name, value);
        }
        Asked {
            path,
            body: Body::Form(form),
            answer,
        }
    };
    let image = "https://images.test/a/0";
    vec![
        json(
            "/images/generations",
            json!({"model": "m", "prompt": "a cat"}),
            image,
        ),
        form("/images/edits", "image[]", image),
        form("/images/variations", "image", image),
        form("/audio/transcriptions", "file", r#"{"text":"from a","#),
        form("/audio/translations", "file", r#"{"text":"from a","#),
        json(
            "/audio/speech",
            json!({"model": "m", "input": "hi", "voice": "alloy"}),
            "ID3 from a w1 w2 w3",
        ),
        json(
            "/moderations",
            json!({"model": "m", "input": ["x", "y"]}),
            r#""flagged":false"#,
        ),
    ]
}

async fn ask(world: &World, asked: &Asked) -> Reply {
    ask_at(world, asked.path, asked).await
}

async fn ask_at(world: &World, path: &str, asked: &Asked) -> Reply {
    match &asked.body {
        Body::Json(body) => world.post(path, body).await,
        Body::Form(form) => world.post_form(path, form).await,
    }
}

fn transcription() -> Form {
    Form::new().field("model", "m").file("file", FILE)
}

fn speech() -> Value {
    json!({"model": "m", "input": "hi", "voice": "alloy"})
}

#[tokio::test]
async fn every_operation_is_sent_as_it_came_and_answered_as_it_was() {
    let world = World::start(WITH_SPARE).await;
    for (count, asked) in operations(&[("num_retries", "2"), ("user", "u")])
        .iter()
        .enumerate()
    {
        for path in [asked.path.to_owned(), format!("/v1{}", asked.path)] {
            let reply = ask_at(&world, &path, asked).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
            assert!(reply.text.contains(asked.answer), "{path}: {}", reply.text);
            assert_eq!(reply.header("x-litellm-model-id"), "a");
            let kind = match reply.text.starts_with("ID3") {
                true => "audio/mpeg",
                false => "application/json",
            };
            assert_eq!(reply.header("content-type"), kind, "{path}");
        }
        let calls = world.providers.calls("a");
        assert_eq!(calls.len(), 2 * (count + 1));
        let call = calls.last().expect("was called");
        assert_eq!(call.path, format!("/v1{}", asked.path));
        match &asked.body {
            Body::Json(body) => {
                let mut expected = body.clone();
                expected["model"] = "real".into();
                expected
                    .as_object_mut()
                    .expect("is one")
                    .remove("num_retries");
                assert_eq!(call.json(), expected);
                assert_eq!(call.headers["content-type"], "application/json");
            }
            Body::Form(_) => {
                let file = match asked.path {
                    "/images/edits" => "image[]",
                    "/images/variations" => "image",
                    _ => "file",
                };
                let expected = Form::new()
                    .field("model", "real")
                    .file(file, FILE)
                    .field("user", "u");
                assert_eq!(call.body, expected.to_bytes(), "{}", asked.path);
                assert_eq!(call.headers["content-type"], Form::CONTENT_TYPE);
            }
        }
        assert_eq!(call.headers["authorization"], "Bearer key-a");
    }
}

#[tokio::test]
async fn every_operation_is_tried_again_and_then_by_another_group_with_the_whole_body() {
    for asked in &operations(&[]) {
        let world = World::start(WITH_SPARE).await;
        world.providers.script("a", [Step::status(503), Step::ok()]);
        let reply = ask(&world, asked).await;
        assert!(
            reply.text.contains(asked.answer),
            "{}: {}",
            asked.path,
            reply.text
        );
        assert_eq!(
            reply.header("x-litellm-attempted-retries"),
            "1",
            "{}",
            asked.path
        );

        world.providers.script("a", Step::status(429));
        let reply = ask(&world, asked).await;
        assert_eq!(
            (reply.status, reply.header("x-litellm-model-id")),
            (200, "b"),
            "{}",
            asked.path
        );
        assert_eq!(
            reply.header("x-litellm-attempted-fallbacks"),
            "1",
            "{}",
            asked.path
        );
        let (first, last) = (
            &world.providers.calls("a")[0],
            &world.providers.calls("b")[0],
        );
        assert_eq!(first.body_len + "other".len() - "real".len(), last.body_len);
        assert!(last.body.windows(5).any(|part| part == b"other"));
    }
}

#[tokio::test]
async fn a_client_controls_the_router_by_fields_of_a_form() {
    let world = World::start(WITH_SPARE).await;
    world.providers.script("a", Step::status(503));
    let form = transcription()
        .field("num_retries", "0")
        .field("disable_fallbacks", "true");
    let reply = world.post_form("/v1/audio/transcriptions", &form).await;
    assert_eq!(reply.status, 503, "{}", reply.text);
    assert_eq!(
        (world.providers.count("a"), world.providers.count("b")),
        (1, 0)
    );

    let form = Form::new()
        .field("fallbacks", r#"[{"model": "spare", "language": "en"}]"#)
        .file("file", FILE)
        .field("language", "de")
        .field("model", "m");
    let reply = world.post_form("/v1/audio/transcriptions", &form).await;
    assert_eq!(reply.header("x-litellm-model-id"), "b", "{}", reply.text);
    let expected = Form::new()
        .file("file", FILE)
        .field("model", "other")
        .field("language", "en");
    assert_eq!(world.providers.calls("b")[0].body, expected.to_bytes());
}

#[tokio::test]
async fn what_is_no_answer_is_never_passed_on() {
    let page = Step::ok().raw("<html>sign in</html>", "text/html");
    let empty = Step::ok().raw("", "audio/mpeg");
    let error = Step::status(429).error_in_200();
    for asked in &operations(&[]) {
        for step in [&page, &error, &empty] {
            let world = World::start(WITH_SPARE).await;
            world.providers.script("a", step.clone());
            let reply = ask(&world, asked).await;
            assert_eq!(
                reply.header("x-litellm-model-id"),
                "b",
                "{}: {}",
                asked.path,
                reply.text
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn speech_comes_as_it_is_made_and_nothing_is_added_to_it() {
    let world = VirtualWorld::new(WITH_SPARE);
    let minute = Duration::from_secs(60);
    world.providers.script(
        "a",
        Step::ok().first_token_delay(minute).chunk_delay(minute),
    );
    let mut answer = world.begin("/v1/audio/speech", &speech(), &[]).await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (200, &"audio/mpeg".parse().expect("is one"))
    );
    for (minutes, expected) in [(1, "ID3 from a"), (2, " w1"), (3, " w2"), (4, " w3")] {
        let (at, chunk) = answer.next().await.expect("goes on");
        assert_eq!((at.as_secs() / 60, chunk.as_str()), (minutes, expected));
    }
    assert!(answer.next().await.is_none());
}

#[tokio::test]
async fn speech_that_breaks_off_breaks_off_and_counts_as_a_failure() {
    let world = World::start(WITH_SPARE).await;
    world
        .providers
        .script("a", Step::ok().chunks(4).cut_after(2));
    let reply = world.post("/v1/audio/speech", &speech()).await;
    assert_eq!(
        (reply.status, reply.text.as_str(), reply.broken),
        (200, "ID3 from a w1", true)
    );
    assert_eq!(world.providers.count("a") + world.providers.count("b"), 1);

    world.providers.script("a", Step::ok().cut_after(0));
    let reply = world.post("/v1/audio/speech", &speech()).await;
    assert_eq!(
        (reply.text.as_str(), reply.broken),
        ("ID3 from b w1 w2 w3", false)
    );
}

#[tokio::test]
async fn events_of_transcripts_speech_and_images_pass_as_they_are() {
    let world = World::start(WITH_SPARE).await;
    let stream = [("stream", "true"), ("stream_format", "sse")];
    for chunking in [SseChunking::Crlf, SseChunking::SplitEvery(7)] {
        world
            .providers
            .script("a", Step::ok().sse_chunking(chunking));
        for asked in &operations(&stream) {
            let can = [
                "/images/generations",
                "/images/edits",
                "/audio/transcriptions",
                "/audio/speech",
            ];
            let reply = ask(&world, asked).await;
            assert_eq!(reply.header("x-litellm-model-id"), "a", "{}", asked.path);
            if !can.contains(&asked.path) {
                continue;
            }
            assert_eq!(
                reply.header("content-type"),
                "text/event-stream",
                "{}",
                asked.path
            );
            assert!(reply.is_whole_stream(), "{}: {}", asked.path, reply.text);
            assert_eq!(reply.events().len(), 6, "{}: {}", asked.path, reply.text);
            assert_eq!(
                reply.text.contains("\r\n\r\n"),
                chunking == SseChunking::Crlf
            );
            let call = world.providers.calls("a").pop().expect("was called");
            assert!(
                !call.body.windows(14).any(|part| part == b"stream_options"),
                "{}",
                asked.path
            );
        }
    }
}

#[tokio::test]
async fn a_transcript_fails_over_before_its_first_event_and_never_after_it() {
    let world = World::start(WITH_SPARE).await;
    let form = transcription().field("stream", "true");
    let limited = json!({"code": "rate_limit_exceeded", "message": "slow down"});
    for step in [
        Step::ok().stream_error_after(0, limited.clone()),
        Step::ok().cut_after(0),
        Step::ok().end_after(0),
    ] {
        world.providers.script("a", step);
        let reply = world.post_form("/v1/audio/transcriptions", &form).await;
        assert!(
            reply.is_whole_stream() && reply.text.contains("from b"),
            "{}",
            reply.text
        );
    }
    for step in [
        Step::ok().stream_error_after(2, limited),
        Step::ok().cut_after(2),
        Step::ok().end_after(2),
        Step::ok().without_finish(),
    ] {
        let world = World::start(WITH_SPARE).await;
        world.providers.script("a", step);
        let reply = world.post_form("/v1/audio/transcriptions", &form).await;
        assert!(
            reply.text.contains("from a") && reply.ends_in_error(),
            "{}",
            reply.text
        );
        assert_eq!(world.providers.count("b"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_transcript_is_kept_alive() {
    let world = VirtualWorld::new(WITH_SPARE);
    world
        .providers
        .script("a", Step::ok().first_token_delay(Duration::from_secs(40)));
    let form = transcription()
        .field("stream", "true")
        .field("num_retries", "0")
        .field("disable_fallbacks", "true");
    let answer = world.begin_form("/v1/audio/transcriptions", &form).await;
    let text = answer.read().await.text;
    assert!(
        text.starts_with(": keep-alive\n\n") && text.contains("transcript.text.done"),
        "{text}"
    );
}

#[tokio::test]
async fn a_provider_that_ignores_the_wish_for_a_stream_is_streamed() {
    let world = World::start(WITH_SPARE).await;
    world
        .providers
        .script("a", Step::ok().raw(r#"{"text":"hi"}"#, "application/json"));
    let form = transcription().field("stream", "true");
    let reply = world.post_form("/v1/audio/transcriptions", &form).await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    assert_eq!(
        reply.events(),
        [r#"{"text":"hi","type":"transcript.text.done"}"#, "[DONE]"]
    );
}

#[tokio::test]
async fn a_transcript_may_be_plain_text() {
    let world = World::start(WITH_SPARE).await;
    let form = transcription().field("response_format", "text");
    let reply = world.post_form("/v1/audio/transcriptions", &form).await;
    assert_eq!(
        (reply.text.as_str(), reply.header("content-type")),
        ("from a\n", "text/plain; charset=utf-8")
    );
}

#[tokio::test]
async fn a_moderation_needs_no_model() {
    let config = WITH_SPARE.replace("model_name: m,", "model_name: omni-moderation-latest,");
    let world = World::start(&config.replace("fallbacks: [{m: [spare]}]", "fallbacks: []")).await;
    let reply = world.post("/v1/moderations", &json!({"input": "x"})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(
        world.providers.calls("a")[0].json(),
        json!({"model": "real", "input": "x"})
    );
    let reply = world
        .post("/v1/images/generations", &json!({"prompt": "x"}))
        .await;
    assert_eq!(
        (reply.status, &reply.json()["error"]["param"]),
        (400, &json!("model"))
    );
}

#[tokio::test]
async fn a_body_of_the_wrong_kind_is_refused_with_what_is_expected() {
    let world = World::start(WITH_SPARE).await;
    let request = |path: &str, kind: &str, body: &str| {
        let request = world
            .client
            .post(world.url(path))
            .header("content-type", kind);
        world.send(request.body(body.to_owned()))
    };
    let json = r#"{"model":"m"}"#;
    for (path, kind, body, status, words) in [
        (
            "/v1/audio/transcriptions",
            "application/json",
            json,
            415,
            "must be `multipart/form-data`",
        ),
        (
            "/v1/images/variations",
            "application/json",
            json,
            415,
            "must be `multipart/form-data`",
        ),
        (
            "/v1/audio/speech",
            Form::CONTENT_TYPE,
            "",
            415,
            "must be `application/json`",
        ),
        (
            "/v1/chat/completions",
            Form::CONTENT_TYPE,
            "",
            415,
            "must be `application/json`",
        ),
        (
            "/v1/images/edits",
            "multipart/form-data",
            "",
            400,
            "no valid `boundary`",
        ),
        (
            "/v1/images/edits",
            "multipart/mixed; boundary=x",
            "",
            400,
            "is not `multipart/form-data`",
        ),
        (
            "/v1/audio/translations",
            Form::CONTENT_TYPE,
            "hello",
            400,
            "expected a boundary at byte 0",
        ),
        (
            "/v1/audio/translations",
            Form::CONTENT_TYPE,
            "------form-0123456789--",
            400,
            "no `model`",
        ),
    ] {
        let reply = request(path, kind, body).await;
        let error = &reply.json()["error"];
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|it| it.contains(words)),
            "{path}: {}",
            reply.text
        );
        for field in ["type", "param", "code"] {
            assert!(error.get(field).is_some(), "{path}: {}", reply.text);
        }
    }
    let large = Form::new()
        .field("model", "m")
        .file("file", &vec![0; 26 * 1024 * 1024]);
    let reply = world.post_form("/v1/audio/transcriptions", &large).await;
    assert_eq!(reply.status, 413, "{}", reply.text);
    // An edit of an image may come as JSON.
    let edit = json!({"model": "m", "images": [{"image_url": "https://x"}], "prompt": "hat"});
    assert_eq!(world.post("/v1/images/edits", &edit).await.status, 200);
    assert_eq!(world.providers.count("a"), 1);
}

#[tokio::test]
async fn a_model_for_chat_makes_no_images() {
    let config = r#"
model_list:
  - {model_name: m, litellm_params: {model: openai/x, api_base: "{a}", api_key: k}, model_info: {id: a, mode: chat}}
  - {model_name: m, litellm_params: {model: openai/x, api_base: "{b}", api_key: k}, model_info: {id: b, mode: image_generation}}
"#;
    let world = World::start(config).await;
    let body = json!({"model": "m", "prompt": "a cat"});
    for _ in 0..10 {
        let reply = world.post("/v1/images/generations", &body).await;
        assert_eq!(reply.header("x-litellm-model-id"), "b", "{}", reply.text);
    }
    let reply = world
        .post_form("/v1/audio/transcriptions", &transcription())
        .await;
    assert!(
        reply.status >= 400 && world.providers.count("a") == 0,
        "{}",
        reply.text
    );
}

#[tokio::test(start_paused = true)]
async fn documents_are_ranked() {
    let world = VirtualWorld::new(WITH_SPARE);
    let ranking = json!({"id": "r", "results": [{"index": 1, "relevance_score": 0.9}]});
    let body = json!({"model": "m", "query": "q", "documents": ["x", "y"]});
    for path in ["/v1/rerank", "/rerank", "/v2/rerank"] {
        let step = Step::ok().raw(ranking.to_string(), "application/json");
        world.providers.script("a", step);
        let reply = world.post(path, &body).await;
        assert_eq!(
            (reply.status, reply.json()),
            (200, ranking.clone()),
            "{path}: {}",
            reply.text
        );
    }
    let call = world.providers.calls("a").pop().expect("was called");
    assert_eq!(
        (call.path.as_str(), &call.json()["query"]),
        ("/v1/rerank", &json!("q"))
    );
    let bad = Step::ok().raw("{}", "application/json");
    world.providers.script("a", vec![bad; 2]);
    let step = Step::ok().raw(ranking.to_string(), "application/json");
    world.providers.script("b", step);
    let reply = world.post("/v1/rerank", &body).await;
    assert_eq!(reply.header("x-litellm-model-id"), "b", "{}", reply.text);
}

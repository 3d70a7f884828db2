//! What a provider says when it fails and repeats what it was shown.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use ziggurat_tests::event_frame;

use crate::{canaries, deployments::Dialect, provider::Heard};

/// All that a request showed, and the secrets behind it in every form.
pub(crate) fn echo(heard: &Heard, secrets: &[&str]) -> String {
    let secrets: String = secrets.iter().copied().map(canaries::repeated).collect();
    format!("is it {secrets}? you sent {}", heard.head)
}

/// The same in what may stand in a header.
pub(crate) fn headers(secrets: &[&str]) -> Vec<(&'static str, String)> {
    let names = [
        "x-request-id",
        "request-id",
        "x-amzn-requestid",
        "x-amzn-errortype",
        "retry-after",
        "openai-model",
        "openai-organization",
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
        "x-ratelimit-reset-project-tokens",
        "anthropic-ratelimit-requests-limit",
        "set-cookie",
        "location",
    ];
    let secrets = secrets.iter().copied();
    let repeated: String = secrets.clone().map(canaries::repeated).collect();
    let mut said = secrets.map(str::to_owned).chain([repeated]).cycle();
    let header = |name| (name, said.next().expect("are endless"));
    names.into_iter().map(header).collect()
}

/// An error as the dialect says it.
pub(crate) fn error(dialect: Dialect, said: &str) -> Value {
    match dialect {
        Dialect::OpenAi => json!({"error": {
            "message": said, "type": said, "param": said, "code": said,
            "metadata": {"raw": said}, "innererror": {"code": said},
        }}),
        Dialect::Anthropic | Dialect::Invoke => {
            json!({"type": "error", "error": {"type": said, "message": said}, "request_id": said})
        }
        Dialect::Google => json!([{"error": {
            "code": 400, "message": said, "status": said, "details": [{"reason": said}],
        }}]),
        Dialect::Bedrock => json!({"message": said, "__type": said}),
        Dialect::Cohere => json!({"message": said, "error_type": said, "id": said}),
        Dialect::Ollama => json!({"error": said}),
    }
}

/// The content type of a stream.
pub(crate) fn content_type(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Bedrock | Dialect::Invoke => "application/vnd.amazon.eventstream",
        Dialect::Ollama => "application/x-ndjson",
        _ => "text/event-stream",
    }
}

/// The beginning of a stream, up to its first content.
pub(crate) fn beginning(dialect: Dialect) -> Vec<u8> {
    match dialect {
        Dialect::OpenAi => sse(&json!({
            "id": "x", "object": "chat.completion.chunk", "choices": [
                {"index": 0, "delta": {"role": "assistant", "content": "hi"}},
            ],
        })),
        Dialect::Anthropic => anthropic().iter().flat_map(sse).collect(),
        Dialect::Google => sse(&json!({"candidates": [{"content": {"parts": [{"text": "hi"}]}}]})),
        Dialect::Bedrock => {
            let start = frame("messageStart", &json!({"role": "assistant"}));
            let text = json!({"contentBlockIndex": 0, "delta": {"text": "hi"}});
            [start, frame("contentBlockDelta", &text)].concat()
        }
        Dialect::Invoke => anthropic().iter().flat_map(invoked).collect(),
        Dialect::Cohere => [
            json!({"type": "message-start", "id": "x"}),
            json!({
                "type": "content-delta", "index": 0,
                "delta": {"message": {"content": {"text": "hi"}}},
            }),
        ]
        .iter()
        .flat_map(sse)
        .collect(),
        Dialect::Ollama => {
            format!("{}\n", json!({"message": {"content": "hi"}, "done": false})).into_bytes()
        }
    }
}

/// An error in the middle of a stream.
pub(crate) fn event(dialect: Dialect, said: &str) -> Vec<u8> {
    match dialect {
        Dialect::Bedrock => exception(&json!({ "message": said })),
        Dialect::Invoke => invoked(&error(dialect, said)),
        Dialect::Ollama => format!("{}\n", error(dialect, said)).into_bytes(),
        Dialect::Google => sse(&error(dialect, said)[0]),
        Dialect::Cohere => sse(&json!({
            "type": "message-end", "delta": {"finish_reason": "ERROR", "error": said},
        })),
        Dialect::OpenAi | Dialect::Anthropic => {
            [b"event: error\n".to_vec(), sse(&error(dialect, said))].concat()
        }
    }
}

fn anthropic() -> [Value; 3] {
    let text = json!({"type": "text_delta", "text": "hi"});
    [
        json!({"type": "message_start", "message": {"id": "x", "model": "m", "usage": {}}}),
        json!({
            "type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""},
        }),
        json!({"type": "content_block_delta", "index": 0, "delta": text}),
    ]
}

fn sse(data: &Value) -> Vec<u8> {
    let name = data["type"].as_str().filter(|_| data["delta"].is_object());
    let name = name.map_or(String::new(), |name| format!("event: {name}\n"));
    format!("{name}data: {data}\n\n").into_bytes()
}

fn invoked(event: &Value) -> Vec<u8> {
    let bytes = STANDARD.encode(event.to_string());
    frame("chunk", &json!({ "bytes": bytes }))
}

fn frame(event: &str, payload: &Value) -> Vec<u8> {
    let headers = [(":message-type", "event"), (":event-type", event)];
    event_frame(&headers, payload.to_string().as_bytes())
}

fn exception(payload: &Value) -> Vec<u8> {
    let kind = "throttlingException";
    let headers = [(":message-type", "exception"), (":exception-type", kind)];
    event_frame(&headers, payload.to_string().as_bytes())
}

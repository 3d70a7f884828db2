//! What it costs that a provider speaks another dialect than OpenAI's, or a client another shape.
//!
//! Run with `cargo bench -p ziggurat-tests --bench translation`. A call goes through the leaf alone,
//! over an HTTP client that answers at once. Of request and answer one has 10 KB of messages and the
//! other next to nothing; a stream has its 10 KB in 400 events, read in pieces of 1 KB. Where provider
//! and client speak alike, what is measured is the leaf itself, which copies nothing: the difference
//! to it is the translation.

use std::{convert::Infallible, fmt, sync::Arc};

use bytes::Bytes;
use divan::{AllocProfiler, Bencher, black_box};
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use ziggurat::{
    Deployment, LlmRequest, Operation, Routed, Secret,
    provider::{LlmService, RequestBody},
};
use ziggurat_tests::event_frame;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// How much is said, and in how many events of a stream.
const SAID: usize = 10 * 1024;
const EVENTS: usize = 400;
/// How much is read at once.
const READ: usize = 1024;

fn main() {
    divan::main();
}

/// A provider, and how it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Provider {
    name: &'static str,
    model: &'static str,
    speaks: Dialect,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    OpenAi,
    Responses,
    Anthropic,
    Google,
    Bedrock,
    Cohere,
    Ollama,
}

const OPENAI: Provider = Provider {
    name: "openai",
    model: "m",
    speaks: Dialect::OpenAi,
};

const ANTHROPIC: Provider = Provider {
    name: "anthropic",
    model: "claude-sonnet-4-5",
    speaks: Dialect::Anthropic,
};

/// As clients of chat see them.
const PROVIDERS: [Provider; 6] = [
    OPENAI,
    ANTHROPIC,
    Provider {
        name: "gemini",
        model: "gemini-2.5-pro",
        speaks: Dialect::Google,
    },
    Provider {
        name: "bedrock",
        model: "amazon.nova-pro-v1:0",
        speaks: Dialect::Bedrock,
    },
    Provider {
        name: "cohere",
        model: "command-a",
        speaks: Dialect::Cohere,
    },
    Provider {
        name: "ollama",
        model: "m",
        speaks: Dialect::Ollama,
    },
];

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A client, and a provider that speaks as it does or not.
#[derive(Clone, Copy)]
struct Pair {
    client: Operation,
    provider: Provider,
}

const PAIRS: [Pair; 5] = [
    Pair {
        client: Operation::Messages,
        provider: ANTHROPIC,
    },
    Pair {
        client: Operation::Messages,
        provider: OPENAI,
    },
    Pair {
        client: Operation::Responses,
        provider: Provider {
            name: "xai",
            speaks: Dialect::Responses,
            ..OPENAI
        },
    },
    Pair {
        client: Operation::Responses,
        provider: Provider {
            name: "groq",
            ..OPENAI
        },
    },
    Pair {
        client: Operation::Responses,
        provider: ANTHROPIC,
    },
];

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {}", self.client, self.provider)
    }
}

/// The client asks in chat.
mod chat {
    use super::*;

    #[divan::bench(args = PROVIDERS)]
    fn request(bencher: Bencher<'_, '_>, provider: Provider) {
        let request = asking(Operation::ChatCompletions, SAID, false);
        measure(bencher, provider, &request, &answer(provider.speaks, 2));
    }

    #[divan::bench(args = PROVIDERS)]
    fn answer_(bencher: Bencher<'_, '_>, provider: Provider) {
        let request = asking(Operation::ChatCompletions, 2, false);
        measure(bencher, provider, &request, &answer(provider.speaks, SAID));
    }

    #[divan::bench(args = PROVIDERS)]
    fn stream(bencher: Bencher<'_, '_>, provider: Provider) {
        let request = asking(Operation::ChatCompletions, 2, true);
        measure(bencher, provider, &request, &streamed(provider.speaks));
    }
}

/// The client asks in another shape.
mod shape {
    use super::*;

    #[divan::bench(args = PAIRS)]
    fn request(bencher: Bencher<'_, '_>, pair: Pair) {
        let request = asking(pair.client, SAID, false);
        measure(
            bencher,
            pair.provider,
            &request,
            &answer(pair.provider.speaks, 2),
        );
    }

    #[divan::bench(args = PAIRS)]
    fn answer_(bencher: Bencher<'_, '_>, pair: Pair) {
        let request = asking(pair.client, 2, false);
        measure(
            bencher,
            pair.provider,
            &request,
            &answer(pair.provider.speaks, SAID),
        );
    }

    #[divan::bench(args = PAIRS)]
    fn stream(bencher: Bencher<'_, '_>, pair: Pair) {
        let request = asking(pair.client, 2, true);
        measure(
            bencher,
            pair.provider,
            &request,
            &streamed(pair.provider.speaks),
        );
    }
}

/// What is answered: its content type, and its pieces.
struct Answer {
    kind: &'static str,
    pieces: Arc<[Bytes]>,
}

fn measure(bencher: Bencher<'_, '_>, provider: Provider, request: &LlmRequest, answer: &Answer) {
    let deployment = Deployment::new("a", "gpt", provider.model)
        .with_provider(provider.name)
        .with_param("aws_region_name", Secret::new("eu-central-1"))
        .with_credential(Secret::new("sk-0123456789012345678901234567890123456789"));
    let deployment = Arc::new(deployment);
    let (kind, pieces) = (answer.kind, Arc::clone(&answer.pieces));
    let client = tower::service_fn(move |_: Request<RequestBody>| {
        let pieces = Arc::clone(&pieces);
        let pieces = (0..pieces.len())
            .map(move |piece| Ok::<_, Infallible>(Frame::data(pieces[piece].clone())));
        let mut response = Response::new(StreamBody::new(stream::iter(pieces)));
        let kind = http::HeaderValue::from_static(kind);
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, kind);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let leaf = LlmService::with_client(client);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime needs nothing");
    let call = |routed| {
        runtime.block_on(async {
            let response = leaf.clone().oneshot(routed).await.expect("it is an answer");
            let (_, mut items) = response.into_parts();
            let mut length = 0;
            while let Some(item) = items.next().await {
                length += black_box(item.expect("it is whole")).bytes.len();
            }
            assert!(length > 0);
        });
    };
    let routed = || Routed::new(request.clone(), Arc::clone(&deployment));
    call(routed());
    bencher.with_inputs(routed).bench_local_values(call);
}

/// Sentences with what has to be escaped in JSON.
fn words(length: usize) -> String {
    const SENTENCE: &str =
        "The quick brown \"fox\" jumps over the lazy dog,\nthen returns to its den. ";
    SENTENCE.chars().cycle().take(length).collect()
}

/// A request of so much text, in twenty turns.
fn asking(operation: Operation, length: usize, streams: bool) -> LlmRequest {
    let turns: Vec<_> = (0..19)
        .map(|turn| {
            let role = if turn % 2 == 0 { "user" } else { "assistant" };
            json!({"role": role, "content": words((length / 19).max(2))})
        })
        .collect();
    let mut body = json!({"model": "gpt", "temperature": 0.7});
    let messages = if operation == Operation::Responses {
        "input"
    } else {
        "messages"
    };
    body[messages] = turns.into();
    if operation == Operation::Messages {
        body["max_tokens"] = 1024.into();
    }
    if streams {
        body["stream"] = true.into();
    }
    if streams && operation == Operation::ChatCompletions {
        body["stream_options"] = json!({"include_usage": true});
    }
    LlmRequest::from_value(operation, &body).expect("is a request")
}

/// A whole answer.
fn answer(dialect: Dialect, length: usize) -> Answer {
    let text = words(length);
    let body = match dialect {
        Dialect::OpenAi => json!({
            "id": "x", "object": "chat.completion", "created": 7, "model": "m",
            "choices": [{
                "index": 0, "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }],
            "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
        }),
        Dialect::Responses => json!({
            "id": "resp_x", "object": "response", "status": "completed", "model": "m",
            "output": [{
                "type": "message", "id": "msg_x", "role": "assistant",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            }],
            "usage": {"input_tokens": 9, "output_tokens": 9, "total_tokens": 18},
        }),
        Dialect::Anthropic => json!({
            "id": "x", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 9, "output_tokens": 9},
        }),
        Dialect::Google => google(&text, Some("STOP")),
        Dialect::Bedrock => json!({
            "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 9, "outputTokens": 9, "totalTokens": 18},
        }),
        Dialect::Cohere => json!({
            "id": "x", "finish_reason": "COMPLETE",
            "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
            "usage": {"tokens": {"input_tokens": 9, "output_tokens": 9}},
        }),
        Dialect::Ollama => ollama(&text, true),
    };
    Answer {
        kind: "application/json",
        pieces: [body.to_string().into()].into(),
    }
}

/// An answer as a stream.
fn streamed(dialect: Dialect) -> Answer {
    let text = words(SAID);
    let parts: Vec<_> = (0..EVENTS)
        .map(|part| &text[part * SAID / EVENTS..(part + 1) * SAID / EVENTS])
        .collect();
    let all = |first: Vec<Value>, each: &dyn Fn(&str) -> Value, last: Vec<Value>| {
        let parts = parts.iter().map(|part| each(part));
        first
            .into_iter()
            .chain(parts)
            .chain(last)
            .collect::<Vec<_>>()
    };
    let (kind, stream): (_, Vec<u8>) = match dialect {
        Dialect::OpenAi => {
            let chunk = |delta: Value, finish: Option<&str>| {
                json!({
                    "id": "x", "object": "chat.completion.chunk", "created": 7, "model": "m",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
                })
            };
            let usage = json!({
                "id": "x", "object": "chat.completion.chunk", "created": 7, "model": "m",
                "choices": [],
                "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
            });
            let events = all(
                vec![chunk(json!({"role": "assistant", "content": ""}), None)],
                &|text| chunk(json!({"content": text}), None),
                vec![chunk(json!({}), Some("stop")), usage],
            );
            let mut stream: Vec<u8> = events.iter().flat_map(sse).collect();
            stream.extend(b"data: [DONE]\n\n");
            (SSE, stream)
        }
        Dialect::Responses => {
            let usage = json!({"input_tokens": 9, "output_tokens": 9, "total_tokens": 18});
            let response = |status: &str| {
                json!({
                    "id": "resp_x", "object": "response", "status": status, "model": "m",
                    "output": [], "usage": usage,
                })
            };
            let events = all(
                vec![json!({"type": "response.created", "response": response("in_progress")})],
                &|text| {
                    json!({
                        "type": "response.output_text.delta", "item_id": "msg_x",
                        "output_index": 0, "content_index": 0, "delta": text,
                    })
                },
                vec![json!({"type": "response.completed", "response": response("completed")})],
            );
            (SSE, events.iter().flat_map(named).collect())
        }
        Dialect::Anthropic => {
            let events = all(
                vec![
                    json!({"type": "message_start", "message": {
                        "id": "x", "type": "message", "role": "assistant", "model": "m",
                        "content": [], "usage": {"input_tokens": 9, "output_tokens": 1},
                    }}),
                    json!({"type": "content_block_start", "index": 0, "content_block": {
                        "type": "text", "text": "",
                    }}),
                ],
                &|text| {
                    json!({"type": "content_block_delta", "index": 0, "delta": {
                        "type": "text_delta", "text": text,
                    }})
                },
                vec![
                    json!({"type": "content_block_stop", "index": 0}),
                    json!({
                        "type": "message_delta", "delta": {"stop_reason": "end_turn"},
                        "usage": {"output_tokens": 9},
                    }),
                    json!({"type": "message_stop"}),
                ],
            );
            (SSE, events.iter().flat_map(named).collect())
        }
        Dialect::Google => {
            let events = all(
                Vec::new(),
                &|text| google(text, None),
                vec![google("", Some("STOP"))],
            );
            (SSE, events.iter().flat_map(sse).collect())
        }
        Dialect::Bedrock => {
            let mut stream = frame("messageStart", &json!({"role": "assistant"}));
            for part in &parts {
                let delta = json!({"contentBlockIndex": 0, "delta": {"text": part}});
                stream.extend(frame("contentBlockDelta", &delta));
            }
            stream.extend(frame("contentBlockStop", &json!({"contentBlockIndex": 0})));
            stream.extend(frame("messageStop", &json!({"stopReason": "end_turn"})));
            let usage = json!({"inputTokens": 9, "outputTokens": 9, "totalTokens": 18});
            stream.extend(frame("metadata", &json!({ "usage": usage })));
            ("application/vnd.amazon.eventstream", stream)
        }
        Dialect::Cohere => {
            let events = all(
                vec![
                    json!({"type": "message-start", "id": "x"}),
                    json!({"type": "content-start", "index": 0, "delta": {"message": {
                        "content": {"type": "text", "text": ""},
                    }}}),
                ],
                &|text| {
                    json!({"type": "content-delta", "index": 0, "delta": {"message": {
                        "content": {"text": text},
                    }}})
                },
                vec![json!({"type": "message-end", "delta": {
                    "finish_reason": "COMPLETE",
                    "usage": {"tokens": {"input_tokens": 9, "output_tokens": 9}},
                }})],
            );
            (SSE, events.iter().flat_map(named).collect())
        }
        Dialect::Ollama => {
            let lines = all(
                Vec::new(),
                &|text| ollama(text, false),
                vec![ollama("", true)],
            );
            let line = |line: &Value| format!("{line}\n").into_bytes();
            (
                "application/x-ndjson",
                lines.iter().flat_map(line).collect(),
            )
        }
    };
    let stream = Bytes::from(stream);
    let reads = (0..stream.len()).step_by(READ);
    let reads = reads.map(|at| stream.slice(at..stream.len().min(at + READ)));
    Answer {
        kind,
        pieces: reads.collect(),
    }
}

const SSE: &str = "text/event-stream";

fn sse(data: &Value) -> Vec<u8> {
    format!("data: {data}\n\n").into_bytes()
}

fn named(data: &Value) -> Vec<u8> {
    let name = data["type"].as_str().expect("has a type");
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

fn frame(event: &str, payload: &Value) -> Vec<u8> {
    let headers = [(":message-type", "event"), (":event-type", event)];
    event_frame(&headers, payload.to_string().as_bytes())
}

fn google(text: &str, finish: Option<&str>) -> Value {
    json!({
        "candidates": [{
            "content": {"role": "model", "parts": [{"text": text}]},
            "finishReason": finish, "index": 0,
        }],
        "usageMetadata": {
            "promptTokenCount": 9, "candidatesTokenCount": 9, "totalTokenCount": 18,
        },
        "modelVersion": "m", "responseId": "x",
    })
}

fn ollama(text: &str, done: bool) -> Value {
    let mut line = json!({
        "model": "m", "created_at": "2025-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": text}, "done": done,
    });
    if done {
        line["done_reason"] = "stop".into();
        line["prompt_eval_count"] = 9.into();
        line["eval_count"] = 9.into();
    }
    line
}

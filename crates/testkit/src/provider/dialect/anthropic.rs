//! Anthropic's Messages, also as Vertex serves them.

use serde_json::{Value, json};

use super::{
    Dialect, Frame, Framing, Refusal,
    asked::{Asked, Said, any_has, first_function, is_none, text_of, texts},
    envelope,
    trouble::Trouble,
};

/// The Messages API.
#[derive(Debug)]
pub(super) struct Anthropic;

impl Dialect for Anthropic {
    fn framing(&self, _: &str) -> Framing {
        Framing::SsePinged
    }

    fn asked(&self, path: &str, body: &Value) -> Option<Asked> {
        if path.contains("count_tokens") || path.contains("/count-tokens:") {
            return None;
        }
        let last = body["messages"].as_array().and_then(|all| all.last());
        let (role, content) = match last {
            Some(last) => (last["role"].as_str(), &last["content"]),
            None => (None, &Value::Null),
        };
        let wants_call = role == Some("user")
            && !any_has(content, "tool_use_id")
            && !is_none(&body["tool_choice"]);
        // The server's own tools have no schema.
        let tools = body["tools"].as_array().into_iter().flatten();
        let own: Value = tools
            .filter(|tool| tool["input_schema"].is_object())
            .cloned()
            .collect();
        let format = match &body["output_config"]["format"] {
            Value::Null => &body["output_format"],
            format => format,
        };
        Some(Asked {
            model: match body["model"].is_string() {
                true => text_of(&body["model"]),
                false => model_in(path),
            },
            streamed: body["stream"] == true || path.ends_with(":streamRawPredict"),
            tool: first_function(&own, "input_schema", |tool| tool).filter(|_| wants_call),
            schema: (format["type"] == "json_schema").then(|| format["schema"].clone()),
            begun: (role == Some("assistant")).then(|| texts(content)),
            usage_asked: true,
        })
    }

    fn whole(&self, said: &Said<'_>) -> Value {
        let mut message = head(said);
        message["stop_reason"] = said.reason("end_turn", "tool_use");
        message["usage"]["output_tokens"] = said.usage.1.into();
        message["content"] = match &said.call {
            None if said.text.is_empty() => json!([]),
            None => json!([{"type": "text", "text": said.text}]),
            Some(call) => json!([{
                "type": "tool_use",
                "id": tool_id(&call.id),
                "name": call.name,
                "input": call.arguments,
            }]),
        };
        message
    }

    fn lead(&self, said: &Said<'_>) -> Vec<Frame> {
        let mut lead = vec![event("message_start", json!({"message": head(said)}))];
        let block = match &said.call {
            None if said.text.is_empty() => return lead,
            None => json!({"type": "text", "text": ""}),
            Some(call) => json!({
                "type": "tool_use",
                "id": tool_id(&call.id),
                "name": call.name,
                "input": {},
            }),
        };
        let start = json!({"index": 0, "content_block": block});
        lead.push(event("content_block_start", start));
        lead.push(event("ping", json!({})));
        lead
    }

    fn contents(&self, said: &Said<'_>) -> Vec<Frame> {
        let delta = |delta| event("content_block_delta", json!({"index": 0, "delta": delta}));
        let Some(call) = &said.call else {
            let pieces = said.pieces.iter();
            return pieces
                .map(|text| delta(json!({"type": "text_delta", "text": text})))
                .collect();
        };
        let [one, two] = call.fragments();
        let fragment = |text| delta(json!({"type": "input_json_delta", "partial_json": text}));
        [String::new(), one, two].map(fragment).into()
    }

    fn tail(&self, said: &Said<'_>) -> Vec<Frame> {
        let mut tail = Vec::new();
        if said.call.is_some() || !said.text.is_empty() {
            tail.push(event("content_block_stop", json!({"index": 0})));
        }
        let reason = said.reason("end_turn", "tool_use");
        let delta = json!({
            "delta": {"stop_reason": reason, "stop_sequence": null},
            "usage": {"output_tokens": said.usage.1},
        });
        tail.push(event("message_delta", delta));
        if said.done {
            tail.push(event("message_stop", json!({})));
        }
        tail
    }

    fn refusal(&self, trouble: &Trouble, _: bool) -> Refusal {
        let mut refusal = envelope(trouble.status, error(trouble));
        if trouble.status == 503 {
            refusal.status = 529.try_into().expect("is a status");
        }
        refusal
    }

    fn broken(&self, _: &Said<'_>, trouble: &Trouble, _: usize) -> Vec<Frame> {
        vec![Frame::new("error", error(trouble))]
    }

    fn other(&self, _: &str, _: &Value, usage: (u64, u64)) -> Option<Value> {
        Some(json!({"input_tokens": usage.0}))
    }
}

/// An event, whose data names it, too.
pub(super) fn event(name: &'static str, mut data: Value) -> Frame {
    data["type"] = name.into();
    Frame::new(name, data)
}

fn error(trouble: &Trouble) -> Value {
    let kind = match trouble.status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    let message = trouble.in_words(
        "prompt is too long: 250000 tokens > 200000 maximum",
        "Output blocked by content filtering policy",
    );
    let error = json!({"type": trouble.kind.as_deref().unwrap_or(kind), "message": message});
    json!({"type": "error", "error": error, "request_id": "req_simulated"})
}

/// The message before anything is in it.
fn head(said: &Said<'_>) -> Value {
    json!({
        "id": format!("msg_{}", said.id),
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {
            "input_tokens": said.usage.0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 1,
        },
    })
}

fn tool_id(id: &str) -> String {
    format!("toolu_{id}")
}

/// The model that a path of Vertex names.
fn model_in(path: &str) -> String {
    let (_, rest) = path.rsplit_once("/models/").unwrap_or_default();
    let (model, _) = rest.split_once(':').unwrap_or((rest, ""));
    model.to_owned()
}

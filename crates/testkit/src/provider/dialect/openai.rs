//! OpenAI's chat, with tools.

use serde_json::{Value, json};

use super::{
    Dialect, Frame, Framing, Refusal,
    asked::{Asked, Said, read_messages},
    envelope,
    trouble::Trouble,
};
use crate::provider::{refusal, render::CREATED};

/// OpenAI's chat.
#[derive(Debug)]
pub(super) struct OpenAi;

impl Dialect for OpenAi {
    fn framing(&self, _: &str) -> Framing {
        Framing::Sse
    }

    fn asked(&self, _: &str, body: &Value) -> Option<Asked> {
        let format = &body["response_format"];
        let schema = match format["type"].as_str() {
            Some("json_schema") => Some(format["json_schema"]["schema"].clone()),
            Some("json_object") => Some(json!({})),
            _ => None,
        };
        Some(Asked {
            schema,
            ..read_messages(body)
        })
    }

    fn whole(&self, said: &Said<'_>) -> Value {
        let mut message = json!({"role": "assistant", "content": said.text, "refusal": null});
        if let Some(call) = &said.call {
            message["content"] = Value::Null;
            message["tool_calls"] =
                json!([tool_call(&call.id, &call.name, &call.arguments.to_string())]);
        }
        let choice = json!({
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": said.reason("stop", "tool_calls"),
        });
        json!({
            "id": id(said),
            "object": "chat.completion",
            "created": CREATED,
            "model": said.model,
            "choices": [choice],
            "usage": usage(said),
        })
    }

    fn lead(&self, said: &Said<'_>) -> Vec<Frame> {
        let delta = match said.call {
            None => json!({"role": "assistant", "content": ""}),
            Some(_) => json!({"role": "assistant", "content": null}),
        };
        vec![Frame::data(chunk(said, delta, Value::Null))]
    }

    fn contents(&self, said: &Said<'_>) -> Vec<Frame> {
        let delta = |delta| Frame::data(chunk(said, delta, Value::Null));
        let Some(call) = &said.call else {
            let pieces = said.pieces.iter();
            return pieces.map(|text| delta(json!({"content": text}))).collect();
        };
        let mut first = tool_call(&call.id, &call.name, "");
        first["index"] = json!(0);
        let fragments = call.fragments().map(|text| {
            let rest = json!({"index": 0, "function": {"arguments": text}});
            delta(json!({"tool_calls": [rest]}))
        });
        let first = delta(json!({"tool_calls": [first]}));
        std::iter::once(first).chain(fragments).collect()
    }

    fn tail(&self, said: &Said<'_>) -> Vec<Frame> {
        let mut tail = Vec::new();
        if said.finish {
            let reason = said.reason("stop", "tool_calls");
            tail.push(Frame::data(chunk(said, json!({}), reason)));
        }
        if said.usage_asked {
            let mut last = chunk(said, json!({}), Value::Null);
            last["choices"] = json!([]);
            last["usage"] = usage(said);
            tail.push(Frame::data(last));
        }
        if said.done {
            tail.push(Frame::done());
        }
        tail
    }

    fn refusal(&self, trouble: &Trouble, _: bool) -> Refusal {
        envelope(trouble.status, error(trouble))
    }

    fn broken(&self, _: &Said<'_>, trouble: &Trouble, _: usize) -> Vec<Frame> {
        vec![Frame::data(error(trouble))]
    }
}

/// The error in OpenAI's envelope.
pub(super) fn error(trouble: &Trouble) -> Value {
    refusal::error_value(
        trouble.status,
        trouble.code.as_deref(),
        trouble.kind.as_deref(),
        &trouble.message,
    )
}

fn id(said: &Said<'_>) -> String {
    format!("chatcmpl-{}", said.id)
}

fn tool_call(id: &str, name: &str, arguments: &str) -> Value {
    let function = json!({"name": name, "arguments": arguments});
    json!({"id": id, "type": "function", "function": function})
}

fn chunk(said: &Said<'_>, delta: Value, reason: Value) -> Value {
    let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
    let mut chunk = json!({
        "id": id(said),
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": said.model,
        "choices": [choice],
    });
    if said.usage_asked {
        chunk["usage"] = Value::Null;
    }
    chunk
}

fn usage(said: &Said<'_>) -> Value {
    let (prompt, completion) = said.usage;
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": said.total(),
    })
}

//! OpenAI's Responses.

use serde_json::{Value, json};

use super::{
    Dialect, Frame, Framing, Refusal,
    asked::{Asked, Said, first_function, is_none, text_of, texts},
    envelope, openai,
    trouble::Trouble,
};
use crate::provider::render::CREATED;

/// The Responses API.
#[derive(Debug)]
pub(crate) struct Responses;

impl Dialect for Responses {
    fn framing(&self, _: &str) -> Framing {
        Framing::Sse
    }

    fn asked(&self, path: &str, body: &Value) -> Option<Asked> {
        if !path.ends_with("/responses") {
            return None;
        }
        let last = body["input"].as_array().and_then(|items| items.last());
        let role = match (&body["input"], last) {
            (Value::String(_), _) => Some("user"),
            (_, Some(last)) => last["role"].as_str(),
            _ => None,
        };
        let tools = body["tools"].as_array().into_iter().flatten();
        let functions: Value = tools
            .filter(|tool| tool["type"] == "function")
            .cloned()
            .collect();
        let tool = first_function(&functions, "parameters", |tool| tool);
        let format = &body["text"]["format"];
        Some(Asked {
            model: text_of(&body["model"]),
            streamed: body["stream"] == true,
            tool: tool.filter(|_| role == Some("user") && !is_none(&body["tool_choice"])),
            schema: match format["type"].as_str() {
                Some("json_schema") => Some(format["schema"].clone()),
                Some("json_object") => Some(json!({})),
                _ => None,
            },
            begun: last
                .filter(|_| role == Some("assistant"))
                .map(|last| texts(&last["content"])),
            usage_asked: true,
        })
    }

    fn whole(&self, said: &Said<'_>) -> Value {
        let (status, output) = match said.finish {
            true => ("completed", vec![item(said, "completed", true)]),
            false => ("in_progress", vec![item(said, "in_progress", true)]),
        };
        response(said, status, output)
    }

    fn lead(&self, said: &Said<'_>) -> Vec<Frame> {
        let begun = json!({"response": response(said, "in_progress", Vec::new())});
        let added = json!({"output_index": 0, "item": item(said, "in_progress", false)});
        let mut lead = vec![
            event(0, "response.created", begun.clone()),
            event(1, "response.in_progress", begun),
            event(2, "response.output_item.added", added),
        ];
        if said.call.is_none() {
            let part = place(said, json!({"content_index": 0, "part": part("")}));
            lead.push(event(3, "response.content_part.added", part));
        }
        lead
    }

    fn contents(&self, said: &Said<'_>) -> Vec<Frame> {
        let first = self.lead(said).len();
        let (name, pieces) = match &said.call {
            None => {
                let pieces = said.pieces.iter().map(|piece| (*piece).to_owned());
                ("response.output_text.delta", pieces.collect())
            }
            Some(call) => {
                let fragments = call.fragments().to_vec();
                ("response.function_call_arguments.delta", fragments)
            }
        };
        let delta = |(at, text): (usize, String)| {
            let mut delta = place(said, json!({"delta": text}));
            if said.call.is_none() {
                delta["content_index"] = 0.into();
                delta["logprobs"] = json!([]);
            }
            event(first + at, name, delta)
        };
        pieces.into_iter().enumerate().map(delta).collect()
    }

    fn tail(&self, said: &Said<'_>) -> Vec<Frame> {
        let mut at = self.lead(said).len() + self.contents(said).len();
        let mut next = |name, data| {
            at += 1;
            event(at - 1, name, data)
        };
        let mut tail = Vec::new();
        match &said.call {
            None => {
                let text = json!({"content_index": 0, "text": said.text, "logprobs": []});
                tail.push(next("response.output_text.done", place(said, text)));
                let part = json!({"content_index": 0, "part": part(said.text)});
                tail.push(next("response.content_part.done", place(said, part)));
            }
            Some(call) => {
                let done = json!({"arguments": call.arguments.to_string()});
                tail.push(next(
                    "response.function_call_arguments.done",
                    place(said, done),
                ));
            }
        }
        let item = item(said, "completed", true);
        let done = json!({"output_index": 0, "item": item});
        tail.push(next("response.output_item.done", done));
        if said.finish {
            let whole = json!({"response": self.whole(said)});
            tail.push(next("response.completed", whole));
        }
        tail
    }

    fn refusal(&self, trouble: &Trouble, _: bool) -> Refusal {
        envelope(trouble.status, openai::error(trouble))
    }

    fn broken(&self, said: &Said<'_>, trouble: &Trouble, sent: usize) -> Vec<Frame> {
        let error = openai::error(trouble);
        let mut failed = response(said, "failed", Vec::new());
        failed["error"] = json!({"code": error["error"]["code"], "message": trouble.message});
        failed["usage"] = Value::Null;
        vec![
            event(sent, "error", error),
            event(sent + 1, "response.failed", json!({ "response": failed })),
        ]
    }

    fn other(&self, _: &str, _: &Value, usage: (u64, u64)) -> Option<Value> {
        Some(json!({"object": "response.input_tokens", "input_tokens": usage.0}))
    }
}

fn event(number: usize, name: &'static str, mut data: Value) -> Frame {
    data["type"] = name.into();
    data["sequence_number"] = number.into();
    Frame::new(name, data)
}

/// What an event of an item says of its place.
fn place(said: &Said<'_>, mut data: Value) -> Value {
    data["item_id"] = item_id(said).into();
    data["output_index"] = 0.into();
    data
}

fn item_id(said: &Said<'_>) -> String {
    match said.call {
        None => format!("msg_{}", said.id),
        Some(_) => format!("fc_{}", said.id),
    }
}

fn item(said: &Said<'_>, status: &str, is_full: bool) -> Value {
    let Some(call) = &said.call else {
        let content = match is_full {
            true => json!([part(said.text)]),
            false => json!([]),
        };
        return json!({
            "id": item_id(said),
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        });
    };
    let arguments = match is_full {
        true => call.arguments.to_string(),
        false => String::new(),
    };
    json!({
        "id": item_id(said),
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": arguments,
    })
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn response(said: &Said<'_>, status: &str, output: Vec<Value>) -> Value {
    let (input, written) = said.usage;
    let usage = json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": said.total(),
    });
    json!({
        "id": format!("resp_{}", said.id),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "metadata": {},
        "model": said.model,
        "output": output,
        "parallel_tool_calls": true,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": if status == "in_progress" { Value::Null } else { usage },
    })
}

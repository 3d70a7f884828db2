//! Ollama's own API.

use serde_json::{Value, json};

use super::{
    Dialect, Frame, Framing, Refusal,
    asked::{Asked, Said, read_messages},
    count, envelope,
    trouble::Trouble,
    vectors,
};

/// Ollama's chat and embeddings.
#[derive(Debug)]
pub(super) struct Ollama;

impl Dialect for Ollama {
    fn framing(&self, _: &str) -> Framing {
        Framing::Lines
    }

    fn asked(&self, path: &str, body: &Value) -> Option<Asked> {
        if !path.ends_with("/chat") {
            return None;
        }
        let schema = match &body["format"] {
            Value::String(format) if format == "json" => Some(json!({})),
            schema @ Value::Object(_) => Some(schema.clone()),
            _ => None,
        };
        Some(Asked {
            // It streams unless it is told not to.
            streamed: body["stream"] != false,
            schema,
            ..read_messages(body)
        })
    }

    fn whole(&self, said: &Said<'_>) -> Value {
        let mut whole = match &said.call {
            None => line(said, said.text),
            Some(_) => called(said),
        };
        end(said, &mut whole);
        whole
    }

    fn lead(&self, _: &Said<'_>) -> Vec<Frame> {
        Vec::new()
    }

    fn contents(&self, said: &Said<'_>) -> Vec<Frame> {
        if said.call.is_some() {
            return vec![Frame::data(called(said))];
        }
        let pieces = said.pieces.iter();
        pieces.map(|text| Frame::data(line(said, text))).collect()
    }

    /// The last line is what tells that it is the last.
    fn tail(&self, said: &Said<'_>) -> Vec<Frame> {
        if !said.finish {
            return Vec::new();
        }
        let mut last = line(said, "");
        end(said, &mut last);
        vec![Frame::data(last)]
    }

    fn refusal(&self, trouble: &Trouble, _: bool) -> Refusal {
        envelope(trouble.status, error(trouble))
    }

    fn broken(&self, _: &Said<'_>, trouble: &Trouble, _: usize) -> Vec<Frame> {
        vec![Frame::data(error(trouble))]
    }

    fn other(&self, _: &str, body: &Value, usage: (u64, u64)) -> Option<Value> {
        Some(json!({
            "model": body["model"],
            "embeddings": vectors(count(&body["input"])),
            "total_duration": 1_000_000,
            "load_duration": 1_000,
            "prompt_eval_count": usage.0,
        }))
    }
}

/// It has a text, and no codes.
fn error(trouble: &Trouble) -> Value {
    let too_long = "prompt too long; exceeded max context length by 1000 tokens";
    json!({"error": trouble.in_words(too_long, "the request violates our usage policy")})
}

fn line(said: &Said<'_>, text: &str) -> Value {
    json!({
        "model": said.model,
        "created_at": "2023-11-14T22:13:20.000000Z",
        "message": {"role": "assistant", "content": text},
        "done": false,
    })
}

/// A call comes in one piece. That it is one is no reason for the end.
fn called(said: &Said<'_>) -> Value {
    let mut line = line(said, "");
    if let Some(call) = &said.call {
        let function = json!({"index": 0, "name": call.name, "arguments": call.arguments});
        line["message"]["tool_calls"] = json!([{"function": function}]);
    }
    line
}

fn end(said: &Said<'_>, line: &mut Value) {
    line["done"] = said.finish.into();
    if said.finish {
        line["done_reason"] = "stop".into();
    }
    line["total_duration"] = 5_000_000.into();
    line["load_duration"] = 1_000.into();
    line["prompt_eval_count"] = said.usage.0.into();
    line["prompt_eval_duration"] = 1_000_000.into();
    line["eval_count"] = said.usage.1.into();
    line["eval_duration"] = 2_000_000.into();
}

//! Cohere's second version.

use serde_json::{Value, json};

use super::{
    Dialect, Frame, Framing, Refusal,
    asked::{Asked, Said, read_messages},
    count, envelope,
    trouble::{Trouble, Why},
    vectors,
};
use crate::provider::render::to_base64;

/// Cohere's chat, embeddings and rankings.
#[derive(Debug)]
pub(super) struct Cohere;

impl Dialect for Cohere {
    fn framing(&self, _: &str) -> Framing {
        Framing::Sse
    }

    fn asked(&self, path: &str, body: &Value) -> Option<Asked> {
        if !path.ends_with("/chat") {
            return None;
        }
        let format = &body["response_format"];
        let schema = (format["type"] == "json_object").then(|| format["json_schema"].clone());
        Some(Asked {
            schema,
            ..read_messages(body)
        })
    }

    fn whole(&self, said: &Said<'_>) -> Value {
        let message = match &said.call {
            None => json!({
                "role": "assistant",
                "content": [{"type": "text", "text": said.text}],
            }),
            Some(call) => {
                let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
                let call = json!({"id": call.id, "type": "function", "function": function});
                json!({"role": "assistant", "tool_plan": "I will call it.", "tool_calls": [call]})
            }
        };
        json!({
            "id": said.id,
            "message": message,
            "finish_reason": said.reason("COMPLETE", "TOOL_CALL"),
            "usage": usage(said),
        })
    }

    fn lead(&self, said: &Said<'_>) -> Vec<Frame> {
        let message = json!({
            "role": "assistant",
            "content": [],
            "tool_plan": "",
            "tool_calls": [],
            "citations": [],
        });
        let start = json!({"id": said.id, "delta": {"message": message}});
        let mut lead = vec![event("message-start", start)];
        match &said.call {
            None => lead.push(part(
                "content-start",
                json!({"content": {"type": "text", "text": ""}}),
            )),
            Some(call) => {
                let function = json!({"name": call.name, "arguments": ""});
                let call = json!({"id": call.id, "type": "function", "function": function});
                lead.push(part("tool-call-start", json!({"tool_calls": call})));
            }
        }
        lead
    }

    fn contents(&self, said: &Said<'_>) -> Vec<Frame> {
        let Some(call) = &said.call else {
            let pieces = said.pieces.iter();
            let delta = |text| part("content-delta", json!({"content": {"text": text}}));
            return pieces.map(delta).collect();
        };
        let fragments = call.fragments().into_iter();
        let fragments = fragments.map(|text| json!({"function": {"arguments": text}}));
        fragments
            .map(|call| part("tool-call-delta", json!({"tool_calls": call})))
            .collect()
    }

    fn tail(&self, said: &Said<'_>) -> Vec<Frame> {
        let end = match said.call {
            None => "content-end",
            Some(_) => "tool-call-end",
        };
        let mut delta = json!({"usage": usage(said)});
        if said.finish {
            delta["finish_reason"] = said.reason("COMPLETE", "TOOL_CALL");
        }
        let mut tail = vec![
            event(end, json!({"index": 0})),
            event("message-end", json!({ "delta": delta })),
        ];
        if said.done {
            tail.push(Frame::done());
        }
        tail
    }

    fn refusal(&self, trouble: &Trouble, _: bool) -> Refusal {
        let message = trouble.in_words(
            "too many tokens: size limit exceeded by 1000 tokens",
            "blocked output: the content is not allowed",
        );
        let mut body = json!({"id": "simulated", "message": message});
        let mut refusal = envelope(trouble.status, Value::Null);
        match trouble.why() {
            Why::TooLong => body["error_type"] = "TOO_MANY_TOKENS".into(),
            Why::Declined => refusal.status = 498.try_into().expect("is a status"),
            Why::Other => {}
        }
        refusal.body = body;
        refusal
    }

    /// There is no event for an error, but a reason for the end.
    fn broken(&self, _: &Said<'_>, trouble: &Trouble, _: usize) -> Vec<Frame> {
        let delta = json!({"finish_reason": "ERROR", "error": trouble.message});
        vec![event("message-end", json!({ "delta": delta }))]
    }

    fn other(&self, path: &str, body: &Value, usage: (u64, u64)) -> Option<Value> {
        if path.ends_with("/rerank") {
            return Some(ranking(body));
        }
        let inputs = ["texts", "inputs", "images"].map(|name| &body[name]);
        let inputs = inputs.into_iter().find(|inputs| inputs.is_array())?;
        let vectors = vectors(count(inputs));
        let asked = match body["embedding_types"].as_array() {
            Some(types) => types.clone(),
            None => vec!["float".into()],
        };
        let mut embeddings = json!({});
        for kind in asked.iter().filter_map(Value::as_str) {
            embeddings[kind] = match kind {
                "base64" => {
                    let bytes = vectors
                        .iter()
                        .map(|vector| vector.map(f32::to_le_bytes).concat());
                    bytes.map(|bytes| to_base64(&bytes)).collect()
                }
                _ => json!(vectors),
            };
        }
        Some(json!({
            "id": "simulated",
            "embeddings": embeddings,
            "texts": body["texts"],
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": usage.0}},
            "response_type": "embeddings_by_type",
        }))
    }
}

/// The last document comes first.
fn ranking(body: &Value) -> Value {
    let documents = count(&body["documents"]);
    let top = body["top_n"].as_u64().unwrap_or(u64::MAX);
    let results = (0..documents).map(
        |rank| json!({"index": documents - 1 - rank, "relevance_score": 1.0 / (rank + 1) as f64}),
    );
    let results: Value = results
        .take(usize::try_from(top).unwrap_or(usize::MAX))
        .collect();
    let meta = json!({"api_version": {"version": "2"}, "billed_units": {"search_units": 1}});
    json!({"id": "simulated", "results": results, "meta": meta})
}

fn event(name: &'static str, mut data: Value) -> Frame {
    data["type"] = name.into();
    Frame::new(name, data)
}

/// An event of a part of the message.
fn part(name: &'static str, message: Value) -> Frame {
    event(name, json!({"index": 0, "delta": {"message": message}}))
}

fn usage(said: &Said<'_>) -> Value {
    let (input, output) = said.usage;
    // What is billed is not what is counted.
    json!({
        "billed_units": {"input_tokens": input / 2, "output_tokens": output},
        "tokens": {"input_tokens": input, "output_tokens": output},
    })
}

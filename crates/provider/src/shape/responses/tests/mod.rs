//! Whole conversations: chat in, Responses out, and back.

mod decoded;
mod encoded;
mod recorded;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::{Deployment, ErrorKind, Usage};

use super::{Responses, decoder};
use crate::{
    chat::Events,
    dialect::openai::{self, Asked},
    reader::Reader,
    shape::Shape,
    sse::{self, Event},
    stream::Read,
};

/// What the models of OpenAI's Python client (3.54) require of each event and item, beside `type` and
/// `sequence_number`.
const REQUIRED: &[(&str, &[&str])] = &[
    ("response.created", &["response"]),
    ("response.in_progress", &["response"]),
    ("response.completed", &["response"]),
    ("response.incomplete", &["response"]),
    ("response.failed", &["response"]),
    ("response.output_item.added", &["item", "output_index"]),
    ("response.output_item.done", &["item", "output_index"]),
    (
        "response.content_part.added",
        &["content_index", "item_id", "output_index", "part"],
    ),
    (
        "response.content_part.done",
        &["content_index", "item_id", "output_index", "part"],
    ),
    (
        "response.output_text.delta",
        &[
            "content_index",
            "delta",
            "item_id",
            "logprobs",
            "output_index",
        ],
    ),
    (
        "response.output_text.done",
        &[
            "content_index",
            "item_id",
            "logprobs",
            "output_index",
            "text",
        ],
    ),
    (
        "response.output_text.annotation.added",
        &[
            "annotation",
            "annotation_index",
            "content_index",
            "item_id",
            "output_index",
        ],
    ),
    (
        "response.refusal.delta",
        &["content_index", "delta", "item_id", "output_index"],
    ),
    (
        "response.refusal.done",
        &["content_index", "item_id", "output_index", "refusal"],
    ),
    (
        "response.reasoning_summary_part.added",
        &["item_id", "output_index", "part", "summary_index"],
    ),
    (
        "response.reasoning_summary_part.done",
        &["item_id", "output_index", "part", "summary_index"],
    ),
    (
        "response.reasoning_summary_text.delta",
        &["delta", "item_id", "output_index", "summary_index"],
    ),
    (
        "response.reasoning_summary_text.done",
        &["item_id", "output_index", "summary_index", "text"],
    ),
    (
        "response.function_call_arguments.delta",
        &["delta", "item_id", "output_index"],
    ),
    (
        "response.function_call_arguments.done",
        &["arguments", "item_id", "name", "output_index"],
    ),
    (
        "response.custom_tool_call_input.delta",
        &["delta", "item_id", "output_index"],
    ),
    (
        "response.custom_tool_call_input.done",
        &["input", "item_id", "output_index"],
    ),
    ("message", &["id", "content", "role", "status"]),
    ("reasoning", &["id", "summary"]),
    ("function_call", &["arguments", "call_id", "name"]),
    ("custom_tool_call", &["call_id", "input", "name"]),
    ("image_generation_call", &["id", "result", "status"]),
];

fn has_required(of: &Value) {
    let kind = of["type"].as_str().expect("has a type");
    let known = REQUIRED.iter().find(|(known, _)| *known == kind);
    let (_, names) = known.unwrap_or_else(|| panic!("`{kind}` is known"));
    for name in *names {
        assert!(of.get(name).is_some(), "`{kind}` has `{name}`");
    }
}

/// The events of a chat answer, encoded in batches of so many.
fn encode(request: &Value, chat: &[u8], batch: usize) -> Bytes {
    let mut encoder = Responses.encoder(request.to_string().as_bytes());
    let events: Vec<_> = sse::events(chat).collect();
    let mut out = Vec::new();
    for events in events.chunks(batch) {
        out.extend_from_slice(&encoder.encode(&events.concat().into()));
    }
    out.extend_from_slice(&encoder.end());
    out.into()
}

fn json_of(stream: &[u8]) -> Vec<Value> {
    let data = sse::events(stream).filter_map(|event| Event::read(event).data);
    data.map(|data| serde_json::from_slice(&data).expect("is JSON"))
        .collect()
}

/// Makes sure that events are those of one answer, and gives the last response.
fn last(stream: &[u8]) -> Value {
    let events = json_of(stream);
    let mut items: HashMap<u64, Value> = HashMap::new();
    let mut pieces: HashMap<(String, u64, u64), String> = HashMap::new();
    for (number, event) in events.iter().enumerate() {
        has_required(event);
        assert_eq!(event["sequence_number"], number);
        let kind = event["type"].as_str().expect("has one");
        let index = event["output_index"].as_u64().unwrap_or_default();
        let part = ["content_index", "summary_index"]
            .iter()
            .find_map(|name| event[*name].as_u64());
        let (of, step) = kind.rsplit_once('.').expect("has two parts");
        let place = (of.to_owned(), index, part.unwrap_or_default());
        match (of, step) {
            ("response.output_item", "added") => {
                assert!(
                    items.insert(index, event["item"].clone()).is_none(),
                    "opens once"
                );
            }
            ("response.output_item", "done") => {
                has_required(&event["item"]);
                let open = items.insert(index, event["item"].clone()).expect("is open");
                assert_eq!(open["id"], event["item"]["id"]);
            }
            (_, "delta") => {
                assert_eq!(items[&index]["id"], event["item_id"]);
                let text = event["delta"].as_str().expect("is text");
                pieces.entry(place).or_default().push_str(text);
            }
            (_, "done") if event.get("part").is_none() => {
                let names = ["text", "refusal", "arguments", "input"];
                let whole = names.iter().find_map(|name| event[*name].as_str());
                let said = pieces.remove(&place).unwrap_or_default();
                assert_eq!(whole, Some(said.as_str()), "{kind}");
            }
            _ => {}
        }
    }
    assert!(pieces.is_empty(), "all is told again: {pieces:?}");
    let last = events.last().expect("has one")["response"].clone();
    let output = last["output"].as_array().expect("is a list");
    assert_eq!(output.len(), items.len());
    for (index, item) in output.iter().enumerate() {
        assert_eq!(Some(item), items.get(&(index as u64)));
    }
    last
}

fn kinds(stream: &[u8]) -> Vec<String> {
    let kind = |event: &Value| event["type"].as_str().expect("has one").to_owned();
    let mut kinds: Vec<_> = json_of(stream).iter().map(kind).collect();
    kinds.dedup();
    kinds
}

/// Without ids, which are new each time.
fn without_ids(mut response: Value) -> Value {
    response["id"] = Value::Null;
    for item in response["output"].as_array_mut().into_iter().flatten() {
        item["id"] = Value::Null;
    }
    response
}

fn asked() -> Asked {
    Asked {
        usage: true,
        choices: Some(1),
        refusals: false,
    }
}

/// What is read of a stream of Responses in these pieces: events of chat, and how they ended.
fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Option<Usage>, Option<ErrorKind>) {
    let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
    let reader = openai::Reader::new(Arc::clone(&deployment), asked());
    let events = Events::new("m", 7);
    let mut reader = Reader::decoding(reader, decoder(&deployment), events);
    let (mut out, mut usage) = (Vec::new(), None);
    for piece in pieces {
        reader.read(Bytes::copy_from_slice(piece));
        while let Some(item) = reader.take_item() {
            out.extend_from_slice(&item.bytes);
            usage = item.usage.or(usage);
        }
    }
    reader.finish();
    while let Some(item) = reader.take_item() {
        out.extend_from_slice(&item.bytes);
        usage = item.usage.or(usage);
    }
    (out, usage, reader.take_error().map(|error| error.kind()))
}

/// Text, thoughts and arguments of events of chat, and the finish reason.
fn told(chat: &[u8]) -> (String, String, String, String) {
    let mut told = <(String, String, String, String)>::default();
    let data = sse::events(chat).filter_map(|event| Event::read(event).data);
    let chunks = data.filter_map(|data| serde_json::from_slice::<Value>(&data).ok());
    for chunk in chunks {
        let choice = &chunk["choices"][0];
        if choice["index"].as_u64().unwrap_or_default() > 0 {
            continue;
        }
        let (said, thought) = super::items::texts(&choice["delta"]);
        told.0 += &said;
        told.1 += &thought;
        for call in choice["delta"]["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
        {
            told.2 += call["function"]["name"].as_str().unwrap_or_default();
            told.2 += call["function"]["arguments"].as_str().unwrap_or_default();
        }
        told.3 += choice["finish_reason"].as_str().unwrap_or_default();
    }
    told
}

fn chunk(delta: &Value) -> String {
    let choices = json!([{"index": 0, "delta": delta}]);
    let chunk = json!({"id": "x", "created": 7, "model": "gpt-4o-mini", "choices": choices});
    format!("data: {chunk}\n\n")
}

fn finished(reason: &str) -> String {
    let choices = json!([{"index": 0, "delta": {}, "finish_reason": reason}]);
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17});
    format!(
        "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
        json!({ "choices": choices }),
        json!({"choices": [], "usage": usage}),
    )
}

/// Thoughts, text with a citation, and two calls whose pieces are mixed.
fn rich() -> (Value, String) {
    let call = |index: u64, id: &str, name: &str| {
        let function = json!({"name": name, "arguments": ""});
        json!({"index": index, "id": id, "type": "function", "function": function})
    };
    let piece = |index: u64, text: &str| json!({"index": index, "function": {"arguments": text}});
    let citation = json!({"type": "url_citation", "url_citation": {"url": "u", "title": "t",
        "start_index": 0, "end_index": 1}});
    let request = json!({"model": "m", "input": "hi", "stream": true, "tools": [
        {"type": "function", "name": "f"}, {"type": "custom", "name": "sh"}]});
    let chat = [
        chunk(&json!({"role": "assistant", "content": ""})),
        ": a comment\n\n".to_owned(),
        chunk(&json!({"reasoning_content": "h"})),
        chunk(&json!({"reasoning_content": "m"})),
        chunk(
            &json!({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "EqQB"}]}),
        ),
        chunk(&json!({"content": "s"})),
        chunk(&json!({"content": "o", "annotations": [citation]})),
        chunk(&json!({"tool_calls": [call(0, "c0", "f")]})),
        chunk(&json!({"tool_calls": [call(1, "c1", "sh")]})),
        chunk(&json!({"tool_calls": [piece(0, "{\"a\":"), piece(1, "{\"input\":\"l")]})),
        chunk(&json!({"tool_calls": [piece(1, "s\"}"), piece(0, "1}")]})),
        finished("tool_calls"),
    ];
    (request, chat.concat())
}

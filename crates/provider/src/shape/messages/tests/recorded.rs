//! Recorded answers of Anthropic's, decoded and encoded again.

use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::Operation;

use super::{Messages, assembled};
use crate::{
    dialect::{anthropic::Anthropic, trial::Trial},
    fixtures,
    shape::Shape,
    sse::{self, Event},
};

fn trial(stream: bool) -> Trial {
    let body = json!({"max_tokens": 9, "stream": stream, "messages": []});
    Trial::chat(&Anthropic, body)
}

/// A message as much of it as chat has a place for: one text, thoughts before it and calls behind.
fn plain(message: &Value) -> Value {
    let content = message["content"].as_array().expect("is a list").iter();
    let of = |kind: &'static str| content.clone().filter(move |block| block["type"] == kind);
    let thoughts = content
        .clone()
        .filter(|block| block["type"] == "thinking" || block["type"] == "redacted_thinking");
    let calls = of("tool_use").map(|call| [&call["id"], &call["name"], &call["input"]]);
    let said = of("text").filter_map(|block| block["text"].as_str());
    let usage = [
        "input_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "output_tokens",
    ];
    let usage = usage.map(|name| message["usage"][name].as_u64().unwrap_or_default());
    json!({
        "id": message["id"],
        "model": message["model"],
        "thoughts": thoughts.collect::<Vec<_>>(),
        "said": said.collect::<String>(),
        "calls": calls.collect::<Vec<_>>(),
        "stop_reason": message["stop_reason"],
        "usage": usage,
    })
}

/// What declines without a word is given the words of the reason.
fn is_refusal(message: &Value) -> bool {
    message["stop_reason"] == "refusal"
}

#[test]
fn whole_answers_come_back() {
    for recorded in fixtures::of("anthropic", "messages", Operation::Messages, "json") {
        let (chat, _) = trial(false).answer(&recorded.body).expect("is an answer");
        let back = Messages.answer(b"{}", chat.to_string().as_bytes());
        let back: Value = serde_json::from_slice(&back.expect("is one")).expect("is JSON");
        let message: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        if is_refusal(&message) {
            assert!(is_refusal(&back), "{}", recorded.name);
            continue;
        }
        assert_eq!(plain(&back), plain(&message), "{}", recorded.name);
    }
}

#[test]
fn streams_come_back_in_order_wherever_they_are_cut() {
    for recorded in fixtures::of("anthropic", "messages_stream", Operation::Messages, "sse") {
        let name = &recorded.name;
        let events = |pieces: &[&[u8]]| {
            let stream = trial(true).stream(pieces.iter().copied());
            stream.unwrap_or_else(|error| panic!("{name}: {error}")).0
        };
        let whole = events(&[&recorded.body]);
        let mut encoder = Messages.encoder(b"{}");
        let mut out = Vec::new();
        for event in &whole {
            out.extend_from_slice(&encoder.encode(&Bytes::from(format!("data: {event}\n\n"))));
        }
        out.extend_from_slice(&encoder.end());
        let back = assembled(&out);
        for at in (1..recorded.body.len()).step_by(recorded.body.len().div_ceil(200)) {
            let (head, tail) = recorded.body.split_at(at);
            assert_eq!(events(&[head, tail]), whole, "{name} cut at {at}");
        }
        let message = told(&recorded.body);
        if is_refusal(&message) {
            assert!(is_refusal(&back), "{name}");
            continue;
        }
        assert_eq!(plain(&back), plain(&message), "{name}");
    }
}

#[test]
fn streams_of_those_who_follow_openai_become_messages() {
    let streams = fixtures::streams().into_iter();
    for recorded in streams.filter(|stream| stream.operation == Operation::ChatCompletions) {
        let name = &recorded.name;
        let mut encoder = Messages.encoder(b"{}");
        let out = [encoder.encode(&recorded.body), encoder.end()].concat();
        let message = assembled(&out);
        let data = sse::events(&recorded.body).filter_map(|event| Event::read(event).data);
        let chunks = data.filter_map(|data| serde_json::from_slice::<Value>(&data).ok());
        let (mut said, mut calls) = (String::new(), 0);
        for chunk in chunks {
            let choices = chunk["choices"].as_array().into_iter().flatten();
            for choice in choices.filter(|choice| choice["index"] == 0) {
                let delta = &choice["delta"];
                said += &super::super::answer::said(&delta["content"]);
                said += delta["refusal"].as_str().unwrap_or_default();
                let pieces = delta["tool_calls"].as_array().into_iter().flatten();
                calls += pieces
                    .filter(|call| call["function"]["name"].is_string())
                    .count();
            }
        }
        let read = plain(&message);
        assert_eq!(read["said"], said, "{name}");
        let told = read["calls"].as_array().expect("is a list");
        assert!(
            told.iter().all(|call| call[2].is_object()),
            "{name}: {told:?}"
        );
        assert!(
            told.len() <= calls && told.is_empty() == (calls == 0),
            "{name}"
        );
    }
}

#[test]
fn who_speaks_the_shape_gets_every_byte() {
    for recorded in fixtures::of("anthropic", "messages_stream", Operation::Messages, "sse") {
        let name = &recorded.name;
        let (_, expected) = trial(true).stream([&recorded.body[..]]).expect("is whole");
        for at in (1..recorded.body.len()).step_by(recorded.body.len().div_ceil(200)) {
            let (head, tail) = recorded.body.split_at(at);
            let (bytes, usage, error) = trial(true).native_stream([head, tail]);
            assert!(error.is_none(), "{name}: {error:?}");
            let text = recorded.body.trim_ascii_end();
            assert!(bytes.starts_with(text), "{name} cut at {at}");
            assert!(bytes.len() <= recorded.body.len() + 2, "{name} cut at {at}");
            assert_eq!(usage, expected, "{name}");
        }
    }
}

/// The message that a stream of Anthropic's own makes.
fn told(stream: &[u8]) -> Value {
    let text = std::str::from_utf8(stream).expect("is text");
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let mut message = Value::Null;
    for event in data {
        let event: Value = serde_json::from_str(event).expect("is JSON");
        let index = event["index"].as_u64().unwrap_or_default();
        let index = usize::try_from(index).expect("is small");
        match event["type"].as_str().expect("has a type") {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().expect("is a list");
                content.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let block = &mut message["content"][index];
                let is_other = block["type"] == "server_tool_use";
                if !is_other && event["delta"]["type"] != "citations_delta" {
                    super::add(block, &event["delta"]);
                }
            }
            "content_block_stop" => {
                let block = message["content"][index]
                    .as_object_mut()
                    .expect("is a block");
                if let Some(Value::String(json)) = block.remove("json")
                    && !json.is_empty()
                {
                    let input = serde_json::from_str(&json).expect("is JSON");
                    block.insert("input".to_owned(), input);
                }
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                let counts = event["usage"].as_object().expect("is counted").clone();
                message["usage"]
                    .as_object_mut()
                    .expect("is counted")
                    .extend(counts);
            }
            _ => {}
        }
    }
    message
}

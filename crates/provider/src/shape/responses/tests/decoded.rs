//! Responses that are read as chat.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::{Deployment, ErrorKind, Usage};

use super::{asked, chunk, decode, encode, rich, told};
use crate::{
    chat::Events,
    dialect::openai,
    reader::Reader,
    shape::{
        Shape,
        responses::{Responses, decoder},
    },
    stream::Read,
};

#[test]
fn what_was_encoded_is_read_as_it_was() {
    let (_, chat) = rich();
    let stream = encode(&json!({}), chat.as_bytes(), 1);
    let (back, usage, error) = decode([&stream[..]]);
    assert_eq!(told(&back), told(chat.as_bytes()));
    assert_eq!((usage, error), (Some(Usage::new(10, 7)), None));
    for size in 1..20 {
        let (cut, _, _) = decode(stream.chunks(size));
        assert_eq!(told(&cut), told(&back), "in pieces of {size}");
    }
    // One that breaks off is never whole.
    let head = stream.len() - 100;
    let (_, _, error) = decode([&stream[..head]]);
    assert_eq!(error, Some(ErrorKind::StreamBroken));
}

#[test]
fn what_a_stream_tells_as_a_whole_only_is_read_too() {
    let event = |value: Value| format!("data: {value}\n\n");
    let output = json!([
        {"type": "reasoning", "summary": [{"text": "hm"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "so"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]);
    let done = json!({"type": "response.completed", "response": {"status": "completed", "output": output}});
    let (chat, _, error) = decode([event(done).as_bytes()]);
    let expected = ["so", "hm", "f{}", "tool_calls"].map(str::to_owned);
    assert_eq!((told(&chat), error), (expected.into(), None));

    let text = json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "so"});
    let done = json!({"type": "response.completed", "response": {"output": []}});
    let (chat, _, error) = decode([(event(text) + &event(done)).as_bytes()]);
    assert_eq!((told(&chat).0.as_str(), error), ("so", None));
}

#[test]
fn a_failure_in_a_stream_has_its_kind() {
    for (event, kind) in [
        (
            json!({"type": "error", "code": "rate_limit_exceeded", "message": "no"}),
            ErrorKind::RateLimited,
        ),
        (
            json!({"type": "error", "error": {"type": "tokens", "code": "rate_limit_exceeded"}}),
            ErrorKind::RateLimited,
        ),
        (
            json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error"}}}),
            ErrorKind::Internal,
        ),
        (
            json!({"type": "response.failed", "response": {"status": "failed", "error":
                {"code": "image_content_policy_violation"}}}),
            ErrorKind::ContentPolicy,
        ),
        (json!({"error": {"code": 429}}), ErrorKind::RateLimited),
        (
            json!({"type": "response.completed", "response": {"output": []}}),
            ErrorKind::BadAnswer,
        ),
        (
            json!({"type": "response.cancelled", "response": {"status": "cancelled"}}),
            ErrorKind::StreamBroken,
        ),
    ] {
        let stream = format!("event: x\ndata: {event}\n\n");
        assert_eq!(decode([stream.as_bytes()]).2, Some(kind), "{event}");
    }
}

#[test]
fn a_call_of_the_providers_own_is_content() {
    let added = json!({"type": "response.output_item.added", "item": {"type": "web_search_call"}});
    let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
    let reader = openai::Reader::new(Arc::clone(&deployment), asked());
    let mut reader = Reader::decoding(reader, decoder(&deployment), Events::new("m", 7));
    reader.read("data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n".into());
    assert!(!reader.is_committed());
    reader.read(format!("data: {added}\n\n").into());
    assert!(reader.is_committed());
}

proptest! {
    #[test]
    fn whatever_is_sent_is_no_reason_to_panic(
        name in "content|refusal|reasoning|tool_calls|annotations|images|thinking_blocks|logprobs|function_call|index|usage|type|item|response|delta|output|error|summary|tools|input|text",
        value in "null|-7|\"x\"|\"reasoning\"|\"response\\.completed\"|\\[\\]|\\[7\\]|\\[\\{\\}\\]|\\{\\}|\\{\"content\":7\\}|\\[null,\\{\"type\":\"thinking\"\\}\\]",
        kind in "message|reasoning|function_call|response\\.output_item\\.added|response\\.completed|error",
    ) {
        let json = format!(r#"{{"type":"{kind}","role":"user","model":"m","{name}":{value}}}"#);
        let event: Value = serde_json::from_str(&json).expect("is JSON");
        let stream = chunk(&event) + &format!("data: {{\"choices\":{value},\"{name}\":{value}}}\n\n");
        encode(&event, stream.as_bytes(), 1);
        decode([format!("data: {json}\n\n").as_bytes()]);
        let chat = json!({"choices": [{"message": event, name: event}]}).to_string();
        let _ = Responses.answer(json.as_bytes(), chat.as_bytes());
        let request = json!({"model": "m", "input": [event], "tools": [event], "text": event});
        let _ = Responses.to_chat(request.to_string().as_bytes(), crate::chat::unsupported::Fit::default());
        let _ = Responses.to_chat(json.as_bytes(), crate::chat::unsupported::Fit::default());
    }
}

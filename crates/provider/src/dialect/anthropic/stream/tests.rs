use bytes::Bytes;
use proptest::prelude::*;
use ziggurat_core::ErrorKind;

use super::*;
use crate::dialect::{Decoder, anthropic::blocks::object};

/// What the events, in these pieces, become: the JSON of each, and how it ended.
fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Value>, Result<(), Error>) {
    let deployment = Arc::new(Deployment::new("a", "claude", "m"));
    let mut decoder = decoder(&deployment);
    let mut events = Events::new("m", 7);
    events.set_id("made");
    let mut read = Ok(());
    for piece in pieces {
        read = decoder.read(Bytes::copy_from_slice(piece), &mut events);
        if read.is_err() {
            break;
        }
    }
    let end = read.and_then(|()| decoder.finish(&mut events));
    let text = String::from_utf8(events.take().to_vec()).expect("is text");
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let data = data.map(|data| match data {
        "[DONE]" => Value::from("[DONE]"),
        data => serde_json::from_str(data).expect("is JSON"),
    });
    (data.collect(), end)
}

/// A stream of these events, some of them written as only some servers do.
fn stream(events: &[Value]) -> String {
    let mut text = String::new();
    for (index, event) in events.iter().enumerate() {
        let kind = event["type"].as_str().unwrap_or_default();
        text += &match index % 3 {
            0 => format!("event: {kind}\ndata: {event}   \n\n"),
            1 => format!("event:{kind}\r\ndata:{event}\r\n\r\n"),
            _ => format!("data: {event}\n\n"),
        };
    }
    text
}

fn whole(events: &[Value]) -> Vec<Value> {
    let text = stream(events);
    let (expected, end) = decoded([text.as_bytes()]);
    end.expect("ends well");
    for at in 0..text.len() {
        let (head, tail) = text.as_bytes().split_at(at);
        assert_eq!(decoded([head, tail]).0, expected, "cut at {at}");
    }
    expected
}

fn deltas(events: &[Value]) -> Vec<Value> {
    let deltas = events
        .iter()
        .map(|event| event["choices"][0]["delta"].clone());
    let says = |delta: &Value| delta.as_object().is_some_and(|delta| !delta.is_empty());
    deltas.filter(says).skip(1).collect()
}

fn start(usage: Value) -> Value {
    let message = [
        ("id", "msg_1".into()),
        ("model", "claude-x".into()),
        ("usage", usage),
    ];
    object([
        ("type", "message_start".into()),
        ("message", object(message)),
    ])
}

fn block(block: Value) -> Value {
    object([
        ("type", "content_block_start".into()),
        ("content_block", block),
    ])
}

fn delta(delta: Value) -> Value {
    object([("type", "content_block_delta".into()), ("delta", delta)])
}

fn stop() -> Value {
    json!({"type": "content_block_stop", "index": 0})
}

fn end(reason: &str) -> [Value; 2] {
    let delta = json!({"stop_reason": reason});
    let usage = json!({"input_tokens": 3, "output_tokens": 9});
    [
        json!({"type": "message_delta", "delta": delta, "usage": usage}),
        json!({"type": "message_stop"}),
    ]
}

#[test]
fn a_message_becomes_a_chat_with_all_that_is_in_it() {
    let ping = || json!({"type": "ping"});
    let begin =
        || start(json!({"input_tokens": 0, "output_tokens": 1, "cache_read_input_tokens": 5}));
    let citation = json!({"type": "web_search_result_location", "url": "https://x", "title": "X"});
    let mut events = vec![
        begin(),
        ping(),
        begin(),
        block(json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(json!({"type": "thinking_delta", "thinking": "h"})),
        delta(json!({"type": "thinking_delta", "thinking": "m"})),
        delta(json!({"type": "signature_delta", "signature": "s"})),
        stop(),
        block(json!({"type": "redacted_thinking", "data": "d"})),
        stop(),
        block(json!({"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}})),
        delta(json!({"type": "input_json_delta", "partial_json": "{\"query\":1}"})),
        stop(),
        block(json!({"type": "text", "text": "Ä"})),
        stop(),
        block(json!({"type": "text", "text": ""})),
        delta(json!({"type": "citations_delta", "citation": citation})),
        delta(json!({"type": "text_delta", "text": "bc"})),
        stop(),
        block(json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
        delta(json!({"type": "input_json_delta", "partial_json": ""})),
        delta(json!({"type": "input_json_delta", "partial_json": "{\"a\""})),
        delta(json!({"type": "input_json_delta", "partial_json": ":1}"})),
        stop(),
        block(json!({"type": "tool_use", "id": "u", "name": "g", "input": {}})),
        stop(),
        block(json!({"type": "tool_use", "id": "v", "name": "h", "input": {"b": 2}})),
        json!({"type": "something_new"}),
    ];
    events.extend(end("tool_use"));
    let events = whole(&events);
    let call = |index: u64, id: &str, name: &str| {
        let function = json!({"name": name, "arguments": ""});
        json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
    };
    let arguments = |index: u64, text: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
    let place = json!({"url": "https://x", "title": "X", "start_index": 1, "end_index": 3});
    let expected = [
        json!({"reasoning_content": "h"}),
        json!({"reasoning_content": "m"}),
        json!({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}),
        json!({"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]}),
        json!({"content": "Ä"}),
        json!({"content": "bc"}),
        json!({"annotations": [{"type": "url_citation", "url_citation": place}]}),
        json!({"provider_specific_fields": {"citations": [citation]}}),
        call(0, "t", "f"),
        arguments(0, "{\"a\""),
        arguments(0, ":1}"),
        call(1, "u", "g"),
        arguments(1, "{}"),
        call(2, "v", "h"),
        arguments(2, "{\"b\":2}"),
    ];
    assert_eq!(deltas(&events), expected);
    let [.., finish, usage, done] = &events[..] else {
        panic!("ends")
    };
    assert_eq!(finish["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(
        (&usage["id"], &usage["model"]),
        (&json!("msg_1"), &json!("claude-x"))
    );
    assert_eq!(usage["usage"]["prompt_tokens"], 8);
    assert_eq!(usage["usage"]["prompt_tokens_details"]["cached_tokens"], 5);
    assert_eq!(usage["usage"]["completion_tokens"], 9);
    assert_eq!(done, "[DONE]");
}

#[test]
fn a_call_that_takes_the_answer_is_its_text() {
    let mut events = vec![
        start(Value::Null),
        block(json!({"type": "tool_use", "id": "t", "name": form::TOOL, "input": {}})),
        delta(json!({"type": "input_json_delta", "partial_json": "{\"a\":"})),
        delta(json!({"type": "input_json_delta", "partial_json": "1}"})),
        stop(),
    ];
    events.extend(end("tool_use"));
    let events = whole(&events);
    let expected = [json!({"content": "{\"a\":"}), json!({"content": "1}"})];
    assert_eq!(deltas(&events), expected);
    assert_eq!(
        events[events.len() - 3]["choices"][0]["finish_reason"],
        "stop"
    );
}

#[test]
fn who_declines_before_anything_is_said_says_why() {
    let details = json!({"type": "refusal", "explanation": "no"});
    let refusal = json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}});
    let end = || json!({"type": "message_stop"});
    let events = whole(&[start(Value::Null), refusal.clone(), end()]);
    assert_eq!(deltas(&events), [json!({"refusal": "no"})]);
    let finish = &events[events.len() - 2];
    assert_eq!(finish["choices"][0]["finish_reason"], "content_filter");
    let said = delta(json!({"type": "text_delta", "text": "Well"}));
    let events = whole(&[start(Value::Null), said, refusal, end()]);
    assert_eq!(deltas(&events), [json!({"content": "Well"})]);
}

#[test]
fn an_error_ends_the_stream_with_its_kind() {
    for (kind, expected) in [
        ("overloaded_error", ErrorKind::Overloaded),
        ("rate_limit_error", ErrorKind::RateLimited),
        ("billing_error", ErrorKind::RateLimited),
        ("request_too_large", ErrorKind::ContextWindow),
        ("authentication_error", ErrorKind::Authentication),
        ("api_error", ErrorKind::Internal),
    ] {
        let error = json!({"type": "error", "error": {"type": kind, "message": "m"}});
        let text = stream(&[start(Value::Null), error]);
        let (events, end) = decoded([text.as_bytes()]);
        assert_eq!(end.expect_err("fails").kind(), expected, "{kind}");
        assert_eq!(events.len(), 1);
    }
}

#[test]
fn only_a_message_that_says_why_it_ended_is_whole() {
    let said = delta(json!({"type": "text_delta", "text": "hi"}));
    let [reason, last] = end("end_turn");
    let finished = |events: &[Value]| {
        let (events, end) = decoded([stream(events).as_bytes()]);
        end.expect("is no failure");
        let reasons = events
            .iter()
            .map(|event| &event["choices"][0]["finish_reason"]);
        reasons.filter(|reason| reason.is_string()).count()
    };
    let begin = || start(Value::Null);
    assert_eq!(finished(&[begin(), said.clone()]), 0);
    assert_eq!(finished(&[begin(), said.clone(), last.clone()]), 0);
    assert_eq!(finished(&[begin(), said.clone(), reason.clone()]), 1);
    assert_eq!(finished(&[begin(), said, reason, last.clone(), last]), 1);
}

#[test]
fn a_thought_that_is_too_long_is_told_and_not_kept() {
    let thought = "x".repeat(MAX_THOUGHT / 2 + 1);
    let piece = || delta(json!({"type": "thinking_delta", "thinking": thought}));
    let mut events = vec![
        start(Value::Null),
        block(json!({"type": "thinking"})),
        piece(),
        piece(),
        delta(json!({"type": "signature_delta", "signature": "s"})),
        stop(),
    ];
    events.extend(end("end_turn"));
    let (events, _) = decoded([stream(&events).as_bytes()]);
    let deltas = deltas(&events);
    assert_eq!(deltas.len(), 2);
    assert!(
        deltas
            .iter()
            .all(|delta| delta["reasoning_content"] == thought.as_str())
    );
}

proptest! {
    #[test]
    fn whatever_is_sent_is_read(
        events in prop::collection::vec((
            "message_start|content_block_start|content_block_delta|content_block_stop|message_delta|message_stop|error|x",
            "text|tool_use|thinking|redacted_thinking|text_delta|input_json_delta|signature_delta|citations_delta|7",
            "null|7|\"x\"|\\[\\]|\\{\\}|\\{\"a\":1\\}",
        ), 0..12),
        cut in 0_usize..400,
    ) {
        let mut text = String::new();
        for (kind, inner, value) in events {
            let inner = format!(r#"{{"type":"{inner}","text":{value},"input":{value},"citation":{value},"thinking":{value},"partial_json":{value},"stop_reason":{value},"usage":{value}}}"#);
            text += &format!("data: {{\"type\":\"{kind}\",\"message\":{inner},\"content_block\":{inner},\"delta\":{inner},\"usage\":{value}}}\n\n");
        }
        let cut = cut.min(text.len());
        let (head, tail) = text.as_bytes().split_at(cut);
        let (once, twice) = (decoded([text.as_bytes()]), decoded([head, tail]));
        prop_assert_eq!(once.0, twice.0);
        prop_assert_eq!(once.1.is_ok(), twice.1.is_ok());
    }
}

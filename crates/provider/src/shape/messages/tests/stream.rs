use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::assembled;
use crate::shape::{Shape, messages::Messages};

/// Events that hold these deltas, then the end and what was used.
fn events(deltas: &[Value], finish: &str) -> Vec<String> {
    let event = |value: Value| format!("data: {value}\n\n");
    let chunk = |delta: &Value, finish: Value| {
        event(json!({"id": "chatcmpl-1", "model": "m", "choices": [
            {"index": 0, "delta": delta, "finish_reason": finish},
        ]}))
    };
    let role = json!({"role": "assistant", "content": ""});
    let mut events = vec![chunk(&role, Value::Null)];
    events.extend(deltas.iter().map(|delta| chunk(delta, Value::Null)));
    events.push(chunk(&json!({}), finish.into()));
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5});
    events.push(event(
        json!({"id": "chatcmpl-1", "choices": [], "usage": usage}),
    ));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// The message that comes of items that hold so many events each.
fn message_in(events: &[String], at_once: usize) -> Value {
    let mut encoder = Messages.encoder(b"{}");
    let mut out = Vec::new();
    for item in events.chunks(at_once) {
        out.extend_from_slice(&encoder.encode(&Bytes::from(item.concat())));
    }
    out.extend_from_slice(&encoder.end());
    assembled(&out)
}

fn message(deltas: &[Value], finish: &str) -> Value {
    let events = events(deltas, finish);
    let whole = message_in(&events, events.len());
    for at_once in 1..events.len() {
        assert_eq!(message_in(&events, at_once), whole, "{at_once} at once");
    }
    whole
}

fn call(index: u64, id: &str, name: &str, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]})
}

fn more(index: u64, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
}

fn used(id: &str, name: &str, input: &Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": input})
}

#[test]
fn a_stream_makes_the_message_that_a_whole_answer_is() {
    let read = message(
        &[
            json!({"reasoning_content": "h"}),
            json!({"reasoning_content": "m"}),
            json!({"content": "he"}),
            json!({"content": "llo"}),
            call(0, "a", "f", ""),
            more(0, "{\"x\":"),
            more(0, "1}"),
            call(1, "b", "g", "{}"),
        ],
        "tool_calls",
    );
    let whole = json!({
        "id": "chatcmpl-1", "model": "m",
        "choices": [{"finish_reason": "tool_calls", "message": {
            "content": "hello", "reasoning_content": "hm",
            "tool_calls": [
                {"id": "a", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "b", "function": {"name": "g", "arguments": "{}"}},
            ],
        }}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    });
    let whole = Messages.answer(b"{}", whole.to_string().as_bytes());
    let whole: Value = serde_json::from_slice(&whole.expect("is an answer")).expect("is JSON");
    assert_eq!(read, whole);
    assert_eq!(read["usage"]["input_tokens"], 10);
}

#[test]
fn thoughts_keep_their_signatures() {
    let signed = |text: &str, signature: &str| json!({"type": "thinking", "thinking": text, "signature": signature});
    let redacted = json!({"type": "redacted_thinking", "data": "d"});
    let expected =
        json!([signed("ab", "s"), redacted, signed("c", "t"), {"type": "text", "text": "x"}]);
    // The words first, and then the block; the block in pieces; the block alone.
    for deltas in [
        [
            json!({"reasoning_content": "a"}),
            json!({"reasoning_content": "b"}),
            json!({"thinking_blocks": [signed("ab", "s")]}),
        ],
        [
            json!({"reasoning_content": "a", "thinking_blocks": [signed("a", "")]}),
            json!({"reasoning_content": "b", "thinking_blocks": [signed("b", "")]}),
            json!({"thinking_blocks": [signed("", "s")]}),
        ],
        [
            json!({}),
            json!({"thinking_blocks": [signed("ab", "s")]}),
            json!({}),
        ],
    ] {
        let rest = [
            json!({"thinking_blocks": [redacted]}),
            json!({"reasoning_content": "c", "thinking_blocks": [signed("c", "t")]}),
            json!({"content": "x"}),
        ];
        let read = message(&[deltas.to_vec(), rest.to_vec()].concat(), "stop");
        assert_eq!(read["content"], expected);
    }
    let whole = json!({
        "reasoning_content": "abc", "content": "x",
        "thinking_blocks": [signed("ab", "s"), redacted, signed("c", "t")],
    });
    assert_eq!(message(&[whole], "stop")["content"], expected);
    let silent = message(&[json!({"thinking_blocks": [signed("", "s")]})], "stop");
    assert_eq!(silent["content"], json!([signed("", "s")]));
}

#[test]
fn calls_whose_pieces_come_mixed_are_told_one_after_the_other() {
    let read = message(
        &[
            call(0, "a", "f", "{\"x\":"),
            call(1, "b", "g", ""),
            more(1, "{\"y\":"),
            more(0, "1}"),
            json!({"content": "and"}),
            more(1, "2}"),
            json!({"content": " so"}),
        ],
        "tool_calls",
    );
    let expected = json!([
        used("a", "f", &json!({"x": 1})),
        used("b", "g", &json!({"y": 2})),
        {"type": "text", "text": "and so"},
    ]);
    assert_eq!(read["content"], expected);
}

#[test]
fn servers_that_count_no_calls_are_understood() {
    let no_index = |id: &str| json!({"tool_calls": [{"id": id, "function": {"name": "f", "arguments": {"x": 1}}}]});
    let read = message(&[no_index("a"), no_index("b")], "stop");
    let expected = json!([
        used("a", "f", &json!({"x": 1})),
        used("b", "f", &json!({"x": 1}))
    ]);
    assert_eq!(
        (&read["content"], &read["stop_reason"]),
        (&expected, &json!("tool_use"))
    );
    let old = [
        json!({"function_call": {"name": "f", "arguments": ""}}),
        json!({"function_call": {"arguments": "{\"x\":1}"}}),
    ];
    let read = message_in(&events(&old, "function_call"), 1);
    assert_eq!(read["content"][0]["input"], json!({"x": 1}));
    let silent = message(
        &[call(0, "a", "f", ""), call(1, "b", "g", "")],
        "tool_calls",
    );
    assert_eq!(
        silent["content"],
        json!([used("a", "f", &json!({})), used("b", "g", &json!({}))])
    );
}

#[test]
fn a_call_that_never_ends_does_not_hold_the_others_for_ever() {
    let long = "x".repeat(600_000);
    let mut deltas = vec![call(0, "a", "f", "{")];
    deltas.extend((0..3).map(|_| json!({"content": long})));
    let mut encoder = Messages.encoder(b"{}");
    let events = events(&deltas, "stop");
    let told = encoder.encode(&Bytes::from(events[..5].concat()));
    assert!(told.len() > 1_800_000, "all was told");
    let end = [told, encoder.end()].concat();
    assert_eq!(
        assembled(&end)["content"][1]["text"].as_str().map(str::len),
        Some(1_800_000)
    );
}

#[test]
fn a_message_begins_with_what_names_it() {
    let filter = r#"data: {"id":"","model":"","choices":[],"prompt_filter_results":[]}"#;
    let mut events = events(&[json!({"content": "x"})], "stop");
    events.insert(0, format!("{filter}\n\n"));
    let read = message_in(&events, 1);
    assert_eq!(
        (&read["id"], &read["model"]),
        (&json!("msg_1"), &json!("m"))
    );
}

#[test]
fn a_stream_of_nothing_is_a_message_still() {
    let read = message(&[], "length");
    assert_eq!(
        (&read["content"], &read["stop_reason"]),
        (&json!([]), &json!("max_tokens"))
    );
    let mut encoder = Messages.encoder(b"{}");
    let odd = "data: 7\n\n: ping\n\ndata: {\n\ndata: {\"choices\":7}\n\ndata: {\"choices\":[7]}\n\n: ping\n\n";
    let told = [encoder.encode(&Bytes::from(odd)), encoder.end()].concat();
    assert_eq!(assembled(&told)["content"], json!([]));
    let pings = String::from_utf8(told)
        .expect("is text")
        .matches("event: ping")
        .count();
    assert_eq!(
        pings, 1,
        "there is nobody to keep a connection for before the start"
    );
}

proptest! {
    #[test]
    fn whatever_comes_the_order_is_kept(
        deltas in prop::collection::vec(prop::sample::select(vec![
            json!({"content": "x"}),
            json!({"reasoning_content": "y"}),
            json!({"thinking_blocks": [{"type": "thinking", "thinking": "y", "signature": "s"}]}),
            json!({"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]}),
            json!({"refusal": "no"}),
            call(0, "a", "f", "{"),
            call(1, "b", "g", ""),
            call(0, "c", "h", "{}"),
            call(7, "", "", "x"),
            more(0, "}"),
            more(1, "{}"),
            json!({"tool_calls": [7, null]}),
            json!(7),
        ]), 0..12),
        at_once in 1_usize..6,
    ) {
        let read = message_in(&events(&deltas, "stop"), at_once);
        let texts = deltas.iter().filter(|delta| delta.get("content").is_some()).count();
        let refusals = deltas.iter().filter(|delta| delta.get("refusal").is_some()).count();
        let content = read["content"].as_array().expect("is a list");
        let said: usize = content.iter().filter_map(|block| block["text"].as_str()).map(str::len).sum();
        prop_assert_eq!(said, texts + 2 * refusals);
    }
}

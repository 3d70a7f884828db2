use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Events that hold these deltas, then the end and what was used.
fn events(deltas: &[Value], finish: &str) -> Vec<String> {
    let event = |value: Value| format!("data: {value}\n\n");
    let chunk = |delta: &Value, finish: Value| {
        event(json!({"id": "chatcmpl-1", "model": "m", "choices": [
            {"index": 0, "delta": delta, "finish_reason": finish},
        ]}))
    };
    let role = json!({"role": "assistant", "content": ""});
    let mut events = vec![": ping\n\n".to_owned(), chunk(&role, Value::Null)];
    events.extend(deltas.iter().map(|delta| chunk(delta, Value::Null)));
    events.push(chunk(&json!({}), finish.into()));
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5});
    events.push(event(
        json!({"id": "chatcmpl-1", "choices": [], "usage": usage}),
    ));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// The answer that comes of them, however many come at once.
fn answer_of(request: &[u8], deltas: &[Value], finish: &str) -> Value {
    let events = events(deltas, finish);
    let whole = assembled(&streamed(request, &events, events.len()));
    for at_once in 1..events.len() {
        let cut = assembled(&streamed(request, &events, at_once));
        assert_eq!(cut, whole, "{at_once} at once");
    }
    whole
}

fn call(index: u64, id: &str, name: &str, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]})
}

fn more(index: u64, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
}

fn called(id: &str, name: &str, args: &Value) -> Value {
    json!({"functionCall": {"id": id, "name": name, "args": args}})
}

#[test]
fn a_stream_makes_the_answer_that_a_whole_one_is() {
    let read = answer_of(
        SHOWING,
        &[
            json!({"reasoning_content": "h"}),
            json!({"reasoning_content": "m"}),
            json!({"content": "he"}),
            json!({"content": "llo"}),
            call(0, "a", "f", ""),
            more(0, "{\"x\":"),
            call(1, "b", "g", "{}"),
            more(0, "1}"),
        ],
        "tool_calls",
    );
    let whole = json!({
        "id": "chatcmpl-1", "model": "m",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "content": "hello", "reasoning_content": "hm",
            "tool_calls": [
                {"id": "a", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "b", "function": {"name": "g", "arguments": "{}"}},
            ],
        }}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    });
    assert_eq!(read, answered(SHOWING, &whole));
}

#[test]
fn each_piece_is_an_answer_with_what_is_new() {
    let events = events(
        &[json!({"content": "he"}), json!({"content": "llo"})],
        "stop",
    );
    let told = streamed(b"{}", &events, 1);
    let texts = told
        .iter()
        .map(|event| &event["candidates"][0]["content"]["parts"][0]["text"]);
    assert!(texts.eq(["he", "llo", ""]));
    let (last, before) = told.split_last().expect("is one");
    for event in before {
        assert_eq!(
            (&event["responseId"], &event["modelVersion"]),
            (&json!("chatcmpl-1"), &json!("m"))
        );
        assert!(event.get("usageMetadata").is_none());
        assert!(event["candidates"][0].get("finishReason").is_none());
    }
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(last["usageMetadata"]["totalTokenCount"], 15);
}

#[test]
fn thoughts_keep_their_signatures_however_they_come() {
    let signed = |text: &str, signature: &str| json!({"type": "thinking", "thinking": text, "signature": signature});
    let redacted = json!({"type": "redacted_thinking", "data": "d"});
    let blocks = json!([signed("ab", "s"), redacted, signed("c", "t")]);
    // The words first, and then the block; the block in pieces; the block alone.
    for deltas in [
        vec![
            json!({"reasoning_content": "a"}),
            json!({"reasoning_content": "b"}),
            json!({"thinking_blocks": [signed("ab", "s")]}),
        ],
        vec![
            json!({"reasoning_content": "a", "thinking_blocks": [signed("a", "")]}),
            json!({"reasoning_content": "b", "thinking_blocks": [signed("b", "")]}),
            json!({"thinking_blocks": [signed("", "s")]}),
        ],
        vec![json!({"thinking_blocks": [signed("ab", "s")]})],
    ] {
        let rest = [
            json!({"thinking_blocks": [redacted]}),
            json!({"reasoning_content": "c", "thinking_blocks": [signed("c", "t")]}),
            json!({"content": "x"}),
        ];
        let all = [deltas, rest.to_vec()].concat();
        for (request, said) in [(SHOWING, "abc"), (&b"{}"[..], "")] {
            let read = answer_of(request, &all, "stop");
            let parts = read["candidates"][0]["content"]["parts"]
                .as_array()
                .expect("is a list");
            let thoughts = parts.iter().filter(|part| part["thought"] == true);
            let thoughts: String = thoughts.filter_map(|part| part["text"].as_str()).collect();
            assert_eq!(thoughts, said);
            let back = to_chat(&json!({"contents": [{"role": "model", "parts": parts}]}));
            let message = &back["messages"][0];
            assert_eq!(message["thinking_blocks"], blocks);
            assert_eq!(
                (&message["reasoning_content"], &message["content"]),
                (&json!("abc"), &json!("x"))
            );
        }
    }
}

#[test]
fn servers_that_count_no_calls_are_understood() {
    let no_index = |id: &str| json!({"tool_calls": [{"id": id, "function": {"name": "f", "arguments": {"x": 1}}}]});
    let parts = |deltas: &[Value]| {
        answer_of(b"{}", deltas, "stop")["candidates"][0]["content"]["parts"].take()
    };
    let expected = json!([
        called("a", "f", &json!({"x": 1})),
        called("b", "f", &json!({"x": 1}))
    ]);
    assert_eq!(parts(&[no_index("a"), no_index("b")]), expected);
    let old = [
        json!({"function_call": {"name": "f", "arguments": ""}}),
        json!({"function_call": {"arguments": "{\"x\":1}"}}),
    ];
    assert_eq!(
        parts(&old),
        json!([{"functionCall": {"name": "f", "args": {"x": 1}}}])
    );
}

#[test]
fn a_call_that_never_ends_is_none() {
    let long = "x".repeat(1_000_000);
    let mut deltas = vec![call(0, "a", "f", "{")];
    deltas.extend((0..5).map(|_| more(0, &long)));
    let read = assembled(&streamed(b"{}", &events(&deltas, "tool_calls"), 1));
    let candidate = &read["candidates"][0];
    assert_eq!(candidate["finishReason"], "MALFORMED_FUNCTION_CALL");
    assert_eq!(candidate["content"]["parts"], json!([{"text": ""}]));
}

#[test]
fn thoughts_without_an_end_are_not_kept() {
    let piece = json!({"type": "thinking", "thinking": "x".repeat(1_000_000), "signature": ""});
    let mut deltas = vec![json!({ "thinking_blocks": [piece] }); 6];
    deltas.push(json!({"content": "x"}));
    let read = assembled(&streamed(b"{}", &events(&deltas, "stop"), 1));
    assert_eq!(
        read["candidates"][0]["content"]["parts"],
        json!([{"text": "x"}])
    );
}

#[test]
fn choices_are_told_apart() {
    let chunk = |index: u64, delta: Value, finish: Value| {
        let choice = json!({"index": index, "delta": delta, "finish_reason": finish});
        format!("data: {}\n\n", json!({"id": "x", "choices": [choice]}))
    };
    let events = [
        chunk(0, json!({"content": "a"}), Value::Null),
        chunk(1, json!({"content": "b"}), Value::Null),
        chunk(1, json!({}), "length".into()),
        chunk(0, json!({}), "stop".into()),
    ];
    let read = assembled(&streamed(b"{}", &events, 1));
    let told = read["candidates"].as_array().expect("is a list").iter();
    let told: Vec<_> = told
        .map(|candidate| {
            json!([
                candidate["content"]["parts"][0]["text"],
                candidate["finishReason"]
            ])
        })
        .collect();
    assert_eq!(told, [json!(["a", "STOP"]), json!(["b", "MAX_TOKENS"])]);
}

#[test]
fn a_refusal_comes_in_the_place_of_an_answer() {
    let read = answer_of(
        b"{}",
        &[json!({"refusal": "I "}), json!({"refusal": "cannot"})],
        "stop",
    );
    let expected = json!({"blockReason": "OTHER", "blockReasonMessage": "I cannot"});
    assert_eq!(
        (&read["promptFeedback"], read.get("candidates")),
        (&expected, None)
    );
    let late = answer_of(
        b"{}",
        &[json!({"content": "well"}), json!({"refusal": "no"})],
        "stop",
    );
    assert_eq!(late["candidates"][0]["finishReason"], "SAFETY");
}

#[test]
fn a_stream_of_nothing_is_an_answer_still() {
    let read = answer_of(b"{}", &[], "length");
    assert_eq!(read["candidates"][0]["finishReason"], "MAX_TOKENS");
    let odd = [
        "data: 7\n\n: ping\n\ndata: {\n\ndata: {\"choices\":7}\n\ndata: {\"choices\":[7]}\n\n"
            .to_owned(),
    ];
    assert_eq!(
        assembled(&streamed(b"{}", &odd, 1))["candidates"][0]["finishReason"],
        "STOP"
    );
}

proptest! {
    #[test]
    fn whatever_comes_all_text_is_told(
        deltas in prop::collection::vec(prop::sample::select(vec![
            json!({"content": "x"}),
            json!({"reasoning_content": "y"}),
            json!({"thinking_blocks": [{"type": "thinking", "thinking": "y", "signature": "s"}]}),
            json!({"thinking_blocks": [7, {"type": "redacted_thinking", "data": "d"}]}),
            json!({"content": [{"type": "text", "text": "z"}, {"type": "thinking", "thinking": "y"}]}),
            json!({"provider_specific_fields": {"thought_signatures": ["CiQB", 7]}}),
            call(0, "a", "f", "{"),
            call(0, "c", "h", "{}"),
            call(7, "", "", "x"),
            more(0, "}"),
            json!({"tool_calls": [7, null], "annotations": 7, "images": [7]}),
            json!(7),
        ]), 0..12),
        at_once in 1_usize..6,
        shows in any::<bool>(),
    ) {
        let request = if shows { SHOWING } else { b"{}" };
        let read = assembled(&streamed(request, &events(&deltas, "stop"), at_once));
        let texts = deltas.iter().filter(|delta| delta.get("content").is_some()).count();
        let parts = read["candidates"][0]["content"]["parts"].as_array().expect("is a list");
        let said = parts.iter().filter(|part| part["thought"] != true);
        let said: usize = said.filter_map(|part| part["text"].as_str()).map(str::len).sum();
        prop_assert_eq!(said, texts);
    }
}

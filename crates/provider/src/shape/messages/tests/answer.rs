use serde_json::{Value, json};
use ziggurat_core::ErrorKind;

use crate::shape::{Shape, messages::Messages};

fn answer(chat: &Value) -> Value {
    let request = br#"{"stop_sequences":["END"]}"#;
    let answer = Messages.answer(request, chat.to_string().as_bytes());
    serde_json::from_slice(&answer.expect("is an answer")).expect("is JSON")
}

fn choice(choice: &Value) -> Value {
    answer(&json!({"id": "x", "model": "m", "choices": [choice]}))
}

#[test]
fn every_part_of_an_answer_becomes_a_block() {
    let answer = answer(&json!({
        "id": "chatcmpl-a.1", "model": "m", "object": "chat.completion",
        "choices": [{"finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "hi", "reasoning_content": "hm",
            "tool_calls": [
                {"id": "functions.f:0", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                {"id": "", "function": {"name": "g", "arguments": ""}},
            ],
        }}],
        "usage": {
            "prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        },
    }));
    let made = answer["content"][3]["id"].as_str().expect("has an id");
    assert!(made.starts_with("toolu_"));
    let expected = json!({
        "id": "msg_a_1", "type": "message", "role": "assistant", "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "hi"},
            {"type": "tool_use", "id": "functions_f_0", "name": "f", "input": {"a": 1}},
            {"type": "tool_use", "id": made, "name": "g", "input": {}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {
            "input_tokens": 10, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 30,
            "output_tokens": 7,
        },
    });
    assert_eq!(answer, expected);
}

#[test]
fn thoughts_that_are_signed_come_back_as_they_were() {
    let blocks = json!([
        {"type": "thinking", "thinking": "a", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
    ]);
    let message = json!({"content": "x", "reasoning_content": "a", "thinking_blocks": blocks});
    let read = choice(&json!({"message": message}));
    assert_eq!(read["content"][0], blocks[0]);
    assert_eq!(read["content"][1], blocks[1]);
    assert_eq!(read["content"][2]["text"], "x");
}

#[test]
fn thoughts_and_words_may_be_parts() {
    let content = json!([
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]);
    let read = choice(&json!({"message": {"content": content}}));
    let expected = json!([
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "ab"},
    ]);
    assert_eq!(read["content"], expected);
}

#[test]
fn every_end_has_its_word() {
    let call = json!([{"id": "c", "function": {"name": "f"}}]);
    for (read, reason, stop) in [
        (
            json!({"finish_reason": "stop", "message": {"content": "x"}}),
            "end_turn",
            Value::Null,
        ),
        (
            json!({"finish_reason": "length", "message": {"content": "x"}}),
            "max_tokens",
            Value::Null,
        ),
        (
            json!({"finish_reason": "stop", "message": {"tool_calls": call}}),
            "tool_use",
            Value::Null,
        ),
        (
            json!({"finish_reason": "function_call", "message": {"function_call": {"name": "f"}}}),
            "tool_use",
            Value::Null,
        ),
        (
            json!({"finish_reason": "content_filter", "message": {"content": "x"}}),
            "refusal",
            Value::Null,
        ),
        (
            json!({"finish_reason": "stop", "message": {"refusal": "no"}}),
            "refusal",
            Value::Null,
        ),
        (
            json!({"finish_reason": "stop", "stop_reason": "END", "message": {"content": "x"}}),
            "stop_sequence",
            json!("END"),
        ),
        (
            json!({"finish_reason": "stop", "matched_stop": 7, "message": {"content": "x"}}),
            "end_turn",
            Value::Null,
        ),
        (
            json!({"finish_reason": "stop", "stop_reason": "eos", "message": {"content": "x"}}),
            "end_turn",
            Value::Null,
        ),
    ] {
        let answer = choice(&read);
        assert_eq!(
            (&answer["stop_reason"], &answer["stop_sequence"]),
            (&json!(reason), &stop),
            "{read}"
        );
    }
    assert_eq!(
        choice(&json!({"message": {"refusal": "no"}}))["content"][0]["text"],
        "no"
    );
}

#[test]
fn what_nobody_says_is_made_up_where_clients_need_it() {
    let answer = answer(&json!({"choices": [{}]}));
    assert!(answer["id"].as_str().expect("has an id").len() > 20);
    assert_eq!(answer["usage"]["input_tokens"], 0);
    assert_eq!(answer["content"], json!([]));
    for body in ["", "{}", r#"{"choices":[]}"#] {
        let error = Messages
            .answer(b"{}", body.as_bytes())
            .expect_err("is no answer");
        assert_eq!(error.kind(), ErrorKind::BadAnswer);
    }
}

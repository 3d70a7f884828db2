//! There and back again, by way of Anthropic's own dialect.

use serde_json::{Value, json};
use ziggurat_core::Operation;

use super::to_chat;
use crate::dialect::{anthropic::Anthropic, trial::Trial};

/// What Anthropic would be sent if it did not speak the shape itself.
fn back(body: &Value) -> Value {
    let trial = Trial::new(&Anthropic, Operation::ChatCompletions, to_chat(body));
    let mut sent = trial
        .with(|deployment| deployment.with_provider("anthropic"))
        .sent();
    sent.as_object_mut().expect("is an object").remove("model");
    sent
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn a_conversation_comes_back_as_it_was() {
    let mark = json!({"type": "ephemeral"});
    let body = json!({
        "max_tokens": 4096, "stream": true, "top_p": 0.9,
        "system": [{"type": "text", "text": "be kind", "cache_control": mark}],
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}, "cache_control": mark},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "messages": [
            {"role": "user", "content": [
                text("look"),
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}, "title": "t"},
                {"type": "text", "text": "marked", "cache_control": mark},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                text("so"),
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, {"b": null}]}},
                {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("42")], "is_error": true},
                {"type": "tool_result", "tool_use_id": "toolu_2", "cache_control": mark, "content": [
                    text("see"),
                    {"type": "image", "source": {"type": "url", "url": "https://x/z.png"}},
                ]},
                text("and?"),
            ]},
        ],
    });
    assert_eq!(back(&body), body);
}

#[test]
fn thinking_stays_what_was_asked() {
    let body = json!({
        "max_tokens": 4096,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [{"role": "user", "content": [text("hi")]}],
    });
    let sent = back(&body);
    assert_eq!(sent["thinking"], body["thinking"]);
    assert_eq!(sent["messages"], body["messages"]);
}

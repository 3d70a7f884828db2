mod answered;
mod recorded;

use serde_json::json;

use super::*;
use crate::dialect::trial::Trial;

fn chat(body: Value) -> Trial {
    Trial::chat(&Cohere, body)
}

fn refused(body: Value) -> Error {
    let error = chat(body).outgoing().expect_err("is refused");
    assert_eq!(error.status(), http::StatusCode::BAD_REQUEST);
    error
}

#[test]
fn a_conversation_is_asked_in_cohere_s_words() {
    let sent = chat(json!({
        "messages": [
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
            ]},
            {"role": "assistant", "content": null, "reasoning_content": "I will look", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}},
            ]},
            {"role": "tool", "tool_call_id": "c", "content": [
                {"type": "document", "document": {"data": "42"}},
            ]},
            {"role": "assistant", "content": "so", "reasoning_content": "secretly"},
        ],
        "max_completion_tokens": 5, "temperature": 0.5, "top_p": 1, "top_k": 3, "seed": 7,
        "stop": "x", "presence_penalty": 0, "frequency_penalty": 0.5, "n": 1, "user": "u",
        "store": true, "documents": ["d"], "safety_mode": "NONE", "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    }))
    .sent();
    let expected = json!({
        "model": "m", "stream": false,
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
            ]},
            {"role": "assistant", "tool_plan": "I will look", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c", "content": [
                {"type": "document", "document": {"data": "42"}},
            ]},
            {"role": "assistant", "content": "so"},
        ],
        "max_tokens": 5, "temperature": 0.5, "p": 0.99, "k": 3, "seed": 7,
        "stop_sequences": ["x"], "frequency_penalty": 0.5,
        "documents": ["d"], "safety_mode": "NONE",
        "thinking": {"type": "enabled", "token_budget": 1024},
        "response_format": {"type": "json_object", "json_schema": {"type": "object"}},
    });
    assert_eq!(sent, expected);
}

#[test]
fn a_named_tool_is_the_only_one() {
    let ask = |choice: Value| {
        chat(json!({
            "messages": [],
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
                {"type": "function", "function": {"name": "g", "description": "does"}},
            ],
            "tool_choice": choice,
        }))
    };
    let g = json!({"type": "function", "function": {
        "name": "g", "description": "does", "parameters": {"type": "object", "properties": {}},
    }});
    let named = ask(json!({"type": "function", "function": {"name": "g"}})).sent();
    assert_eq!(
        (&named["tools"], &named["tool_choice"]),
        (&json!([g]), &json!("REQUIRED"))
    );
    for (choice, expected) in [
        (json!("auto"), Value::Null),
        (json!("none"), json!("NONE")),
        (json!("required"), json!("REQUIRED")),
    ] {
        let sent = ask(choice).sent();
        assert_eq!(sent["tools"].as_array().map(Vec::len), Some(2));
        assert_eq!(sent["tool_choice"], expected);
    }
    let unknown = ask(json!({"type": "function", "function": {"name": "h"}}));
    let error = unknown.outgoing().expect_err("there is no such tool");
    assert_eq!(error.param(), Some("tool_choice"));
}

#[test]
fn what_cohere_cannot_do_is_refused_by_name_or_dropped() {
    for (name, value) in [
        ("n", json!(2)),
        ("top_logprobs", json!(2)),
        ("logit_bias", json!({"7": 1})),
        ("audio", json!({"voice": "x"})),
        ("new_field", json!(1)),
    ] {
        let body = json!({"messages": [], name: value});
        assert_eq!(refused(body.clone()).param(), Some(name));
        let drops = chat(body).with(|deployment| deployment.with_drop_params(true));
        assert_eq!(drops.sent().get(name), None);
    }
    let audio = json!({"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]});
    let error = refused(json!({"messages": [audio]}));
    assert_eq!(error.param(), Some("messages[0].content[0]"));
    let error = Trial::new(&Cohere, Operation::Completions, json!({"prompt": "x"})).outgoing();
    assert_eq!(
        error.expect_err("is not served").code(),
        "unsupported_operation"
    );
}

#[test]
fn a_base_may_hold_the_version_or_the_whole_path() {
    for (base, path) in [
        ("https://api.cohere.com", "/v2/chat"),
        ("https://api.cohere.com/v2/", "/chat"),
        ("https://api.cohere.com/v2/chat", ""),
    ] {
        let trial = chat(json!({"messages": []})).with(|it| it.with_base_url(base));
        assert_eq!(trial.outgoing().expect("can be asked").path, path);
    }
}

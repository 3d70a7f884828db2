use serde_json::json;
use ziggurat_core::{ErrorKind, Usage};

use super::*;

fn answered(content: &Value, reason: &str) -> (Value, Option<Usage>) {
    let body = json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reason,
        "usage": {"inputTokens": 5, "outputTokens": 3, "cacheReadInputTokens": 7, "cacheWriteInputTokens": 11},
        "trace": {"guardrail": {}},
    });
    let trial = chat(CLAUDE, json!({"messages": []}));
    trial
        .answer(body.to_string().as_bytes())
        .expect("is an answer")
}

#[test]
fn every_block_has_its_place_in_the_message() {
    let web = json!({"title": "t", "location": {"web": {"url": "https://x", "domain": "x"}}});
    let (answer, usage) = answered(
        &json!([
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"reasoningContent": {"redactedContent": "AAAA"}},
            {"text": "it "},
            {"citationsContent": {"content": [{"text": "is"}], "citations": [web]}},
            {"toolUse": {"toolUseId": "s1", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}},
            {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}},
            {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
            {"somethingNew": {}},
        ]),
        "tool_use",
    );
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["content"], "it is");
    assert_eq!(message["reasoning_content"], "hm");
    assert_eq!(
        message["thinking_blocks"],
        json!([
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "AAAA"},
        ])
    );
    let calls = message["tool_calls"].as_array().expect("calls");
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (&calls[0]["id"], &calls[0]["function"]["arguments"]),
        (&json!("c1"), &json!("{\"a\":1}"))
    );
    let cited = json!({"url": "https://x", "title": "t", "start_index": 3, "end_index": 5});
    assert_eq!(
        message["annotations"],
        json!([{"type": "url_citation", "url_citation": cited}])
    );
    assert_eq!(
        message["images"][0]["image_url"]["url"],
        "data:image/png;base64,AAAA"
    );
    let own = &message["provider_specific_fields"];
    assert_eq!(own["citations"], json!([web]));
    assert_eq!(own["server_tools"][0]["toolUse"]["toolUseId"], "s1");
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(answer["trace"], json!({"guardrail": {}}));
    let usage = usage.expect("has some");
    assert_eq!((usage.input, usage.output), (23, 3));
    assert_eq!((usage.cached_input, usage.cache_write), (7, 11));
}

#[test]
fn reasons_are_those_of_openai() {
    for (reason, expected) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("something_new", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
    ] {
        let (answer, _) = answered(&json!([{"text": "hi"}]), reason);
        assert_eq!(answer["choices"][0]["finish_reason"], expected, "{reason}");
    }
    let call = json!([{"toolUse": {"toolUseId": "c", "name": "f", "input": {}}}]);
    let (answer, _) = answered(&call, "end_turn");
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn the_call_that_stands_for_the_answer_is_its_text() {
    let call =
        json!([{"toolUse": {"toolUseId": "c", "name": "ziggurat_answer", "input": {"a": 1}}}]);
    let (answer, _) = answered(&call, "tool_use");
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["content"], "{\"a\":1}");
    assert_eq!(choice["message"].get("tool_calls"), None);
    assert_eq!(choice["finish_reason"], "stop");
}

#[test]
fn a_success_that_holds_no_message_is_a_failure() {
    let trial = chat(CLAUDE, json!({"messages": []}));
    let failed = json!({"output": {"message": {"content": [{"text": "x"}]}}, "stopReason": "malformed_tool_use"});
    for body in [
        "",
        "[]",
        "{}",
        "<html>",
        r#"{"output":{"message":{}}}"#,
        r#"{"output":7,"stopReason":"end_turn"}"#,
        r#"{"output":{"message":{"content":[]}},"stopReason":"end_turn"}"#,
        &failed.to_string(),
    ] {
        let error = trial.answer(body.as_bytes()).expect_err("is none");
        assert_eq!(error.kind(), ErrorKind::BadAnswer, "{body}");
    }
}

use serde_json::json;

use super::*;

#[test]
fn every_part_of_an_answer_has_its_like() {
    let chat = json!({
        "id": "chatcmpl-1", "model": "gpt-4o",
        "choices": [
            {"index": 0, "finish_reason": "tool_calls", "message": {
                "content": "hello", "reasoning_content": "hm",
                "images": [{"image_url": {"url": "data:image/png;base64,AAAA"}}],
                "annotations": [{"type": "url_citation", "url_citation": {"url": "https://x", "title": "X"}}],
                "tool_calls": [
                    {"id": "a", "function": {"name": "f", "arguments": "{\"x\":[1]}"}},
                    {"id": "b", "function": {"name": "g", "arguments": ""}},
                ],
            }, "logprobs": {"content": [{"token": "h", "logprob": -0.5, "top_logprobs": [{"token": "i", "logprob": -1.0}]}]}},
            {"index": 1, "finish_reason": "length", "message": {"content": "b"}},
        ],
        "usage": {
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    });
    let expected = json!({
        "candidates": [
            {
                "index": 0, "finishReason": "STOP",
                "content": {"role": "model", "parts": [
                    {"text": "hm", "thought": true},
                    {"text": "hello"},
                    {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                    {"functionCall": {"id": "a", "name": "f", "args": {"x": [1]}}},
                    {"functionCall": {"id": "b", "name": "g", "args": {}}},
                ]},
                "groundingMetadata": {"groundingChunks": [{"web": {"uri": "https://x", "title": "X"}}]},
                "logprobsResult": {
                    "chosenCandidates": [{"token": "h", "logProbability": -0.5}],
                    "topCandidates": [{"candidates": [{"token": "i", "logProbability": -1.0}]}],
                },
            },
            {
                "index": 1, "finishReason": "MAX_TOKENS",
                "content": {"role": "model", "parts": [{"text": "b"}]},
            },
        ],
        "usageMetadata": {
            "promptTokenCount": 10, "candidatesTokenCount": 3, "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 4, "totalTokenCount": 15,
        },
        "modelVersion": "gpt-4o", "responseId": "chatcmpl-1",
    });
    assert_eq!(answered(SHOWING, &chat), expected);
}

fn parts(request: &[u8], message: &Value) -> Value {
    let chat = json!({"choices": [{"finish_reason": "stop", "message": message}]});
    answered(request, &chat)["candidates"][0]["content"]["parts"].take()
}

#[test]
fn thoughts_are_shown_to_who_asks_and_come_back_either_way() {
    let blocks = json!([
        {"type": "thinking", "thinking": "hm", "signature": "s+/="},
        {"type": "redacted_thinking", "data": "d"},
    ]);
    let call = json!({"id": "a", "function": {"name": "f", "arguments": "{}"}});
    let message = json!({
        "content": null, "reasoning_content": "hm", "thinking_blocks": blocks, "tool_calls": [call, call],
    });
    for (request, shown) in [(SHOWING, 1), (&b"{}"[..], 0)] {
        let parts = parts(request, &message);
        let list = parts.as_array().expect("is a list");
        assert_eq!(list.len(), 2 + shown);
        assert_eq!(list[0]["thought"] == true, shown == 1);
        assert!(
            list.last()
                .expect("is one")
                .get("thoughtSignature")
                .is_none()
        );
        let back = to_chat(&json!({"contents": [{"role": "model", "parts": parts}]}));
        assert_eq!(back["messages"][0]["thinking_blocks"], blocks);
        assert_eq!(back["messages"][0]["reasoning_content"], "hm");
    }
}

#[test]
fn hidden_thoughts_without_a_signature_ride_on_calls_only() {
    let call = json!([{"id": "a", "function": {"name": "f", "arguments": "{}"}}]);
    let spoken = parts(b"{}", &json!({"content": "x", "reasoning_content": "hm"}));
    assert_eq!(spoken, json!([{"text": "x"}]));
    let called = parts(
        b"{}",
        &json!({"reasoning_content": "hm", "tool_calls": call}),
    );
    let back = to_chat(&json!({"contents": [{"role": "model", "parts": called}]}));
    assert_eq!(back["messages"][0]["reasoning_content"], "hm");
    let shown = parts(
        SHOWING,
        &json!({"reasoning_content": "hm", "tool_calls": call}),
    );
    assert!(shown[1].get("thoughtSignature").is_none());
}

#[test]
fn google_s_own_signatures_stay_where_they_belong() {
    let parts = parts(
        b"{}",
        &json!({
            "content": "x", "provider_specific_fields": {"thought_signatures": ["CiQB"]},
            "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"},
                "provider_specific_fields": {"thought_signature": "CiQC"}}],
        }),
    );
    let expected = json!([
        {"text": "x", "thoughtSignature": "CiQB"},
        {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "CiQC"},
    ]);
    assert_eq!(parts, expected);
    let silent = super::answer::parts(
        b"{}",
        &json!({"content": "",
        "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}),
    );
    assert_eq!(silent[0]["text"], "");
    assert!(silent[0]["thoughtSignature"].is_string());
}

#[test]
fn a_refusal_is_told_as_google_tells_it() {
    let refused = |reason: &str, content: Value| {
        let message = json!({"content": content, "refusal": "I cannot"});
        answered(
            b"{}",
            &json!({"model": "m", "choices": [{"finish_reason": reason, "message": message}]}),
        )
    };
    let expected = json!({
        "promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "I cannot"}, "modelVersion": "m",
    });
    assert_eq!(refused("content_filter", Value::Null), expected);
    assert_eq!(
        refused("stop", Value::Null)["promptFeedback"]["blockReason"],
        "OTHER"
    );
    let after = refused("stop", json!("well"));
    let candidate = &after["candidates"][0];
    assert_eq!(
        (&candidate["finishReason"], &candidate["finishMessage"]),
        (&json!("SAFETY"), &json!("I cannot"))
    );
}

#[test]
fn what_is_no_answer_is_none() {
    for chat in ["{}", "[]", "7", r#"{"choices":[]}"#, r#"{"choices":{}}"#] {
        assert!(
            GenerateContent.answer(b"{}", chat.as_bytes()).is_err(),
            "{chat}"
        );
    }
    for odd in [
        json!(7),
        json!("x"),
        json!({"message": 7}),
        json!({"message": {"tool_calls": [7, null], "thinking_blocks": [7]}}),
    ] {
        let answer = answered(SHOWING, &json!({"choices": [odd]}));
        assert_eq!(answer["candidates"][0]["finishReason"], "STOP");
    }
}

use std::time::Duration;

use serde_json::json;
use ziggurat_core::{ErrorKind, Usage};

use super::*;
use crate::dialect::trial::said;

fn trial() -> Trial {
    studio("gemini-2.5-pro", json!({"messages": []}))
}

fn streaming() -> Trial {
    studio("gemini-2.5-pro", json!({"messages": [], "stream": true}))
}

fn events(events: &[Value]) -> Vec<u8> {
    let events = events.iter().map(|event| format!("data: {event}\r\n\r\n"));
    events.collect::<String>().into_bytes()
}

fn text(text: &str) -> Value {
    json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}]})
}

fn ended(reason: &str) -> Value {
    json!({"candidates": [{"content": {}, "finishReason": reason}]})
}

#[test]
fn an_answer_has_its_parts_in_openai_s_places() {
    let body = json!({
        "responseId": "r", "modelVersion": "gemini-2.5-pro-001",
        "candidates": [{
            "finishReason": "STOP",
            "content": {"role": "model", "parts": [
                {"text": "hm", "thought": true},
                {"text": "Röm", "thoughtSignature": "s1"},
                {"inlineData": {"mimeType": "image/png", "data": "AA"}},
                {"functionCall": {"name": "f", "args": {"a": 1}, "id": "i"}, "thoughtSignature": "s2"},
                {"functionCall": {"name": "g"}},
                {"executableCode": {"code": "1"}},
            ]},
            "groundingMetadata": {
                "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
                "groundingSupports": [{"segment": {"endIndex": 4}, "groundingChunkIndices": [0]}],
            },
            "logprobsResult": {
                "chosenCandidates": [{"token": "R", "logProbability": -0.5}],
                "topCandidates": [{"candidates": [{"token": "L", "logProbability": -1.5}]}],
            },
        }],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 2},
    });
    let (answer, usage) = trial().answer(body.to_string().as_bytes()).expect("is one");
    let expected = Usage {
        reasoning: 2,
        ..Usage::new(5, 5)
    };
    assert_eq!(usage, Some(expected));
    assert_eq!(
        (&answer["id"], &answer["model"]),
        (&json!("r"), &json!("gemini-2.5-pro-001"))
    );
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(
        choice["logprobs"]["content"][0]["top_logprobs"][0]["token"],
        "L"
    );
    let message = &choice["message"];
    assert_eq!(message["content"], "Röm");
    assert_eq!(message["reasoning_content"], "hm");
    assert_eq!(
        message["images"][0]["image_url"]["url"],
        "data:image/png;base64,AA"
    );
    let extra = &message["provider_specific_fields"];
    assert_eq!(extra["thought_signatures"], json!(["s1"]));
    assert_eq!(extra["code_execution"][0]["executableCode"]["code"], "1");
    let [first, second] = &message["tool_calls"].as_array().expect("are two")[..] else {
        panic!("are two");
    };
    assert_eq!(first["id"], "i");
    assert_eq!(
        first["function"],
        json!({"name": "f", "arguments": "{\"a\":1}"})
    );
    assert_eq!(
        first["provider_specific_fields"],
        json!({"thought_signature": "s2"})
    );
    assert_eq!(second["function"]["arguments"], "{}");
    assert!(
        second["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("call_"))
    );
    // Four bytes are three characters.
    assert_eq!(message["annotations"][0]["url_citation"]["end_index"], 3);
}

#[test]
fn each_reason_to_end_is_one_of_openai_s_or_a_failure() {
    for (reason, expected) in [
        ("STOP", "stop"),
        ("FINISH_REASON_UNSPECIFIED", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("SPII", "content_filter"),
        ("OTHER", "content_filter"),
    ] {
        let mut body = text("x");
        body["candidates"][0]["finishReason"] = reason.into();
        let (answer, _) = trial().answer(body.to_string().as_bytes()).expect("is one");
        assert_eq!(answer["choices"][0]["finish_reason"], expected, "{reason}");
    }
    for reason in ["MALFORMED_FUNCTION_CALL", "MISSING_THOUGHT_SIGNATURE"] {
        let error = trial().answer(ended(reason).to_string().as_bytes());
        assert_eq!(error.expect_err("is none").kind(), ErrorKind::BadAnswer);
    }
}

#[test]
fn a_blocked_prompt_is_an_answer_that_declines() {
    let body = json!({
        "promptFeedback": {"blockReason": "MODEL_ARMOR", "blockReasonMessage": "no such thing"},
        "usageMetadata": {"promptTokenCount": 5},
    });
    let (answer, usage) = trial().answer(body.to_string().as_bytes()).expect("is one");
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "content_filter");
    assert_eq!(choice["message"]["refusal"], "no such thing");
    assert_eq!(usage, Some(Usage::new(5, 0)));
    let (told, _) = streaming().stream_cut_anywhere(&events(&[body]), "blocked");
    assert_eq!(said(&told).3, "content_filter");
}

#[test]
fn what_is_no_answer_is_a_failure() {
    for (body, kind) in [
        ("<html>", ErrorKind::BadAnswer),
        ("{}", ErrorKind::BadAnswer),
        ("[]", ErrorKind::BadAnswer),
        (
            r#"{"candidates":[{"content":{},"finishReason":"STOP"}]}"#,
            ErrorKind::BadAnswer,
        ),
        (
            r#"[{"error":{"code":503,"message":"The model is overloaded","status":"UNAVAILABLE"}}]"#,
            ErrorKind::Overloaded,
        ),
    ] {
        let error = trial().answer(body.as_bytes()).expect_err("is none");
        assert_eq!(error.kind(), kind, "{body}");
    }
}

#[test]
fn a_stream_goes_on_after_its_finish_reason() {
    let usage = |output: u64| json!({"promptTokenCount": 9, "candidatesTokenCount": output});
    let mut list = [text("Hel"), text("lo"), ended("STOP"), text("")];
    list[1]["usageMetadata"] = usage(1);
    list[2]["usageMetadata"] = usage(2);
    list[3]["usageMetadata"] = usage(3);
    list[3]["candidates"][0]["content"]["parts"][0]["thoughtSignature"] = "late".into();
    let (told, usage) = streaming().stream_cut_anywhere(&events(&list), "a stream");
    let (text, _, _, finish) = said(&told);
    assert_eq!((text.as_str(), finish.as_str()), ("Hello", "stop"));
    assert_eq!(usage, Some(Usage::new(9, 3)));
    let late = told.iter().any(|event| {
        let extra = &event["choices"][0]["delta"]["provider_specific_fields"];
        extra["thought_signatures"] == json!(["late"])
    });
    assert!(late);
}

#[test]
fn a_stream_that_breaks_off_is_not_whole() {
    let error = streaming().stream([&events(&[text("Hel")])[..]]);
    assert_eq!(error.expect_err("is cut").kind(), ErrorKind::StreamBroken);
    let error =
        streaming().stream([&events(&[json!({"usageMetadata": {"promptTokenCount": 1}})])[..]]);
    assert_eq!(error.expect_err("is empty").kind(), ErrorKind::BadAnswer);
    let quota =
        json!({"error": {"code": 429, "message": "no more", "status": "RESOURCE_EXHAUSTED"}});
    let error = streaming().stream([&events(&[text("Hel"), quota])[..]]);
    assert_eq!(error.expect_err("fails").kind(), ErrorKind::RateLimited);
}

#[test]
fn candidates_of_a_stream_are_told_apart() {
    let of = |index: u64, reason: Value| {
        json!({"candidates": [{"index": index, "finishReason": reason,
            "content": {"parts": [{"functionCall": {"name": "f"}}]}}]})
    };
    let list = [
        of(0, Value::Null),
        of(1, json!("STOP")),
        of(0, json!("STOP")),
    ];
    let trial = studio(
        "gemini-2.5-pro",
        json!({"messages": [], "stream": true, "n": 2}),
    );
    let (told, _) = trial.stream([&events(&list)[..]]).expect("is whole");
    let calls = told.iter().filter_map(|event| {
        let choice = &event["choices"][0];
        let call = choice["delta"]["tool_calls"][0].as_object()?;
        call.get("id")?;
        Some((choice["index"].as_u64()?, call["index"].as_u64()?))
    });
    assert_eq!(calls.collect::<Vec<_>>(), [(0, 0), (1, 0), (0, 1)]);
}

#[test]
fn failures_are_known_by_what_google_calls_them() {
    let of = |status: u16, error: Value| {
        let body = json!({ "error": error }).to_string();
        let status = StatusCode::from_u16(status).expect("is a status");
        trial().failure(status, body.as_bytes())
    };
    for (status, name, message, reason, kind) in [
        (
            400,
            "INVALID_ARGUMENT",
            "API key expired.",
            "API_KEY_INVALID",
            ErrorKind::Authentication,
        ),
        (400, "INVALID_ARGUMENT", "odd", "", ErrorKind::BadRequest),
        (
            400,
            "FAILED_PRECONDITION",
            "User location is not supported",
            "",
            ErrorKind::Permission,
        ),
        (
            403,
            "PERMISSION_DENIED",
            "no",
            "SERVICE_DISABLED",
            ErrorKind::Permission,
        ),
        (
            403,
            "PERMISSION_DENIED",
            "Method doesn't allow unregistered callers",
            "",
            ErrorKind::Authentication,
        ),
        (404, "NOT_FOUND", "no", "", ErrorKind::NotFound),
        (
            429,
            "RESOURCE_EXHAUSTED",
            "no",
            "RATE_LIMIT_EXCEEDED",
            ErrorKind::RateLimited,
        ),
        (500, "INTERNAL", "no", "", ErrorKind::Internal),
        (
            503,
            "UNAVAILABLE",
            "The model is overloaded.",
            "",
            ErrorKind::Overloaded,
        ),
    ] {
        let details = json!([{"reason": reason, "retryDelay": "2.5s"}]);
        let error = of(
            status,
            json!({"code": status, "message": message, "status": name, "details": details}),
        );
        assert_eq!(error.kind(), kind, "{name} {message}");
        let waits = matches!(kind, ErrorKind::RateLimited | ErrorKind::Overloaded);
        assert_eq!(
            error.retry_after(),
            waits.then_some(Duration::from_millis(2500)),
            "{name}"
        );
    }
    let late = of(
        504,
        json!({"code": 504, "status": "DEADLINE_EXCEEDED", "message": "late"}),
    );
    assert!(matches!(late.kind(), ErrorKind::Timeout(_)));
    let told = of(400, json!({"message": format!("wrong: {CANARY}")}));
    assert!(!format!("{told:?}").contains(CANARY));
}

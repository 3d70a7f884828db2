use proptest::prelude::*;
use serde_json::json;
use ziggurat_core::ErrorKind;

use super::*;
use crate::dialect::trial::said;

fn stream(model: &str) -> Trial {
    chat(model, json!({"messages": [], "stream": true}))
}

fn delta(index: u64, delta: &Value) -> Vec<u8> {
    let payload = json!({"contentBlockIndex": index, "delta": delta, "p": "abcd"});
    event("contentBlockDelta", &payload)
}

fn start(index: u64, tool: &Value) -> Vec<u8> {
    let payload = json!({"contentBlockIndex": index, "start": {"toolUse": tool}});
    event("contentBlockStart", &payload)
}

fn stop(index: u64) -> Vec<u8> {
    event("contentBlockStop", &json!({"contentBlockIndex": index}))
}

fn end(reason: &str) -> Vec<u8> {
    let usage = json!({"usage": {"inputTokens": 5, "outputTokens": 3, "cacheReadInputTokens": 7}});
    let stop = event("messageStop", &json!({"stopReason": reason}));
    [stop, event("metadata", &usage)].concat()
}

/// All values of a member of the deltas.
fn members(events: &[Value], name: &str) -> Vec<Value> {
    let deltas = events
        .iter()
        .map(|event| &event["choices"][0]["delta"][name]);
    deltas.filter(|value| !value.is_null()).cloned().collect()
}

#[test]
fn thoughts_words_and_calls_come_as_they_are_said() {
    let bytes = [
        event("messageStart", &json!({"role": "assistant"})),
        delta(0, &json!({"reasoningContent": {"text": "let "}})),
        delta(0, &json!({"reasoningContent": {"text": "me see"}})),
        delta(0, &json!({"reasoningContent": {"signature": "s1"}})),
        stop(0),
        delta(1, &json!({"reasoningContent": {"redactedContent": "AAAA"}})),
        stop(1),
        delta(2, &json!({"text": "<thinking>hm</thinking> "})),
        delta(2, &json!({"text": "hi"})),
        stop(2),
        start(3, &json!({"toolUseId": "c1", "name": "f"})),
        delta(3, &json!({"toolUse": {"input": "{\"a\""}})),
        delta(3, &json!({"toolUse": {"input": ":1}"}})),
        stop(3),
        start(
            4,
            &json!({"toolUseId": "c2", "name": "g", "type": "tool_use"}),
        ),
        delta(4, &json!({"toolUse": {"input": ""}})),
        stop(4),
        event("somethingNew", &json!({"a": 1})),
        end("tool_use"),
    ]
    .concat();
    let (events, usage) = stream(CLAUDE).stream_cut_anywhere(&bytes, "a stream");
    let (text, thought, calls, finish) = said(&events);
    assert_eq!(text, "<thinking>hm</thinking> hi");
    assert_eq!(thought, "let me see");
    let call = |name: &str, arguments: &str| (name.to_owned(), arguments.to_owned());
    assert_eq!(calls, [call("f", "{\"a\":1}"), call("g", "{}")]);
    assert_eq!(finish, "tool_calls");
    let usage = usage.expect("has some");
    assert_eq!((usage.input, usage.cached_input, usage.output), (12, 7, 3));
    assert_eq!(
        members(&events, "thinking_blocks"),
        [
            json!([{"type": "thinking", "thinking": "let me see", "signature": "s1"}]),
            json!([{"type": "redacted_thinking", "data": "AAAA"}]),
        ]
    );
}

#[test]
fn what_the_providers_own_tools_do_is_no_call_of_the_clients() {
    let result = json!({"contentBlockIndex": 1, "start": {"toolResult": {"toolUseId": "s"}}});
    let web = json!({"location": {"web": {"url": "https://x", "domain": "x"}}});
    let bytes = [
        start(
            0,
            &json!({"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}),
        ),
        delta(0, &json!({"toolUse": {"input": "{\"query\":\"x\"}"}})),
        stop(0),
        event("contentBlockStart", &result),
        delta(1, &json!({"toolResult": [{"text": "[HIDDEN]"}]})),
        stop(1),
        delta(2, &json!({"text": "4.0"})),
        delta(3, &json!({"citation": web})),
        stop(3),
        end("end_turn"),
    ]
    .concat();
    let (events, _) = stream(NOVA).stream([&bytes[..]]).expect("is whole");
    let (text, _, calls, finish) = said(&events);
    assert_eq!(
        (text.as_str(), calls.len(), finish.as_str()),
        ("4.0", 0, "stop")
    );
    let cited = json!({"url": "https://x", "title": "x", "start_index": 3, "end_index": 3});
    assert_eq!(
        members(&events, "annotations"),
        [json!([{"type": "url_citation", "url_citation": cited}])]
    );
    let own = members(&events, "provider_specific_fields");
    assert_eq!(own, [json!({"citations": [web]})]);
}

#[test]
fn the_call_that_stands_for_the_answer_is_streamed_as_text() {
    let bytes = [
        start(0, &json!({"toolUseId": "c", "name": "ziggurat_answer"})),
        delta(0, &json!({"toolUse": {"input": "{\"a\""}})),
        delta(0, &json!({"toolUse": {"input": ":1}"}})),
        stop(0),
        end("tool_use"),
    ]
    .concat();
    let (events, _) = stream(NOVA).stream([&bytes[..]]).expect("is whole");
    let (text, _, calls, finish) = said(&events);
    assert_eq!(
        (text.as_str(), calls.len(), finish.as_str()),
        ("{\"a\":1}", 0, "stop")
    );
}

#[test]
fn a_trace_comes_before_the_end() {
    let bytes = [
        delta(0, &json!({"text": "no"})),
        event(
            "messageStop",
            &json!({"stopReason": "guardrail_intervened"}),
        ),
        event(
            "metadata",
            &json!({"trace": {"guardrail": 1}, "usage": {"inputTokens": 1}}),
        ),
    ]
    .concat();
    let (events, usage) = stream(NOVA).stream([&bytes[..]]).expect("is whole");
    assert_eq!(said(&events).3, "content_filter");
    assert_eq!(usage.map(|usage| usage.input), Some(1));
    let own = members(&events, "provider_specific_fields");
    assert_eq!(own, [json!({"trace": {"guardrail": 1}})]);
}

#[test]
fn an_exception_is_the_failure_of_the_stream() {
    let failed = |kind: &str, before: &[u8]| {
        let headers = [(":message-type", "exception"), (":exception-type", kind)];
        let frame = frame(&headers, json!({"message": "sorry"}).to_string().as_bytes());
        let error = stream(CLAUDE).stream([before, &frame]).expect_err("fails");
        assert_eq!(error.message(), "sorry");
        error.kind()
    };
    let begun = [
        event("messageStart", &json!({})),
        delta(0, &json!({"text": "so"})),
    ]
    .concat();
    for before in [&b""[..], &begun] {
        assert_eq!(
            failed("throttlingException", before),
            ErrorKind::RateLimited
        );
        assert_eq!(
            failed("serviceUnavailableException", before),
            ErrorKind::Unavailable
        );
        assert_eq!(
            failed("modelStreamErrorException", before),
            ErrorKind::Internal
        );
    }
    let invoked = stream(&format!("invoke/{OLD_CLAUDE}"));
    let headers = [
        (":message-type", "exception"),
        (":exception-type", "throttlingException"),
    ];
    let error = invoked
        .stream([&frame(&headers, b"{}")[..]])
        .expect_err("fails");
    assert_eq!(error.kind(), ErrorKind::RateLimited);
}

#[test]
fn a_stream_that_is_damaged_or_cut_is_never_whole() {
    let whole = [delta(0, &json!({"text": "so"})), end("end_turn")].concat();
    let stop = whole.len() - end("end_turn").len() + 20;
    for cut in 0..stop {
        let error = stream(CLAUDE).stream([&whole[..cut]]).expect_err("is cut");
        assert!(matches!(
            error.kind(),
            ErrorKind::StreamBroken | ErrorKind::BadAnswer
        ));
    }
    let mut damaged = whole;
    damaged[30] ^= 1;
    let error = stream(CLAUDE)
        .stream([&damaged[..]])
        .expect_err("is damaged");
    assert_eq!(error.message(), "the provider's stream is damaged");
}

#[test]
fn blocks_that_never_end_end_the_stream() {
    let many = (0..100).flat_map(|index| start(index, &json!({"toolUseId": "c", "name": "f"})));
    let bytes: Vec<u8> = many.collect();
    let error = stream(CLAUDE)
        .stream([&bytes[..]])
        .expect_err("is too much");
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
    let thought = delta(
        0,
        &json!({"reasoningContent": {"text": "x".repeat(700_000)}}),
    );
    let signed = delta(0, &json!({"reasoningContent": {"signature": "s"}}));
    let bytes = [&thought[..], &thought, &signed, &stop(0), &end("end_turn")].concat();
    let (events, _) = stream(CLAUDE).stream([&bytes[..]]).expect("is whole");
    assert!(members(&events, "thinking_blocks").is_empty());
}

proptest! {
    #[test]
    fn whatever_the_events_hold_they_are_survived(
        kinds in prop::collection::vec(0..6_usize, 0..12),
        members in "contentBlockIndex|delta|start|stopReason|usage|trace",
        value in "null|7|\"x\"|\\[\\]|\\{\\}|\\{\"toolUse\":7\\}|\\{\"toolUse\":\\{\"name\":\"f\",\"input\":7\\}\\}|\\{\"text\":7\\}|\\{\"reasoningContent\":\\{\\}\\}|\\{\"citation\":\\{\\}\\}",
    ) {
        let names = [
            "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop",
            "messageStop", "metadata",
        ];
        let value: Value = serde_json::from_str(&value).expect("is JSON");
        let frames = kinds.iter().map(|kind| event(names[*kind], &json!({ &members: value })));
        let bytes: Vec<u8> = frames.flatten().collect();
        // An outcome is all that is asked for.
        let _ = stream(CLAUDE).stream([&bytes[..]]);
    }
}

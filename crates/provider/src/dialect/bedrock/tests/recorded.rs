//! Recorded traffic, if `ZIGGURAT_FIXTURES` names the folder it lies in.

use http::{HeaderMap, HeaderValue};
use serde_json::json;
use std::{fs, time::SystemTime};
use ziggurat_core::ErrorKind;

use super::*;
use crate::{
    dialect::{Dialect, trial::said},
    fixtures::{self, Recorded},
};

fn recorded(folder: &str, extension: &str) -> Vec<Recorded> {
    let all = fixtures::of("bedrock", folder, Operation::ChatCompletions, extension);
    let is_there = std::env::var_os("ZIGGURAT_FIXTURES").is_some();
    assert_eq!(all.is_empty(), !is_there, "{folder}");
    all
}

fn name(recorded: &Recorded) -> &str {
    recorded.name.rsplit('/').next().expect("has a name")
}

#[test]
fn recorded_answers_say_what_converse_said() {
    for recorded in recorded("converse", "json") {
        let name = name(&recorded);
        let trial = chat(CLAUDE, json!({"messages": []}));
        let (answer, usage) = trial.answer(&recorded.body).expect(name);
        let body: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        let usage = usage.expect("has some");
        assert_eq!(
            usage.total(),
            body["usage"]["totalTokens"].as_u64().expect("counts"),
            "{name}"
        );

        let content = body["output"]["message"]["content"]
            .as_array()
            .expect("is there");
        let texts = content.iter().filter_map(|block| block["text"].as_str());
        let message = &answer["choices"][0]["message"];
        let said = message["content"].as_str().unwrap_or_default();
        assert_eq!(said, texts.collect::<String>(), "{name}");
        let calls = content
            .iter()
            .filter(|block| block.get("toolUse").is_some());
        let called = message["tool_calls"].as_array().map_or(0, Vec::len);
        assert_eq!(called, calls.count(), "{name}");
        let thinks = content
            .iter()
            .any(|block| block.get("reasoningContent").is_some());
        assert_eq!(message["thinking_blocks"].is_array(), thinks, "{name}");
        assert_eq!(answer.get("trace"), body.get("trace"), "{name}");
        let expected = match name {
            _ if name.contains("guardrail") => "content_filter",
            _ if called > 0 => "tool_calls",
            _ => "stop",
        };
        assert_eq!(answer["choices"][0]["finish_reason"], expected, "{name}");
    }
}

/// The payloads of the events of a kind.
fn payloads(bytes: &[u8], kind: &str) -> Vec<Value> {
    let mut frames = Frames::default();
    frames.push(bytes);
    let frames = std::iter::from_fn(|| frames.next().expect("is not damaged"));
    let events = frames.filter(|frame| frame.header(":event-type") == Some(kind));
    let read = |frame: super::super::frame::Frame| serde_json::from_slice(&frame.payload);
    events.map(|frame| read(frame).expect("is JSON")).collect()
}

#[test]
fn recorded_streams_say_what_converse_said_wherever_they_are_cut() {
    for recorded in recorded("converse_stream", "bin") {
        let name = name(&recorded);
        let trial = chat(CLAUDE, json!({"messages": [], "stream": true}));
        if name == "broken-frame.bin" {
            let error = trial.stream([&recorded.body[..]]).expect_err("is damaged");
            assert_eq!(error.kind(), ErrorKind::BadAnswer);
            continue;
        }
        let (events, usage) = trial.stream_cut_anywhere(&recorded.body, name);
        let (text, thought, calls, finish) = said(&events);
        let deltas = payloads(&recorded.body, "contentBlockDelta");
        let join = |place: &str| -> String {
            let texts = deltas
                .iter()
                .filter_map(|delta| delta.pointer(place)?.as_str());
            texts.collect()
        };
        assert_eq!(text, join("/delta/text"), "{name}");
        assert_eq!(thought, join("/delta/reasoningContent/text"), "{name}");
        let starts = payloads(&recorded.body, "contentBlockStart");
        let tools = starts
            .iter()
            .filter_map(|start| start.pointer("/start/toolUse"));
        let own: Vec<_> = tools
            .filter(|tool| tool["type"] != "server_tool_use")
            .collect();
        assert_eq!(calls.len(), own.len(), "{name}");
        for (_, arguments) in &calls {
            let arguments: Value = serde_json::from_str(arguments).expect("are JSON");
            assert!(arguments.is_object(), "{name}");
        }
        let expected = match name {
            _ if name.contains("max-tokens") => "length",
            _ if calls.is_empty() => "stop",
            _ => "tool_calls",
        };
        assert_eq!(finish, expected, "{name}");
        let metadata = payloads(&recorded.body, "metadata");
        let total = metadata[0]["usage"]["totalTokens"].as_u64();
        assert_eq!(usage.map(|usage| usage.total()), total, "{name}");
        let is_signed = !join("/delta/reasoningContent/signature").is_empty();
        let blocks = events
            .iter()
            .map(|event| &event["choices"][0]["delta"]["thinking_blocks"]);
        assert_eq!(blocks.into_iter().any(Value::is_array), is_signed, "{name}");
    }
}

#[test]
fn recorded_errors_have_their_kinds() {
    use ErrorKind::*;
    for recorded in recorded("errors", "json") {
        let name = name(&recorded);
        let expected = match name {
            "400-converse-input-tokens-exceeded.json" => ContextWindow,
            "400-invalid-model-identifier.json" => NotFound,
            "400-invoke-url-image-source.json" => BadRequest,
            "403-expired-token.json" => Authentication,
            "403-model-access-denied.json" => Permission,
            "429-too-many-tokens.json" => RateLimited,
            _ => panic!("{name} is not known"),
        };
        let meta = recorded.name.replace(".json", ".meta.json");
        let meta: Value =
            serde_json::from_slice(&fs::read(meta).expect("can be read")).expect("is JSON");
        let kind = meta["response_headers"]["x-amzn-errortype"].as_str();
        let kind: HeaderValue = kind.expect("has a type").parse().expect("is a value");
        let headers =
            HeaderMap::from_iter([("x-amzn-errortype".parse().expect("is a name"), kind)]);
        let now = SystemTime::UNIX_EPOCH;
        let deployment = deployment(CLAUDE);
        let (status, body) = (recorded.status, &recorded.body);
        let error = Bedrock.failure(status, &headers, body, &deployment, now);
        assert_eq!(error.kind(), expected, "{name}: {error}");
    }
}

#[test]
fn a_recorded_error_in_a_stream_is_its_failure() {
    for recorded in recorded("errors", "bin") {
        let trial = chat(CLAUDE, json!({"messages": [], "stream": true}));
        for at in 0..recorded.body.len() {
            let (head, tail) = recorded.body.split_at(at);
            let error = trial.stream([head, tail]).expect_err("fails");
            assert_eq!(error.kind(), ErrorKind::Internal, "{}", recorded.name);
            assert_eq!(error.message(), "The model stream ended with an error.");
        }
    }
}

/// Of what InvokeModel says, that in the words of Claude, and Nova's, which are those of Converse.
/// Older models (`titan-text`, `claude-instant`) are asked with Converse only.
#[test]
fn recorded_answers_of_invoke_are_read() {
    for recorded in recorded("invoke", "json") {
        let name = name(&recorded);
        let body: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        let (trial, output) = match name {
            _ if name.contains("titan-text") => continue,
            _ if name.contains("embed") => {
                let model = "amazon.nova-2-multimodal-embeddings-v1:0";
                let trial = trial(Operation::Embeddings, model, json!({"input": "abcd"}));
                let (answer, _) = trial.answer(&recorded.body).expect(name);
                assert_eq!(
                    answer["data"][0]["embedding"],
                    body["embeddings"][0]["embedding"]
                );
                continue;
            }
            _ if name.contains("claude") => {
                let model = format!("invoke/{OLD_CLAUDE}");
                let trial = chat(&model, json!({"messages": []}));
                (trial, &body["usage"]["output_tokens"])
            }
            _ => (
                chat(NOVA, json!({"messages": []})),
                &body["usage"]["outputTokens"],
            ),
        };
        let (answer, usage) = trial.answer(&recorded.body).expect(name);
        assert_eq!(usage.map(|usage| usage.output), output.as_u64(), "{name}");
        let said = answer["choices"][0]["message"]["content"].as_str();
        assert!(said.is_some_and(|said| !said.is_empty()), "{name}");
    }
}

#[test]
fn recorded_streams_of_invoke_are_read_wherever_they_are_cut() {
    for recorded in recorded("invoke_stream", "bin") {
        let name = name(&recorded);
        if name.contains("claude-instant") {
            continue;
        }
        let model = format!("invoke/{OLD_CLAUDE}");
        let trial = chat(&model, json!({"messages": [], "stream": true}));
        let (events, usage) = trial.stream_cut_anywhere(&recorded.body, name);
        let (text, _, _, finish) = said(&events);
        assert!(text.len() > 20, "{name}");
        assert_eq!(finish, "stop", "{name}");
        assert!(usage.is_some_and(|usage| usage.output > 20), "{name}");
    }
}

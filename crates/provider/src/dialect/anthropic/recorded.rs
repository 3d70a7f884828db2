//! Recorded traffic, if `ZIGGURAT_FIXTURES` names the folder it lies in.

use std::{sync::Arc, time::SystemTime};

use serde_json::{Value, json};
use ziggurat_core::Clock;

use super::{count_tokens, stream, test::asked, *};
use crate::{
    chat::Events,
    dialect::openai::{self, Asked},
    fixtures::{self, Recorded},
};

fn answers() -> Vec<Recorded> {
    let of = |provider, folder| fixtures::of(provider, folder, Operation::ChatCompletions, "json");
    let all = [of("anthropic", "messages"), of("vertex", "raw_predict")];
    all.into_iter().flatten().collect()
}

fn streams() -> Vec<Recorded> {
    let of = |provider, folder| fixtures::of(provider, folder, Operation::ChatCompletions, "sse");
    let all = [
        of("anthropic", "messages_stream"),
        of("vertex", "raw_predict_stream"),
    ];
    all.into_iter().flatten().collect()
}

fn deployment() -> Deployment {
    Deployment::new("a", "claude", "m")
}

/// All of that kind, joined.
fn all(list: &Value, kind: &str, member: &str) -> String {
    let list = list.as_array().into_iter().flatten();
    let of_kind = list.filter(|item| item["type"] == kind);
    of_kind.filter_map(|item| item[member].as_str()).collect()
}

fn input(usage: &Value) -> u64 {
    let count = |name: &str| usage[name].as_u64().unwrap_or_default();
    count("input_tokens") + count("cache_read_input_tokens") + count("cache_creation_input_tokens")
}

fn finish(reason: &Value) -> &'static str {
    match reason.as_str().expect("is told") {
        "max_tokens" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        "end_turn" => "stop",
        other => panic!("{other} is new"),
    }
}

#[test]
fn recorded_answers_are_read_in_full() {
    for recorded in answers() {
        let name = &recorded.name;
        let told: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        let body = asked(&json!({}), |call| answer(call, &recorded.body));
        let check = openai::check(recorded.operation, &body, &deployment(), false);
        let usage = check.unwrap_or_else(|error| panic!("{name}: {error}"));
        let usage = usage.expect("is counted");
        assert_eq!(usage.input, input(&told["usage"]), "{name}");
        assert_eq!(usage.output, told["usage"]["output_tokens"], "{name}");
        let read: Value = serde_json::from_slice(&body).expect("is JSON");
        let choice = &read["choices"][0];
        assert_eq!(
            choice["finish_reason"],
            finish(&told["stop_reason"]),
            "{name}"
        );
        let message = &choice["message"];
        let text = message["content"].as_str().unwrap_or_default();
        assert_eq!(text, all(&told["content"], "text", "text"), "{name}");
        let calls = message["tool_calls"].as_array();
        let names = calls
            .into_iter()
            .flatten()
            .map(|call| &call["function"]["name"]);
        let names: String = names.filter_map(Value::as_str).collect();
        assert_eq!(names, all(&told["content"], "tool_use", "name"), "{name}");
        let blocks = told["content"].as_array().expect("is a list").iter();
        let thoughts: Vec<_> = blocks.filter(|block| blocks::is_thinking(block)).collect();
        let kept = message["thinking_blocks"].as_array();
        let kept: Vec<_> = kept.into_iter().flatten().collect();
        assert_eq!(kept, thoughts, "{name}");
        let why = told["stop_details"]["explanation"].as_str();
        assert_eq!(message["refusal"].as_str(), why, "{name}");
    }
}

/// What a stream says in these pieces, and how it ended.
fn decoded(pieces: &[&[u8]]) -> (Bytes, Result<(), Error>) {
    let mut decoder = stream::decoder(&Arc::new(deployment()));
    let mut events = Events::new("m", 7);
    let mut read = Ok(());
    for piece in pieces {
        read = read.and_then(|()| decoder.read(Bytes::copy_from_slice(piece), &mut events));
    }
    let end = read.and_then(|()| decoder.finish(&mut events));
    (events.take(), end)
}

fn events(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).expect("is text");
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

#[test]
fn recorded_streams_are_read_in_full_wherever_they_are_cut() {
    for recorded in streams() {
        let name = &recorded.name;
        let (whole, end) = decoded(&[&recorded.body]);
        end.unwrap_or_else(|error| panic!("{name}: {error}"));
        let step = match recorded.body.len() {
            0..4_000 => 1,
            long => long.div_ceil(200),
        };
        for at in (0..recorded.body.len()).step_by(step) {
            let (head, tail) = recorded.body.split_at(at);
            assert!(decoded(&[head, tail]).0 == whole, "{name} cut at {at}");
        }

        let asked = Asked {
            usage: true,
            choices: Some(1),
            refusals: false,
        };
        let mut reader = openai::Reader::new(Arc::new(deployment()), asked);
        reader.read(whole.clone());
        reader.finish();
        assert!(reader.take_error().is_none(), "{name}");
        let usage = reader.take_item().and_then(|item| item.usage);
        let usage = usage.expect("is counted");

        let told = events(&recorded.body);
        let last = told.iter().rfind(|event| event["type"] == "message_delta");
        let last = last.expect("is told");
        let start = &told[0]["message"];
        let counted = input(&last["usage"]).max(input(&start["usage"]));
        assert_eq!(
            (usage.input, last["usage"]["output_tokens"].as_u64()),
            (counted, Some(usage.output)),
            "{name}"
        );

        let read = events(&whole);
        assert!(
            read.iter().all(|event| event["id"] == start["id"]),
            "{name}"
        );
        let choices = || read.iter().map(|event| &event["choices"][0]);
        let reason = choices().find_map(|choice| choice["finish_reason"].as_str());
        assert_eq!(
            reason,
            Some(finish(&last["delta"]["stop_reason"])),
            "{name}"
        );
        let said = |member: &str| -> String {
            let texts = choices().map(|choice| &choice["delta"][member]);
            texts.filter_map(Value::as_str).collect()
        };
        let deltas: Value = told.iter().map(|event| event["delta"].clone()).collect();
        assert_eq!(
            said("content"),
            all(&deltas, "text_delta", "text"),
            "{name}"
        );
        let thoughts = all(&deltas, "thinking_delta", "thinking");
        assert_eq!(said("reasoning_content"), thoughts, "{name}");

        let blocks: Value = told
            .iter()
            .map(|event| event["content_block"].clone())
            .collect();
        let calls: Vec<_> = choices()
            .filter_map(|choice| choice["delta"]["tool_calls"].get(0))
            .collect();
        let names = calls
            .iter()
            .filter_map(|call| call["function"]["name"].as_str());
        let names: String = names.collect();
        assert_eq!(names, all(&blocks, "tool_use", "name"), "{name}");
        for number in 0..calls.iter().filter(|call| call["id"].is_string()).count() {
            let of_call = calls.iter().filter(|call| call["index"] == number);
            let arguments = of_call.filter_map(|call| call["function"]["arguments"].as_str());
            let arguments: String = arguments.collect();
            let arguments: Value = serde_json::from_str(&arguments).expect(name);
            assert!(arguments.is_object(), "{name}");
        }
    }
}

#[test]
fn recorded_streams_that_are_cut_never_look_whole() {
    for recorded in streams() {
        let text = String::from_utf8_lossy(&recorded.body);
        let end = text.find("\"stop_reason\":\"").expect("is told");
        for end in (0..end).step_by(end.div_ceil(100)) {
            let (read, _) = decoded(&[&recorded.body[..end]]);
            let finished = |event: &Value| event["choices"][0]["finish_reason"].is_string();
            assert!(!events(&read).iter().any(finished), "{}", recorded.name);
        }
    }
}

#[test]
fn recorded_errors_have_their_kind() {
    use ErrorKind::*;
    let errors = fixtures::of("anthropic", "errors", Operation::ChatCompletions, "json");
    for recorded in errors {
        let name = &recorded.name;
        let expected = match recorded.status.as_u16() {
            400 if name.contains("prompt-too-long") => ContextWindow,
            400 => BadRequest,
            401 => Authentication,
            404 => NotFound,
            429 => RateLimited,
            504 => Timeout(Clock::Attempt),
            529 => Overloaded,
            _ => panic!("{name} is new"),
        };
        let (headers, now) = (HeaderMap::new(), SystemTime::UNIX_EPOCH);
        let error = Anthropic.failure(
            recorded.status,
            &headers,
            &recorded.body,
            &deployment(),
            now,
        );
        assert_eq!(error.kind(), expected, "{name}");
        let told: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        assert_eq!(error.message(), told["error"]["message"], "{name}");
    }
    let errors = fixtures::of("anthropic", "errors", Operation::ChatCompletions, "sse");
    for recorded in errors {
        let (_, end) = decoded(&[&recorded.body]);
        let error = end.expect_err("fails");
        assert_eq!(error.kind(), Overloaded, "{}", recorded.name);
    }
}

#[test]
fn recorded_counts_are_read() {
    let counts = fixtures::of(
        "anthropic",
        "count_tokens",
        Operation::ChatCompletions,
        "json",
    );
    for recorded in counts {
        let told: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        let count = count_tokens::answer(&recorded.body).expect("is a count");
        assert_eq!(told, json!({ "input_tokens": count }));
    }
}

#[test]
fn recorded_models_are_a_list() {
    for recorded in fixtures::of("anthropic", "models", Operation::ChatCompletions, "json") {
        let told: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        let model = told["data"][0]["id"].as_str().expect("is one");
        let deployment = Deployment::new("a", "claude", model);
        let listed = openai::lists(&recorded.body, &deployment).expect("is no error");
        assert_eq!(listed, Some(true), "{}", recorded.name);
    }
}

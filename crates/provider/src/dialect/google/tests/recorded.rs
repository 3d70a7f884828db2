use serde_json::json;
use ziggurat_core::ErrorKind;

use super::*;
use crate::{
    dialect::trial::said,
    fixtures::{self, Recorded},
};

const HOSTS: [(&str, &Google); 2] = [("gemini", &GEMINI), ("vertex", &VERTEX)];

fn recorded(folder: &str, operation: Operation, extension: &str) -> Vec<Recorded> {
    let of = |(host, _): (&str, _)| fixtures::of(host, folder, operation, extension);
    let all: Vec<_> = HOSTS.into_iter().flat_map(of).collect();
    assert!(!all.is_empty() || std::env::var_os("ZIGGURAT_FIXTURES").is_none());
    all
}

fn trial(streams: bool) -> Trial {
    studio("gemini-2.5-pro", json!({"messages": [], "stream": streams}))
}

/// All text of an answer in Google's words, and its last finish reason.
fn raw(events: &[Value]) -> (String, String, usize, Value) {
    let (mut text, mut thought, mut calls, mut reason) =
        (String::new(), String::new(), 0, Value::Null);
    for event in events {
        let candidate = &event["candidates"][0];
        for part in candidate["content"]["parts"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let place = if part["thought"] == true {
                &mut thought
            } else {
                &mut text
            };
            place.push_str(part["text"].as_str().unwrap_or_default());
            calls += usize::from(part["functionCall"]["name"].is_string());
        }
        if !candidate["finishReason"].is_null() {
            reason = candidate["finishReason"].clone();
        }
    }
    (text, thought, calls, reason)
}

fn finish_of(reason: &Value, calls: usize) -> &'static str {
    match reason.as_str() {
        Some("MAX_TOKENS") => "length",
        Some("SAFETY") => "content_filter",
        _ if calls > 0 => "tool_calls",
        _ => "stop",
    }
}

#[test]
fn recorded_answers_say_what_google_said() {
    let whole = recorded("generate_content", Operation::ChatCompletions, "json");
    let lists = recorded(
        "stream_generate_content",
        Operation::ChatCompletions,
        "json",
    );
    for recorded in whole.into_iter().chain(lists) {
        let name = &recorded.name;
        let (answer, usage) = trial(false).answer(&recorded.body).expect(name);
        let body: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        let events = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        let (text, thought, calls, reason) = raw(&events);
        let choice = &answer["choices"][0];
        let message = &choice["message"];
        assert_eq!(
            message["content"].as_str().unwrap_or_default(),
            text,
            "{name}"
        );
        assert_eq!(
            message["reasoning_content"].as_str().unwrap_or_default(),
            thought,
            "{name}"
        );
        assert_eq!(
            message["tool_calls"].as_array().map_or(0, Vec::len),
            calls,
            "{name}"
        );
        assert_eq!(choice["finish_reason"], finish_of(&reason, calls), "{name}");
        let counts = &events.last().expect("is one")["usageMetadata"];
        let count = |name: &str| counts[name].as_u64().unwrap_or_default();
        let usage = usage.expect(name);
        assert_eq!(
            usage.output,
            count("candidatesTokenCount") + count("thoughtsTokenCount"),
            "{name}"
        );
        let all = usage.input + usage.output;
        assert_eq!(all, count("totalTokenCount"), "{name}");
    }
}

#[test]
fn recorded_streams_say_what_google_said_wherever_they_are_cut() {
    for recorded in recorded("stream_generate_content", Operation::ChatCompletions, "sse") {
        let name = &recorded.name;
        let (told, usage) = trial(true).stream_cut_anywhere(&recorded.body, name);
        let body = std::str::from_utf8(&recorded.body).expect("is text");
        let events = body.lines().filter_map(|line| line.strip_prefix("data: "));
        let events: Vec<_> = events
            .map(|event| serde_json::from_str(event).expect("is JSON"))
            .collect();
        let (text, thought, calls, reason) = raw(&events);
        let (said_text, said_thought, said_calls, finish) = said(&told);
        assert_eq!((said_text, said_thought), (text, thought), "{name}");
        assert_eq!(said_calls.len(), calls, "{name}");
        for (_, arguments) in &said_calls {
            let arguments: Value = serde_json::from_str(arguments).expect(name);
            assert!(arguments.is_object(), "{name}");
        }
        assert_eq!(finish, finish_of(&reason, calls), "{name}");
        let total = &events.last().expect("is one")["usageMetadata"]["totalTokenCount"];
        let usage = usage.expect(name);
        assert_eq!(Some(usage.input + usage.output), total.as_u64(), "{name}");
    }
}

#[test]
fn recorded_answers_of_anthropic_s_models_are_read() {
    let claude = |stream: bool| {
        let chat = json!({"messages": [{"role": "user", "content": "x"}], "stream": stream});
        vertex("claude-3-7-sonnet@20250219", chat)
    };
    for recorded in recorded("raw_predict", Operation::ChatCompletions, "json") {
        let (answer, usage) = claude(false).answer(&recorded.body).expect(&recorded.name);
        assert!(
            usage.is_some_and(|usage| usage.output > 0),
            "{}",
            recorded.name
        );
        assert!(answer["choices"][0]["finish_reason"].is_string());
    }
    for recorded in recorded("raw_predict_stream", Operation::ChatCompletions, "sse") {
        let (told, _) = claude(true).stream_cut_anywhere(&recorded.body, &recorded.name);
        let (_, _, calls, _) = said(&told);
        assert_eq!(calls[0].0, "Book", "{}", recorded.name);
    }
}

#[test]
fn recorded_embeddings_are_those_that_google_gave() {
    for (folder, inputs) in [("embeddings", 3), ("predict", 1)] {
        for recorded in recorded(folder, Operation::Embeddings, "json") {
            let asked = recorded.meta["request"]["body"]["requests"].as_array();
            let inputs = asked.map_or(1, Vec::len).min(inputs);
            let input: Vec<_> = (0..inputs).map(|index| format!("text {index}")).collect();
            let trial = Trial::new(&GEMINI, Operation::Embeddings, json!({"input": input}));
            let (answer, usage) = trial.answer(&recorded.body).expect(&recorded.name);
            assert_eq!(answer["data"].as_array().map(Vec::len), Some(inputs));
            let length = answer["data"][0]["embedding"].as_array().map(Vec::len);
            assert!(
                length.is_some_and(|length| length >= 256),
                "{}",
                recorded.name
            );
            assert!(usage.is_some());
        }
    }
}

#[test]
fn recorded_errors_have_the_kind_of_their_file_name() {
    for recorded in recorded("errors", Operation::ChatCompletions, "json") {
        let name = recorded.name.rsplit('/').next().expect("has a name");
        let expected = match name {
            _ if name.contains("api-key") || name.starts_with("401") => ErrorKind::Authentication,
            // Who sends no key at all is told that he is not permitted.
            _ if name.contains("permission-denied") => ErrorKind::Authentication,
            _ if name.contains("context-length") => ErrorKind::ContextWindow,
            _ if name.contains("not-found") => ErrorKind::NotFound,
            _ if name.contains("overloaded") => ErrorKind::Overloaded,
            _ if name.starts_with("429") => ErrorKind::RateLimited,
            _ => ErrorKind::BadRequest,
        };
        let error = trial(false).failure(recorded.status, &recorded.body);
        assert_eq!(error.kind(), expected, "{name}: {error}");
        let waits = name.contains("retryinfo") || name.contains("multi-violation");
        assert_eq!(error.retry_after().is_some(), waits, "{name}");
    }
}

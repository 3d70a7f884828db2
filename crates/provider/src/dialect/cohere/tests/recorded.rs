use super::*;
use crate::{dialect::trial::said, fixtures};

fn recorded(folder: &str, operation: Operation, extension: &str) -> Vec<fixtures::Recorded> {
    fixtures::of("cohere", folder, operation, extension)
}

#[test]
fn recorded_answers_are_answers_with_exact_usage() {
    for recorded in recorded("chat", Operation::ChatCompletions, "json") {
        let url = recorded.meta["request"]["url"].as_str().unwrap_or_default();
        // The first version is not asked.
        if url.contains("/v1/") {
            continue;
        }
        let trial = chat(json!({"messages": []}));
        let read = trial.answer(&recorded.body);
        let (read, usage) = read.unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
        let told: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        let tokens = &told["usage"]["tokens"];
        let count = |name: &str| tokens[name].as_u64().unwrap_or_default();
        let total = count("input_tokens") + count("image_tokens") + count("output_tokens");
        assert_eq!(usage.expect("has some").total(), total, "{}", recorded.name);
        let message = &read["choices"][0]["message"];
        let calls = told["message"]["tool_calls"].as_array().map_or(0, Vec::len);
        let read_calls = message["tool_calls"].as_array().map_or(0, Vec::len);
        assert_eq!(read_calls, calls, "{}", recorded.name);
        let parts = told["message"]["content"].as_array().into_iter().flatten();
        let text: String = parts.filter_map(|part| part["text"].as_str()).collect();
        assert_eq!(
            message["content"].as_str().unwrap_or_default(),
            text,
            "{}",
            recorded.name
        );
    }
}

#[test]
fn recorded_streams_say_the_same_wherever_they_are_cut() {
    for recorded in recorded("chat_stream", Operation::ChatCompletions, "sse") {
        let trial = chat(json!({"messages": [], "stream": true}));
        let (read, usage) = trial.stream_cut_anywhere(&recorded.body, &recorded.name);
        let (text, _, calls, finish) = said(&read);
        assert!(!text.is_empty() || !calls.is_empty(), "{}", recorded.name);
        let expected = if calls.is_empty() {
            "stop"
        } else {
            "tool_calls"
        };
        assert_eq!(finish, expected, "{}", recorded.name);
        let all_valid = calls
            .iter()
            .all(|(_, text)| serde_json::from_str::<Value>(text).is_ok());
        assert!(all_valid, "{}", recorded.name);
        assert!(
            usage.is_some_and(|usage| usage.output > 0),
            "{}",
            recorded.name
        );
    }
}

#[test]
fn recorded_embeddings_and_rankings_are_read() {
    for recorded in recorded("embeddings", Operation::Embeddings, "json") {
        let texts = &recorded.meta["request"]["body"]["texts"];
        let trial = Trial::new(&Cohere, Operation::Embeddings, json!({ "input": texts }));
        let read = trial.answer(&recorded.body);
        let (read, usage) = read.unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
        let count = |list: &Value| list.as_array().map(Vec::len);
        assert_eq!(count(&read["data"]), count(texts), "{}", recorded.name);
        assert!(
            usage.is_some_and(|usage| usage.input > 0),
            "{}",
            recorded.name
        );
    }
    for recorded in recorded("rerank", Operation::Rerank, "json") {
        let documents = vec!["a"; 6];
        let body = json!({"query": "q", "documents": documents});
        let trial = Trial::new(&Cohere, Operation::Rerank, body);
        let read = trial.answer(&recorded.body);
        let (read, _) = read.unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
        let told: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        assert_eq!(read["results"], told["results"], "{}", recorded.name);
    }
}

#[test]
fn recorded_errors_have_the_kind_of_their_file_name() {
    for recorded in recorded("errors", Operation::ChatCompletions, "json") {
        let error = chat(json!({"messages": []})).failure(recorded.status, &recorded.body);
        let expected = match recorded.status.as_u16() {
            _ if recorded.name.contains("too-many-tokens") => ErrorKind::ContextWindow,
            401 => ErrorKind::Authentication,
            404 => ErrorKind::NotFound,
            _ => panic!("{} has no kind", recorded.name),
        };
        assert_eq!(error.kind(), expected, "{}", recorded.name);
    }
}

use super::*;
use crate::{
    dialect::{openai, trial::said},
    fixtures,
};

fn recorded(folder: &str, operation: Operation, extension: &str) -> Vec<fixtures::Recorded> {
    fixtures::of("ollama", folder, operation, extension)
}

#[test]
fn recorded_answers_and_streams_are_read() {
    let mut native = 0;
    for recorded in recorded("chat", Operation::ChatCompletions, "json") {
        let told: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        // Those of the OpenAI-compatible address are read as OpenAI's.
        if told["choices"].is_array() {
            continue;
        }
        native += 1;
        let read = chat(json!({"messages": []})).answer(&recorded.body);
        let (read, usage) = read.unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
        assert_eq!(
            usage.map(|usage| usage.total()),
            Some(455),
            "{}",
            recorded.name
        );
        assert_eq!(read["choices"][0]["finish_reason"], "tool_calls");
    }
    for recorded in recorded("chat_stream", Operation::ChatCompletions, "ndjson") {
        native += 1;
        let trial = chat(json!({"messages": [], "stream": true}));
        let (read, usage) = trial.stream_cut_anywhere(&recorded.body, &recorded.name);
        let (text, _, calls, finish) = said(&read);
        let expected = match recorded.name.contains("tool-call") {
            true => (0, 2, "tool_calls"),
            false => (text.len(), 0, "length"),
        };
        assert_eq!(
            (text.len(), calls.len(), finish.as_str()),
            expected,
            "{}",
            recorded.name
        );
        assert!(
            usage.is_some_and(|usage| usage.output > 0),
            "{}",
            recorded.name
        );
    }
    assert!(native == 3 || std::env::var_os("ZIGGURAT_FIXTURES").is_none());
}

#[test]
fn recorded_answers_of_the_compatible_address_are_openai_s() {
    let deployment = Deployment::new("a", "gpt", "m");
    for recorded in recorded("chat", Operation::ChatCompletions, "json") {
        if recorded
            .body
            .windows(9)
            .any(|bytes| bytes == b"\"choices\"")
        {
            let read = openai::check(recorded.operation, &recorded.body, &deployment, false);
            read.unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
        }
    }
}

#[test]
fn recorded_embeddings_and_errors_are_read() {
    for recorded in recorded("embeddings", Operation::Embeddings, "json") {
        let trial = Trial::new(&Ollama, Operation::Embeddings, json!({"input": "a"}));
        let read = trial.answer(&recorded.body);
        let (_, usage) = read.unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
        let counted = recorded.name.contains("nomic");
        assert_eq!(
            usage.is_some_and(|usage| usage.estimated),
            !counted,
            "{}",
            recorded.name
        );
    }
    for recorded in recorded("errors", Operation::ChatCompletions, "json") {
        let error = chat(json!({"messages": []})).failure(recorded.status, &recorded.body);
        let expected = match recorded.status.as_u16() {
            _ if recorded.name.contains("context-length") => ErrorKind::ContextWindow,
            401 => ErrorKind::Authentication,
            _ => panic!("{} has no kind", recorded.name),
        };
        assert_eq!(error.kind(), expected, "{}", recorded.name);
    }
}

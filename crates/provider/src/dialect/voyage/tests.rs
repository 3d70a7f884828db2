use http::StatusCode;
use ziggurat_core::Usage;

use super::*;
use crate::{dialect::trial::Trial, fixtures};

fn embeddings(body: Value) -> Trial {
    Trial::new(&Voyage, Operation::Embeddings, body)
}

fn rankings(body: Value) -> Trial {
    Trial::new(&Voyage, Operation::Rerank, body)
}

#[test]
fn embeddings_are_asked_for_in_voyage_s_words() {
    let body = json!({
        "input": "a", "dimensions": 2, "encoding_format": "base64", "input_type": "query",
        "user": "u",
    });
    let expected = json!({
        "model": "m", "input": ["a"], "output_dimension": 2, "encoding_format": "base64",
        "input_type": "query",
    });
    assert_eq!(embeddings(body).sent(), expected);
    let float = embeddings(json!({"input": "a", "encoding_format": "float"})).sent();
    assert_eq!(float, json!({"model": "m", "input": ["a"]}));
    let tokens = embeddings(json!({"input": [1, 2]})).outgoing();
    assert_eq!(tokens.expect_err("are refused").param(), Some("input"));
}

#[test]
fn a_ranking_becomes_one_as_clients_know_it() {
    let body = json!({"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1});
    let trial = rankings(body);
    let expected = json!({"model": "m", "query": "q", "documents": ["a", "b"], "top_k": 1});
    assert_eq!(trial.sent(), expected);
    assert_eq!(trial.outgoing().expect("can be asked").path, "/rerank");
    let answer = br#"{"object":"list","data":[{"relevance_score":0.5,"index":1}],"usage":{"total_tokens":7}}"#;
    let (read, usage) = trial.answer(answer).expect("is one");
    assert_eq!(
        read["results"],
        json!([{"index": 1, "relevance_score": 0.5}])
    );
    assert_eq!(read["meta"]["billed_units"]["total_tokens"], 7);
    assert_eq!(usage, Some(Usage::new(7, 0)));
    for body in ["", "{}", r#"{"data":[{"index":0}]}"#, r#"{"data":[]}"#] {
        let error = trial.answer(body.as_bytes()).expect_err("is none");
        assert_eq!(error.kind(), ErrorKind::BadAnswer, "{body}");
    }
}

#[test]
fn what_voyage_does_not_serve_is_refused() {
    let error = Trial::chat(&Voyage, json!({"messages": []})).outgoing();
    assert_eq!(
        error.expect_err("is not served").code(),
        "unsupported_operation"
    );
    let error = rankings(json!({"query": "q", "documents": ["a"]})).failure(
        StatusCode::UNAUTHORIZED,
        br#"{"detail":"Provided API key is invalid."}"#,
    );
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!(error.message(), "Provided API key is invalid.");
}

#[test]
fn recorded_answers_are_read() {
    for recorded in fixtures::of("voyage", "embeddings", Operation::Embeddings, "json") {
        let input = &recorded.meta["request"]["body"]["input"];
        let read = embeddings(json!({ "input": input })).answer(&recorded.body);
        let (read, usage) = read.unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
        assert_eq!(read["data"].as_array().map(Vec::len), Some(3));
        assert_eq!(usage, Some(Usage::new(18, 0)));
    }
    for recorded in fixtures::of("voyage", "rerank", Operation::Rerank, "json") {
        let documents = &recorded.meta["request"]["body"]["documents"];
        let trial = rankings(json!({"query": "q", "documents": documents}));
        let read = trial.answer(&recorded.body);
        let (read, usage) = read.unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
        assert_eq!(read["results"].as_array().map(Vec::len), Some(3));
        assert_eq!(usage, Some(Usage::new(57, 0)));
    }
}

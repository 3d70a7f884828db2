use serde_json::json;
use ziggurat_core::{ErrorKind, Usage};

use super::*;

fn on(dialect: &'static Google, model: &'static str, body: Value) -> Trial {
    Trial::new(dialect, Operation::Embeddings, body).with(move |_| on_vertex(model))
}

fn asked(trial: &Trial) -> (String, Value) {
    let outgoing = trial.outgoing().expect("can be asked");
    let body = serde_json::from_slice(&outgoing.body).expect("is JSON");
    (
        outgoing
            .path
            .rsplit('/')
            .next()
            .expect("has a path")
            .to_owned(),
        body,
    )
}

#[test]
fn each_host_is_asked_in_its_own_way() {
    let two = || json!({"input": ["a", "b"], "dimensions": 8, "task_type": "RETRIEVAL_QUERY", "user": "u"});
    let (path, body) = asked(&on(&GEMINI, "gemini-embedding-001", two()));
    assert_eq!(path, "gemini-embedding-001:batchEmbedContents");
    let one = |text: &str| {
        json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]},
            "outputDimensionality": 8, "taskType": "RETRIEVAL_QUERY"})
    };
    assert_eq!(body, json!({"requests": [one("a"), one("b")]}));

    let (path, body) = asked(&on(&VERTEX, "text-embedding-005", two()));
    assert_eq!(path, "text-embedding-005:predict");
    let one = |text: &str| json!({"content": text, "task_type": "RETRIEVAL_QUERY"});
    let expected =
        json!({"instances": [one("a"), one("b")], "parameters": {"outputDimensionality": 8}});
    assert_eq!(body, expected);
    let (path, _) = asked(&on(&VERTEX, "gemini-embedding-001", two()));
    assert_eq!(path, "gemini-embedding-001:predict");

    let (path, body) = asked(&on(&VERTEX, "gemini-embedding-2", json!({"input": "a"})));
    assert_eq!(path, "gemini-embedding-2:embedContent");
    assert_eq!(body, json!({"content": {"parts": [{"text": "a"}]}}));
    let error = on(&VERTEX, "gemini-embedding-2", two()).outgoing();
    assert_eq!(error.expect_err("is too much").param(), Some("input"));
    let tokens = on(&GEMINI, "gemini-embedding-001", json!({"input": [1, 2]})).outgoing();
    assert_eq!(tokens.expect_err("is no text").param(), Some("input"));
}

#[test]
fn vectors_come_back_in_openai_s_shape() {
    let input = json!({"input": ["abcdefgh", "b"], "encoding_format": "base64"});
    let body = br#"{"embeddings":[{"values":[0.1,-2.0]},{"values":[1]}]}"#;
    let (answer, usage) = on(&GEMINI, "m", input).answer(body).expect("is one");
    assert_eq!(answer["data"][0]["embedding"], "zczMPQAAAMA=");
    let usage = usage.expect("is estimated");
    assert!(usage.estimated && usage.input == 3);

    let body = br#"{"predictions":[{"embeddings":{"values":[0.5],"statistics":{"token_count":7,"truncated":false}}}]}"#;
    let (answer, usage) = on(&VERTEX, "m", json!({"input": "a"}))
        .answer(body)
        .expect("is one");
    assert_eq!(answer["data"][0]["embedding"], json!([0.5]));
    assert_eq!(usage, Some(Usage::new(7, 0)));

    let none = on(&VERTEX, "m", json!({"input": "a"})).answer(b"{\"predictions\":[]}");
    assert_eq!(none.expect_err("is none").kind(), ErrorKind::BadAnswer);
    let error = br#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"no"}}"#;
    let error = on(&VERTEX, "m", json!({"input": "a"})).answer(error);
    assert_eq!(error.expect_err("fails").kind(), ErrorKind::RateLimited);
}

use serde_json::json;
use ziggurat_core::ErrorKind;

use super::*;

const TITAN: &str = "amazon.titan-embed-text-v2:0";
const COHERE: &str = "cohere.embed-multilingual-v3";

fn embed(model: &str, body: Value) -> Trial {
    trial(Operation::Embeddings, model, body)
}

#[test]
fn every_family_is_asked_in_its_own_way() {
    for (model, asked, expected) in [
        (
            TITAN,
            json!({"input": "a", "dimensions": 256, "normalize": true}),
            json!({"inputText": "a", "dimensions": 256, "normalize": true}),
        ),
        (
            "amazon.titan-embed-text-v1",
            json!({"input": ["a"]}),
            json!({"inputText": "a"}),
        ),
        (
            "amazon.titan-embed-image-v1",
            json!({"input": "a", "dimensions": 384}),
            json!({"inputText": "a", "embeddingConfig": {"outputEmbeddingLength": 384}}),
        ),
        (
            COHERE,
            json!({"input": ["a", "b"]}),
            json!({"texts": ["a", "b"], "input_type": "search_document"}),
        ),
        (
            "cohere.embed-v4:0",
            json!({"input": "a", "dimensions": 512, "input_type": "clustering"}),
            json!({"texts": ["a"], "input_type": "clustering", "output_dimension": 512}),
        ),
        (
            "amazon.nova-2-multimodal-embeddings-v1:0",
            json!({"input": "a", "dimensions": 256}),
            json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {
                "embeddingPurpose": "GENERIC_INDEX", "embeddingDimension": 256,
                "text": {"truncationMode": "END", "value": "a"},
            }}),
        ),
    ] {
        let trial = embed(model, asked);
        assert_eq!(trial.sent(), expected, "{model}");
        assert!(
            trial
                .outgoing()
                .expect("can be asked")
                .path
                .ends_with("/invoke")
        );
    }
}

#[test]
fn what_a_model_cannot_embed_is_refused() {
    for (model, asked, param) in [
        (TITAN, json!({"input": ["a", "b"]}), "input"),
        (TITAN, json!({"input": [1, 2]}), "input"),
        (
            TITAN,
            json!({"input": "a", "input_type": "x"}),
            "input_type",
        ),
        (
            "amazon.titan-embed-text-v1",
            json!({"input": "a", "dimensions": 7}),
            "dimensions",
        ),
    ] {
        let error = embed(model, asked).outgoing().expect_err("is refused");
        assert_eq!(
            (error.status(), error.param()),
            (http::StatusCode::BAD_REQUEST, Some(param))
        );
    }
}

#[test]
fn every_form_of_vectors_is_read() {
    for (model, input, body, tokens) in [
        (
            TITAN,
            json!("a"),
            json!({"embedding": [0.5, 1], "inputTextTokenCount": 7}),
            7,
        ),
        (
            COHERE,
            json!(["abcd", "a"]),
            json!({"embeddings": [[0.5, 1], [2, 3]]}),
            2,
        ),
        (
            COHERE,
            json!("a"),
            json!({"embeddings": {"float": [[0.5, 1]]}}),
            1,
        ),
        (
            "amazon.nova-2-multimodal-embeddings-v1:0",
            json!("a"),
            json!({"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5, 1]}]}),
            1,
        ),
    ] {
        let trial = embed(model, json!({"input": input}));
        let (answer, usage) = trial.answer(body.to_string().as_bytes()).expect("is one");
        assert_eq!(answer["data"][0]["embedding"], json!([0.5, 1.0]), "{body}");
        let usage = usage.expect("has some");
        assert_eq!(
            (usage.input, usage.estimated),
            (tokens, tokens < 7),
            "{body}"
        );
    }
    for body in [
        "",
        "[]",
        "{}",
        r#"{"embedding":["x"]}"#,
        r#"{"embeddings":[[1],[2]]}"#,
    ] {
        let trial = embed(TITAN, json!({"input": "a"}));
        let error = trial.answer(body.as_bytes()).expect_err("is none");
        assert_eq!(error.kind(), ErrorKind::BadAnswer, "{body}");
    }
}

use serde_json::json;

use super::*;

fn read(body: &Value) -> Result<EmbedRequest, Error> {
    EmbedRequest::read(body.to_string().as_bytes())
}

fn written(request: &EmbedRequest, tokens: Option<u64>) -> Value {
    let vectors = vec![vec![0.1, -2.0]; request.inputs.len()];
    let embeddings = Embeddings {
        model: "m",
        vectors,
        tokens,
    };
    let json = embeddings.into_json(request).expect("one for each");
    serde_json::from_slice(&json).expect("is JSON")
}

#[test]
fn every_form_of_input_is_read_and_what_is_unknown_is_kept() {
    let text = |text: &str| Input::Text(text.to_owned());
    for (input, expected) in [
        (json!("a"), vec![text("a")]),
        (json!(["a", "b"]), vec![text("a"), text("b")]),
        (json!([1, 2]), vec![Input::Tokens(vec![1, 2])]),
        (
            json!([[1], [2, 3]]),
            vec![Input::Tokens(vec![1]), Input::Tokens(vec![2, 3])],
        ),
    ] {
        let request = read(&json!({"model": "m", "input": input, "task": 1})).expect("is valid");
        assert_eq!(request.inputs, expected);
        assert_eq!(request.other.keys().collect::<Vec<_>>(), ["task"]);
    }
    let tokens = read(&json!({"input": [["a"], 1]})).expect_err("is mixed");
    assert_eq!(tokens.param(), Some("input"));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (body, at) in [
        (json!({}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": [[]]}), "input"),
        (json!({"input": [1.5]}), "input"),
        (json!({"input": {"text": "a"}}), "input"),
        (json!({"input": "a", "dimensions": "7"}), "dimensions"),
        (
            json!({"input": "a", "encoding_format": "int8"}),
            "encoding_format",
        ),
    ] {
        let error = read(&body).expect_err("is wrong");
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::BadRequest, Some(at))
        );
    }
    let tokens = read(&json!({"input": [1]})).expect("is valid");
    assert_eq!(tokens.texts().expect_err("no text").param(), Some("input"));
}

#[test]
fn vectors_are_written_as_they_are_asked_for() {
    let floats = read(&json!({"input": ["a", "b"]})).expect("is valid");
    let answer = written(&floats, Some(7));
    assert_eq!(answer["data"][1]["index"], 1);
    assert_eq!(answer["data"][1]["embedding"], json!([0.1, -2.0]));
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 7, "total_tokens": 7})
    );

    let base64 = read(&json!({"input": "a", "encoding_format": "base64"})).expect("is valid");
    // 0.1 is 3dcccccd and -2 is c0000000, the lowest byte first.
    assert_eq!(
        written(&base64, None)["data"][0]["embedding"],
        "zczMPQAAAMA="
    );
}

#[test]
fn what_nobody_counted_is_estimated_and_says_so() {
    let request = read(&json!({"input": ["abcdefgh", [1, 2, 3]]})).expect("is valid");
    let usage = &written(&request, None)["usage"];
    let expected = json!({"prompt_tokens": 5, "total_tokens": 5, "estimated": true});
    assert_eq!(usage, &expected);
}

#[test]
fn an_answer_with_too_few_vectors_is_none() {
    let request = read(&json!({"input": ["a", "b"]})).expect("is valid");
    let embeddings = Embeddings {
        model: "m",
        vectors: vec![vec![0.0]],
        tokens: None,
    };
    let error = embeddings.into_json(&request).expect_err("one is missing");
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
}

//! Embeddings and rankings.

use serde_json::{Value, json};
use ziggurat::Operation;

use crate::{
    answers::counted,
    call::Recorded,
    cases::{request, same_place},
    fixture::Fixture,
    route,
    said::Counts,
};

/// The vectors of an answer in any of the dialects.
fn vectors(answer: &Value) -> Vec<&Value> {
    let list = |value: &'_ Value| value.as_array().is_some_and(|list| !list.is_empty());
    if list(&answer["data"]) {
        let data = answer["data"].as_array().into_iter().flatten();
        return data.map(|item| &item["embedding"]).collect();
    }
    if answer["embedding"].is_array() {
        return vec![&answer["embedding"]];
    }
    let all = [
        &answer["embeddings"],
        &answer["embeddings"]["float"],
        &answer["predictions"],
        &answer["embedding"],
    ];
    let all = all.into_iter().find(|all| list(all));
    let Some(all) = all.and_then(Value::as_array) else {
        return vec![&answer["embedding"]["values"]];
    };
    let inner = |item| {
        let places = ["/values", "/embedding", "/embeddings/values"];
        let mut places = places.into_iter();
        places
            .find_map(|place| Value::pointer(item, place))
            .unwrap_or(item)
    };
    all.iter().map(inner).collect()
}

/// Whether two vectors are the same, but for how their numbers are written.
fn is_same(got: &Value, expected: &Value) -> bool {
    let (Some(got), Some(expected)) = (got.as_array(), expected.as_array()) else {
        return got == expected && got.is_string();
    };
    let is_near = |(got, expected): (&Value, &Value)| {
        let distance = got.as_f64().zip(expected.as_f64());
        distance.is_some_and(|(got, expected)| (got - expected).abs() < 1e-12)
    };
    !got.is_empty() && got.len() == expected.len() && got.iter().zip(expected).all(is_near)
}

/// The tokens of the input, if they are counted.
fn tokens(answer: &Value) -> Option<Counts> {
    let places = [
        "/usage/prompt_tokens",
        "/usage/total_tokens",
        "/usageMetadata/promptTokenCount",
        "/prompt_eval_count",
        "/meta/billed_units/input_tokens",
        "/predictions/0/embeddings/statistics/token_count",
    ];
    let mut places = places.into_iter();
    let input = places.find_map(|place| answer.pointer(place)?.as_u64())?;
    Some(Counts {
        input,
        ..Counts::default()
    })
}

pub(crate) async fn embeddings(fixture: &Fixture) -> Result<(), String> {
    let told = fixture.json();
    let expected = vectors(&told);
    let inputs: Vec<_> = (0..expected.len()).map(|n| format!("text {n}")).collect();
    let mut body = json!({"model": "group", "input": inputs});
    if expected.iter().any(|vector| vector.is_string()) {
        body["encoding_format"] = "base64".into();
    }
    let recorded = Recorded::new(fixture, route::deployment(fixture));
    let request = request(Operation::Embeddings, &body)?;
    let answered = recorded.call(&request, usize::MAX).await;
    let answered = answered.map_err(|error| error.to_string())?;
    same_place(fixture, &recorded)?;
    let answer: Value = serde_json::from_slice(&answered.bytes).map_err(|e| e.to_string())?;
    let data = answer["data"].as_array().ok_or("it has no data")?;
    let got: Vec<_> = data.iter().map(|item| &item["embedding"]).collect();
    let are_same = got.len() == expected.len()
        && got
            .iter()
            .zip(&expected)
            .all(|(got, expected)| is_same(got, expected));
    if !are_same || got.is_empty() {
        return Err("it has other vectors".to_owned());
    }
    counted(answered.usage, tokens(&told))
}

/// The places and scores of an answer in any of the dialects.
fn results(answer: &Value) -> Vec<(u64, f64)> {
    let all = [&answer["results"], &answer["data"]];
    let all = all.into_iter().find_map(Value::as_array);
    let result = |item: &Value| {
        let score = ["relevance_score", "relevanceScore"];
        let score = score.into_iter().find_map(|name| item[name].as_f64());
        Some((item["index"].as_u64()?, score?))
    };
    all.into_iter().flatten().filter_map(result).collect()
}

pub(crate) async fn ranking(fixture: &Fixture) -> Result<(), String> {
    let told = fixture.json();
    let expected = results(&told);
    let documents = expected.iter().map(|(place, _)| place + 1).max();
    let documents: Vec<_> = (0..documents.unwrap_or(1))
        .map(|n| format!("text {n}"))
        .collect();
    let body = json!({"model": "group", "query": "hi", "documents": documents});
    let recorded = Recorded::new(fixture, route::deployment(fixture));
    let request = request(Operation::Rerank, &body)?;
    let answered = recorded.call(&request, usize::MAX).await;
    let answered = answered.map_err(|error| error.to_string())?;
    same_place(fixture, &recorded)?;
    let answer: Value = serde_json::from_slice(&answered.bytes).map_err(|e| e.to_string())?;
    let got = results(&json!({"results": answer["results"]}));
    if got != expected || got.is_empty() {
        return Err(format!("ranked {got:?}, not {expected:?}"));
    }
    counted(answered.usage, tokens(&told))
}

//! Embeddings and rankings.

use serde_json::{Value, json};
use ziggurat_core::Error;

use super::no_answer;
use crate::{
    chat::unsupported::known,
    dialect::Call,
    embed::{EmbedRequest, Embeddings},
    rerank::{Ranking, RerankRequest},
};

pub(super) fn embed(call: &Call<'_>) -> Result<Value, Error> {
    let request = EmbedRequest::read(call.body)?;
    let texts = request.texts()?;
    let are_images = texts.iter().all(|text| text.starts_with("data:image/"));
    let own = ["input_type", "truncate", "max_tokens", "priority"];
    let mut body = known(call.deployment, request.other.clone(), &own)?;
    let (inputs, kind) = match are_images {
        true => ("images", "image"),
        false => ("texts", "search_document"),
    };
    body.insert("model".to_owned(), call.model.into());
    body.insert(inputs.to_owned(), texts.into());
    body.entry("input_type").or_insert_with(|| kind.into());
    body.insert("embedding_types".to_owned(), json!(["float"]));
    if let Some(dimensions) = request.dimensions {
        body.insert("output_dimension".to_owned(), dimensions.into());
    }
    Ok(body.into())
}

pub(super) fn embeddings(call: &Call<'_>, answer: &Value) -> Result<Vec<u8>, Error> {
    let request = EmbedRequest::read(call.body)?;
    let embeddings = &answer["embeddings"];
    let vectors = embeddings["float"].as_array().or(embeddings.as_array());
    let vector = |vector: &Value| -> Option<Vec<f64>> {
        vector.as_array()?.iter().map(Value::as_f64).collect()
    };
    let vectors: Option<_> = vectors.ok_or_else(no_answer)?.iter().map(vector).collect();
    let billed = &answer["meta"]["billed_units"];
    let counts = ["input_tokens", "image_tokens"].map(|name| billed[name].as_f64());
    let counted = counts.iter().any(Option::is_some);
    let tokens: f64 = counts.into_iter().flatten().sum();
    let embeddings = Embeddings {
        model: call.model,
        vectors: vectors.ok_or_else(no_answer)?,
        tokens: counted.then_some(tokens as u64),
    };
    embeddings.into_json(&request)
}

pub(super) fn rerank(call: &Call<'_>) -> Result<Value, Error> {
    let request = RerankRequest::read(call.body)?;
    let (query, documents) = (request.query.as_str(), request.texts());
    let own = ["max_tokens_per_doc", "priority"];
    let mut body = json!({"model": call.model, "query": query, "documents": documents});
    if let Some(top) = request.top_n {
        body["top_n"] = top.into();
    }
    for (name, value) in known(call.deployment, request.other, &own)? {
        body[name] = value;
    }
    Ok(body)
}

pub(super) fn ranking(call: &Call<'_>, answer: &Value) -> Result<Vec<u8>, Error> {
    let request = RerankRequest::read(call.body)?;
    let results = answer["results"].as_array().ok_or_else(no_answer)?;
    let result = |result: &Value| {
        let place = result["index"].as_u64()?;
        Some((place, result["relevance_score"].as_f64()?))
    };
    let results: Option<_> = results.iter().map(result).collect();
    let meta = answer["meta"].as_object().cloned();
    let ranking = Ranking {
        id: answer["id"].as_str().map(str::to_owned),
        results: results.ok_or_else(no_answer)?,
        meta: meta.unwrap_or_default(),
        tokens: None,
    };
    ranking.into_json(&request)
}

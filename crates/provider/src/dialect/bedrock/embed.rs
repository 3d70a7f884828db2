//! Embeddings, which each family asks for in its own way.

use http::HeaderMap;
use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind};

use super::model::Model;
use crate::{
    chat::unsupported::{known, refusal, refuse},
    dialect::Call,
    embed::{EmbedRequest, Embeddings},
};

/// Fields of Cohere's that a client may write itself.
const COHERES: &[&str] = &["input_type", "truncate"];

/// The body of a request.
///
/// # Errors
///
/// A refusal if the model cannot take it. Only Cohere's models take several texts.
pub(super) fn body(call: &Call<'_>, model: &Model<'_>) -> Result<Vec<u8>, Error> {
    let mut request = EmbedRequest::read(call.body)?;
    let other = std::mem::take(&mut request.other);
    let deployment = call.deployment;
    let names: &[&str] = match () {
        () if model.is("cohere") => COHERES,
        () if model.is("titan-embed-text-v1") || model.is("nova") => &[],
        () => &["normalize"],
    };
    let mut body = known(deployment, other, names)?;
    let mut texts = request.texts()?;
    if model.is("cohere") {
        body.entry("input_type").or_insert("search_document".into());
        body.insert("texts".to_owned(), texts.into());
        if let Some(dimensions) = request.dimensions {
            body.insert("output_dimension".to_owned(), dimensions.into());
        }
        return Ok(Value::Object(body).to_string().into_bytes());
    }
    let (Some(text), true) = (texts.pop(), texts.is_empty()) else {
        let message = "`input` must be one text: the model embeds one at a time";
        return Err(refusal("input", message).with_code("unsupported_value"));
    };
    if model.is("nova") {
        let mut params = json!({
            "embeddingPurpose": "GENERIC_INDEX",
            "text": {"truncationMode": "END", "value": text},
        });
        if let Some(dimensions) = request.dimensions {
            params["embeddingDimension"] = dimensions.into();
        }
        let body = json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params});
        return Ok(body.to_string().into_bytes());
    }
    body.insert("inputText".to_owned(), text.into());
    match request.dimensions {
        Some(length) if model.is("embed-image") => {
            let config = json!({ "outputEmbeddingLength": length });
            body.insert("embeddingConfig".to_owned(), config);
        }
        Some(_) if model.is("titan-embed-text-v1") => refuse(deployment, "dimensions", true)?,
        Some(dimensions) => {
            body.insert("dimensions".to_owned(), dimensions.into());
        }
        None => {}
    }
    Ok(Value::Object(body).to_string().into_bytes())
}

/// An answer in OpenAI's shape.
///
/// # Errors
///
/// [`ErrorKind::BadAnswer`] if there is not one vector for each text.
pub(super) fn answer(call: &Call<'_>, headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Error> {
    let request = EmbedRequest::read(call.body)?;
    let mut body: Map<String, Value> = serde_json::from_slice(body).map_err(|_| {
        let message = "the provider's answer is not a JSON object";
        Error::new(ErrorKind::BadAnswer, message)
    })?;
    let counted = headers.get("x-amzn-bedrock-input-token-count");
    let counted = counted.and_then(|count| count.to_str().ok()?.parse().ok());
    let tokens = body
        .get("inputTextTokenCount")
        .and_then(Value::as_u64)
        .or(counted);
    let vectors = match (body.remove("embedding"), body.remove("embeddings")) {
        (Some(one), _) => vec![one],
        (None, Some(Value::Array(all))) => all,
        (None, Some(Value::Object(mut types))) => match types.remove("float") {
            Some(Value::Array(all)) => all,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let embeddings = Embeddings {
        model: call.model,
        vectors: vectors.iter().filter_map(vector).collect(),
        tokens,
    };
    embeddings.into_json(&request)
}

/// A vector; Nova's is in an object.
fn vector(value: &Value) -> Option<Vec<f64>> {
    let list = value.as_array().or_else(|| value["embedding"].as_array())?;
    list.iter().map(Value::as_f64).collect()
}

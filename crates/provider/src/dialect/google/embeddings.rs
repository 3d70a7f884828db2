//! Embeddings: all at once at AI Studio, instances or one content at Vertex AI.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind};

use super::{Host, object, tools::camel};
use crate::{
    chat::unsupported,
    dialect::{Call, openai},
    embed::{EmbedRequest, Embeddings},
};

/// Google's own fields, which may be written `like_this` too.
const OWN: &[&str] = &["autoTruncate", "taskType", "title"];

/// The method that embeds with a model, and the body that asks.
///
/// # Errors
///
/// [`ErrorKind::BadRequest`], naming what cannot be asked.
pub(super) fn request(call: &Call<'_>, host: Host) -> Result<(&'static str, Value), Error> {
    let mut request = EmbedRequest::read(call.body)?;
    let other = std::mem::take(&mut request.other).into_iter();
    let named = other.map(|(name, value)| match camel(&name) {
        own if OWN.contains(&own.as_str()) => (own, value),
        _ => (name, value),
    });
    let own = unsupported::known(call.deployment, named.collect(), OWN)?;
    let texts = request.texts()?;
    let size = request
        .dimensions
        .map(|size| ("outputDimensionality".to_owned(), size.into()));
    let content = |text: &str| json!({"parts": [{"text": text}]});
    if host == Host::Studio {
        let name = match call.model.starts_with("models/") {
            true => call.model.to_owned(),
            false => format!("models/{}", call.model),
        };
        let one = |text| {
            let mut one = Map::from_iter(size.clone());
            one.insert("model".to_owned(), name.as_str().into());
            one.insert("content".to_owned(), content(text));
            one.extend(own.clone());
            Value::Object(one)
        };
        let requests: Vec<_> = texts.into_iter().map(one).collect();
        return Ok((
            "batchEmbedContents",
            object([("requests", requests.into())]),
        ));
    }
    if takes_contents(call.model) {
        let [text] = texts[..] else {
            let message = "the model embeds one input at a time";
            return Err(unsupported::refusal("input", message).with_code("unsupported_value"));
        };
        let mut body = Map::from_iter(size);
        body.insert("content".to_owned(), content(text));
        body.extend(own);
        return Ok(("embedContent", body.into()));
    }
    let mut parameters = Map::from_iter(size);
    let mut instance = own;
    if let Some(truncates) = instance.remove("autoTruncate") {
        parameters.insert("autoTruncate".to_owned(), truncates);
    }
    if let Some(task) = instance.remove("taskType") {
        instance.insert("task_type".to_owned(), task);
    }
    let instances = texts.into_iter().map(|text| {
        let mut instance = instance.clone();
        instance.insert("content".to_owned(), text.into());
        Value::Object(instance)
    });
    let instances: Vec<_> = instances.collect();
    Ok((
        "predict",
        object([
            ("instances", instances.into()),
            ("parameters", parameters.into()),
        ]),
    ))
}

/// Whether a model of Vertex AI embeds contents, as all do since the second of Gemini's.
fn takes_contents(model: &str) -> bool {
    let model = model.rsplit('/').next().unwrap_or(model);
    let generation = model.strip_prefix("gemini-embedding-").unwrap_or_default();
    let generation = generation.split(['-', '.']).next().unwrap_or_default();
    // The first is called 001.
    generation.len() < 3
        && generation
            .parse::<u32>()
            .is_ok_and(|generation| generation >= 2)
}

/// An answer of any of the three methods.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answered {
    embeddings: Vec<Embedding>,
    embedding: Option<Embedding>,
    predictions: Vec<Prediction>,
    usage_metadata: Used,
    error: Value,
}

#[derive(Deserialize)]
struct Embedding {
    values: Vec<f64>,
    #[serde(default)]
    statistics: Statistics,
}

#[derive(Deserialize)]
struct Prediction {
    embeddings: Embedding,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Statistics {
    token_count: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Used {
    prompt_token_count: Option<u64>,
}

/// An answer in OpenAI's shape.
///
/// # Errors
///
/// [`ErrorKind::BadAnswer`] if it is none, or the failure that stands in its place.
pub(super) fn answer(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Error> {
    let request = EmbedRequest::read(call.body)?;
    let answered: Answered = serde_json::from_slice(body).map_err(|_| {
        Error::new(
            ErrorKind::BadAnswer,
            "the provider's answer holds no embeddings",
        )
    })?;
    if !answered.error.is_null() {
        return Err(openai::in_band(body, call.deployment));
    }
    let predicted = answered.predictions.into_iter().map(|one| one.embeddings);
    let all = answered
        .embeddings
        .into_iter()
        .chain(answered.embedding)
        .chain(predicted);
    let all: Vec<_> = all.collect();
    let counts = all.iter().map(|one| one.statistics.token_count);
    let counted: Option<f64> = counts.sum();
    let counted = counted
        .filter(|count| *count > 0.0)
        .map(|count| count as u64);
    let embeddings = Embeddings {
        model: call.model,
        vectors: all.into_iter().map(|one| one.values).collect(),
        tokens: answered.usage_metadata.prompt_token_count.or(counted),
    };
    embeddings.into_json(&request)
}

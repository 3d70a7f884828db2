//! Voyage: embeddings that are nearly OpenAI's, and rankings that are nearly Cohere's.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value, json};
use ziggurat_core::{Deployment, Error, ErrorKind, Operation};

use super::{Call, Decoder, Dialect, Outgoing, credential, sse::SseDecoder};
use crate::{
    chat::{
        Events,
        unsupported::{self, known},
    },
    dialect::sse::OnEvent,
    embed::{EmbedRequest, Encoding},
    rerank::{Ranking, RerankRequest},
};

/// Voyage's dialect.
#[derive(Debug)]
pub(crate) struct Voyage;

impl Dialect for Voyage {
    fn base(&self, _: &Deployment) -> Option<String> {
        Some("https://api.voyageai.com/v1".to_owned())
    }

    fn authorization(&self, deployment: &Deployment) -> Result<HeaderMap, Error> {
        credential::bearer(deployment)
    }

    fn request(&self, call: &Call<'_>) -> Result<Outgoing, Error> {
        let body = match call.operation {
            Operation::Embeddings => embed(call)?,
            Operation::Rerank => rerank(call)?,
            operation => return Err(unsupported::operation(operation)),
        };
        Ok(Outgoing {
            path: call.operation.path().to_owned(),
            headers: Vec::new(),
            body: Value::from(body).to_string().into(),
        })
    }

    fn answer(&self, call: &Call<'_>, _: &HeaderMap, body: &[u8]) -> Result<Bytes, Error> {
        match call.operation {
            Operation::Rerank => ranking(call, body).map(Bytes::from),
            _ => Ok(Bytes::copy_from_slice(body)),
        }
    }

    fn decoder(&self, _: &Call<'_>) -> Box<dyn Decoder> {
        Box::new(SseDecoder::new(Numbers))
    }

    fn lists_models(&self) -> bool {
        false
    }
}

/// Numbers are not streamed.
#[derive(Debug)]
struct Numbers;

impl OnEvent for Numbers {
    fn event(&mut self, _: &[u8], _: &mut Events) -> Result<(), Error> {
        Err(no_answer())
    }
}

fn no_answer() -> Error {
    Error::new(
        ErrorKind::BadAnswer,
        "the provider's answer is none of its own",
    )
}

fn embed(call: &Call<'_>) -> Result<Map<String, Value>, Error> {
    let request = EmbedRequest::read(call.body)?;
    let own = [
        "input_type",
        "output_dimension",
        "output_dtype",
        "truncation",
    ];
    let mut body = known(call.deployment, request.other.clone(), &own)?;
    body.insert("model".to_owned(), call.model.into());
    body.insert("input".to_owned(), request.texts()?.into());
    if let Some(dimensions) = request.dimensions {
        body.insert("output_dimension".to_owned(), dimensions.into());
    }
    if request.encoding == Encoding::Base64 {
        body.insert("encoding_format".to_owned(), "base64".into());
    }
    Ok(body)
}

fn rerank(call: &Call<'_>) -> Result<Map<String, Value>, Error> {
    let request = RerankRequest::read(call.body)?;
    let documents = request.texts();
    let mut body = known(call.deployment, request.other, &["truncation", "top_k"])?;
    body.insert("model".to_owned(), call.model.into());
    body.insert("query".to_owned(), request.query.into());
    body.insert("documents".to_owned(), documents.into());
    if let Some(top) = request.top_n {
        body.insert("top_k".to_owned(), top.into());
    }
    Ok(body)
}

fn ranking(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Error> {
    let request = RerankRequest::read(call.body)?;
    let answer: Value = serde_json::from_slice(body).map_err(|_| no_answer())?;
    let results = answer["data"].as_array().ok_or_else(no_answer)?;
    let result = |result: &Value| {
        let place = result["index"].as_u64()?;
        Some((place, result["relevance_score"].as_f64()?))
    };
    let results: Option<_> = results.iter().map(result).collect();
    let tokens = answer["usage"]["total_tokens"].as_u64();
    let mut meta = Map::new();
    if let Some(tokens) = tokens {
        meta.insert("billed_units".to_owned(), json!({ "total_tokens": tokens }));
    }
    let ranking = Ranking {
        results: results.ok_or_else(no_answer)?,
        meta,
        tokens,
        ..Ranking::default()
    };
    ranking.into_json(&request)
}

//! Cohere's second version: chat, embeddings and rankings.

mod answer;
mod numbers;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use ziggurat_core::{Deployment, Error, ErrorKind, Operation};

use super::{Call, Decoder, Dialect, Outgoing, credential, openai, sse::SseDecoder};
use crate::chat::{Finish, Tokens, unsupported};

/// Cohere's dialect.
#[derive(Debug)]
pub(crate) struct Cohere;

impl Dialect for Cohere {
    fn base(&self, _: &Deployment) -> Option<String> {
        Some("https://api.cohere.com".to_owned())
    }

    fn authorization(&self, deployment: &Deployment) -> Result<HeaderMap, Error> {
        credential::bearer(deployment)
    }

    fn request(&self, call: &Call<'_>) -> Result<Outgoing, Error> {
        let (path, body) = match call.operation {
            Operation::ChatCompletions => ("/chat", request::chat(call)?),
            Operation::Embeddings => ("/embed", numbers::embed(call)?),
            Operation::Rerank => ("/rerank", numbers::rerank(call)?),
            operation => return Err(unsupported::operation(operation)),
        };
        Ok(Outgoing {
            path: call.path("/v2", path),
            headers: Vec::new(),
            body: body.to_string().into(),
        })
    }

    fn answer(&self, call: &Call<'_>, _: &HeaderMap, body: &[u8]) -> Result<Bytes, Error> {
        let answer: Value = serde_json::from_slice(body).map_err(|_| no_answer())?;
        let json = match call.operation {
            Operation::Embeddings => numbers::embeddings(call, &answer)?,
            Operation::Rerank => numbers::ranking(call, &answer)?,
            _ => answer::chat(call, &answer)?.into_json(),
        };
        Ok(json.into())
    }

    fn decoder(&self, call: &Call<'_>) -> Box<dyn Decoder> {
        Box::new(SseDecoder::new(stream::Stream::new(call.deployment)))
    }

    fn lists_models(&self) -> bool {
        false
    }

    fn failure(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        deployment: &Deployment,
        now: SystemTime,
    ) -> Error {
        // A status of its own, for a token that is invalid, or for words that it will not hear.
        if status.as_u16() != 498 {
            return openai::failure(status, headers, body, deployment, now);
        }
        let error = openai::failure(StatusCode::BAD_REQUEST, headers, body, deployment, now);
        let message = error.message().to_ascii_lowercase();
        let kind = match message.contains("token") && !message.contains("block") {
            true => ErrorKind::Authentication,
            false => ErrorKind::ContentPolicy,
        };
        Error::new(kind, error.message().to_owned())
    }
}

fn no_answer() -> Error {
    Error::new(
        ErrorKind::BadAnswer,
        "the provider's answer is none of its own",
    )
}

/// Why an answer ended.
fn finish(reason: &Value) -> Finish {
    match reason.as_str().unwrap_or_default() {
        "" => Finish::Unknown,
        "MAX_TOKENS" | "ERROR_LIMIT" => Finish::Length,
        "TOOL_CALL" => Finish::ToolCalls,
        "ERROR_TOXIC" => Finish::ContentFilter,
        "ERROR" | "TIMEOUT" => Finish::Error,
        _ => Finish::Stop,
    }
}

/// What an answer used: tokens if they are counted, else those that are billed.
fn usage(usage: &Value) -> Option<Tokens> {
    let counts = ["tokens", "billed_units"]
        .into_iter()
        .map(|name| &usage[name])
        .find(|counts| counts.is_object())?;
    let count = |name: &str| counts[name].as_f64().map_or(0, |count| count as u64);
    Some(Tokens {
        // Images are counted apart.
        input: count("input_tokens").saturating_add(count("image_tokens")),
        cached: usage["cached_tokens"]
            .as_f64()
            .map_or(0, |count| count as u64),
        output: count("output_tokens"),
        reasoning: count("reasoning_tokens"),
        ..Tokens::default()
    })
}

/// The probabilities of what was said, for each text that they are told of: of several tokens, that
/// of all of them.
fn logprobs(told: &Value) -> Option<Value> {
    let told = told
        .as_array()
        .map_or(std::slice::from_ref(told), Vec::as_slice);
    let texts = told.iter().filter_map(|text| {
        let all: f64 = text["logprobs"]
            .as_array()?
            .iter()
            .filter_map(Value::as_f64)
            .sum();
        let token = text["text"].as_str()?;
        Some(json!({"token": token, "logprob": all, "bytes": token.as_bytes(), "top_logprobs": []}))
    });
    let texts: Vec<_> = texts.collect();
    (!texts.is_empty()).then(|| json!({ "content": texts }))
}

/// The arguments of a call: there may be none, which is written as `null`.
fn arguments(text: &str) -> &str {
    match text.trim() {
        "" | "null" => "{}",
        _ => text,
    }
}

/// The places that a citation names, as OpenAI's annotations.
fn annotations(citation: &Value) -> Vec<Value> {
    let sources = citation["sources"].as_array();
    sources
        .into_iter()
        .flatten()
        .map(|source| {
            let inner = [&source["document"], &source["tool_output"]];
            let of = |name: &str| inner.iter().find_map(|inner| inner[name].as_str());
            let id = source["id"].as_str();
            let url = of("url").or_else(|| id.filter(|id| id.starts_with("http")));
            let mut place = json!({
                "start_index": citation["start"],
                "end_index": citation["end"],
            });
            let (kind, title) = match url {
                Some(url) => {
                    place["url"] = url.into();
                    ("url_citation", "title")
                }
                None => {
                    place["file_id"] = id.into();
                    ("file_citation", "filename")
                }
            };
            place[title] = of("title").into();
            json!({"type": kind, kind: place})
        })
        .collect()
}

//! Ollama's own API: chat and embeddings.

mod answer;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use ziggurat_core::{Deployment, Error, ErrorKind, Operation};

use super::{Call, Decoder, Dialect, Outgoing, credential, path_under};
use crate::chat::{Finish, Tokens, ToolCall, unsupported};

/// Ollama's dialect.
#[derive(Debug)]
pub(crate) struct Ollama;

impl Dialect for Ollama {
    fn base(&self, _: &Deployment) -> Option<String> {
        Some("http://localhost:11434".to_owned())
    }

    fn authorization(&self, deployment: &Deployment) -> Result<HeaderMap, Error> {
        credential::bearer(deployment)
    }

    fn request(&self, call: &Call<'_>) -> Result<Outgoing, Error> {
        let (path, body) = match call.operation {
            Operation::ChatCompletions => ("/chat", request::chat(call)?),
            Operation::Embeddings => ("/embed", request::embed(call)?),
            operation => return Err(unsupported::operation(operation)),
        };
        Ok(Outgoing {
            path: call.path("/api", path),
            headers: Vec::new(),
            body: body.to_string().into(),
        })
    }

    fn answer(&self, call: &Call<'_>, _: &HeaderMap, body: &[u8]) -> Result<Bytes, Error> {
        let answer: Value = serde_json::from_slice(body).map_err(|_| no_answer())?;
        let json = match call.operation {
            Operation::Embeddings => answer::embeddings(call, &answer)?,
            _ => answer::chat(call, &answer)?.into_json(),
        };
        Ok(json.into())
    }

    fn decoder(&self, call: &Call<'_>) -> Box<dyn Decoder> {
        Box::new(stream::Stream::new(call.deployment))
    }

    fn models(&self, deployment: &Deployment) -> String {
        path_under(deployment, "/api", "/tags")
    }
}

fn no_answer() -> Error {
    Error::new(
        ErrorKind::BadAnswer,
        "the provider's answer is none of its own",
    )
}

/// Why an answer ended. That tools are called is not said, but seen.
fn finish(answer: &Value, calls: bool) -> Finish {
    match answer["done_reason"].as_str() {
        Some("length") => Finish::Length,
        _ if calls => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// What an answer used. Input that was still in memory is not evaluated, and not counted.
fn usage(answer: &Value) -> Option<Tokens> {
    let (input, output) = (&answer["prompt_eval_count"], &answer["eval_count"]);
    input.as_u64().or(output.as_u64())?;
    Some(Tokens {
        input: input.as_u64().unwrap_or_default(),
        output: output.as_u64().unwrap_or_default(),
        ..Tokens::default()
    })
}

/// The calls of a message. Older servers give them no ids.
fn calls(message: &Value) -> impl Iterator<Item = ToolCall> {
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    calls.map(|call| {
        let function = &call["function"];
        let id = call["id"].as_str().filter(|id| !id.is_empty());
        let new = || format!("call_{:016x}", fastrand::u64(..));
        ToolCall {
            id: id.map_or_else(new, str::to_owned),
            name: function["name"].as_str().unwrap_or_default().to_owned(),
            arguments: match &function["arguments"] {
                Value::Null => "{}".to_owned(),
                Value::String(text) => text.clone(),
                arguments => arguments.to_string(),
            },
            extra: None,
        }
    })
}

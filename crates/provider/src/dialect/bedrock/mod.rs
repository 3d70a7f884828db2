//! AWS Bedrock: Converse and ConverseStream for chat, InvokeModel for embeddings and for Claude where
//! the name of the model begins with `invoke/`.
//!
//! A deployment proves who it is with a Bedrock API key (its credential), or else by signing each
//! call with `aws_access_key_id`, `aws_secret_access_key` and, if they are temporary ones,
//! `aws_session_token`. It lives in `aws_region_name`, or at `aws_bedrock_runtime_endpoint`. What a
//! name leaves open may be said by an ARN in `model_id`.
//!
//! What gives way without a word are hints that something demanded stands against: those that
//! Anthropic's dialect names (thinking, and sampling beside it; too long an output), and marks of
//! what is to be cached for a model that has no cache.

mod answer;
mod embed;
mod error;
pub(crate) mod frame;
mod invoke;
mod media;
mod messages;
mod model;
mod reasoning;
mod request;
mod signing;
mod sigv4;
mod stream;
#[cfg(test)]
mod tests;
mod tools;

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use ziggurat_core::{Deployment, Error, Operation};

use self::model::Model;
use super::{Call, Decoder, Dialect, Outgoing, anthropic, credential};
use crate::chat::{ChatRequest, unsupported};

/// The dialect of Bedrock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bedrock;

/// Where a deployment is called, if it says so itself.
fn given_base(deployment: &Deployment) -> Option<&str> {
    let given = deployment.base_url();
    given.or_else(|| deployment.param("aws_bedrock_runtime_endpoint"))
}

impl Dialect for Bedrock {
    fn passes_paths(&self) -> bool {
        false
    }

    fn base(&self, deployment: &Deployment) -> Option<String> {
        let base = given_base(deployment).map(str::to_owned);
        base.or_else(|| model::region(deployment).map(model::base))
    }

    fn authorization(&self, deployment: &Deployment) -> Result<HeaderMap, Error> {
        if deployment.credential().is_none() {
            signing::check(deployment)?;
        }
        credential::bearer(deployment)
    }

    fn request(&self, call: &Call<'_>) -> Result<Outgoing, Error> {
        let model = Model::of(call.model, call.deployment);
        let body = match call.operation {
            Operation::ChatCompletions if model.is_invoked => invoke::body(call)?,
            Operation::ChatCompletions => {
                let chat = ChatRequest::read(call.body)?;
                request::body(chat, &model, call.deployment)?
            }
            Operation::Embeddings => embed::body(call, &model)?,
            operation => return Err(unsupported::operation(operation)),
        };
        let invokes = model.is_invoked || call.operation == Operation::Embeddings;
        let action = match (invokes, call.streams) {
            (false, false) => "converse",
            (false, true) => "converse-stream",
            (true, false) => "invoke",
            (true, true) => "invoke-with-response-stream",
        };
        let path = format!("/model/{}/{action}", sigv4::encoded(model.id, b""));
        let headers = match call.deployment.credential() {
            Some(_) => Vec::new(),
            None => signing::headers(call.deployment, &path, &body, call.now)?,
        };
        Ok(Outgoing {
            path,
            headers,
            body: body.into(),
        })
    }

    fn answer(&self, call: &Call<'_>, headers: &HeaderMap, body: &[u8]) -> Result<Bytes, Error> {
        if call.operation == Operation::Embeddings {
            return Ok(embed::answer(call, headers, body)?.into());
        }
        match Model::of(call.model, call.deployment).is_invoked {
            true => Ok(anthropic::answer(call, body)),
            false => Ok(answer::read(call, body)?.into_json().into()),
        }
    }

    fn decoder(&self, call: &Call<'_>) -> Box<dyn Decoder> {
        match Model::of(call.model, call.deployment).is_invoked {
            true => Box::new(invoke::InvokeDecoder::new(call)),
            false => Box::new(stream::ConverseDecoder::new(call)),
        }
    }

    fn failure(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        deployment: &Deployment,
        now: SystemTime,
    ) -> Error {
        error::failure(status, headers, body, deployment, now)
    }

    fn lists_models(&self) -> bool {
        false
    }
}

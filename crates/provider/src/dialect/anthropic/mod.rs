//! Anthropic's dialect: the Messages API, as Anthropic itself and others serve it.
//!
//! What has no place in it and changes nothing is left out; what would change the answer is refused
//! by name, or dropped where the deployment says so. Three things give way without a word, because
//! they are hints and what stands against them is a demand:
//!
//! - Thinking, where a call is forced (also by a schema that only a tool can keep), where the model
//!   is to go on with a message of its own, or where the thoughts before the last calls are not
//!   known to a model that must have them.
//! - Temperature, `top_p` and `top_k`, while the model thinks.
//! - An output longer than the deployment's model can write.

mod answer;
mod betas;
mod blocks;
mod count_tokens;
pub(crate) mod form;
pub(crate) mod ids;
mod messages;
pub(crate) mod model;
mod request;
mod stream;
pub(crate) mod thinking;
mod tools;
mod usage;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Map;
use ziggurat_core::{Deployment, Error, ErrorKind, Operation};

use self::betas::Betas;
use super::{Call, Decoder, Dialect, Outgoing, credential, openai};
use crate::shape::messages::{ClientBetas, without_unsigned};

/// The version of the API.
pub(crate) const VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("anthropic-version"),
    HeaderValue::from_static("2023-06-01"),
);

/// Where messages are answered.
const MESSAGES: &str = "/messages";

/// Where the tokens of messages are counted.
const COUNT: &str = "/messages/count_tokens";

const BETA: HeaderName = HeaderName::from_static(betas::HEADER);

/// Who serves the Messages API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// Anthropic, and those who do it in the same way.
    Direct,
    /// Google's Vertex AI.
    Vertex,
}

/// Anthropic's own API, or one that is reached in the same way.
#[derive(Debug)]
pub(crate) struct Anthropic;

impl Dialect for Anthropic {
    fn base(&self, _: &Deployment) -> Option<String> {
        Some("https://api.anthropic.com/v1".to_owned())
    }

    fn authorization(&self, deployment: &Deployment) -> Result<HeaderMap, Error> {
        let key = deployment.credential().map(|key| key.expose().trim());
        let mut headers = match key {
            None => HeaderMap::new(),
            Some(key) if is_token(key) => {
                let mut headers = credential::bearer_of(deployment, key)?;
                headers.insert(BETA, HeaderValue::from_static(betas::OAUTH));
                headers
            }
            Some(key) => {
                let name = HeaderName::from_static("x-api-key");
                credential::header(deployment, name, key)?
            }
        };
        let (name, version) = VERSION;
        headers.insert(name, version);
        Ok(headers)
    }

    fn models(&self, deployment: &Deployment) -> String {
        let base = deployment.base_url().unwrap_or("/v1").trim();
        let has_version = base.trim_end_matches('/').ends_with("/v1");
        let version = if has_version { "" } else { "/v1" };
        format!("{version}{}", openai::MODELS)
    }

    fn request(&self, call: &Call<'_>) -> Result<Outgoing, Error> {
        let sent = request::write(call, Host::Direct)?;
        outgoing(call, MESSAGES, sent.to_bytes(), sent.betas)
    }

    fn speaks(&self, operation: Operation, _: &str) -> bool {
        operation == Operation::Messages
    }

    fn native(&self, call: &Call<'_>, body: Bytes) -> Result<Outgoing, Error> {
        outgoing(call, MESSAGES, without_unsigned(body), asked_betas(call)?)
    }

    fn count(&self, call: &Call<'_>) -> Result<Outgoing, Error> {
        let body = count_tokens::question(call.body)?;
        let body = without_unsigned(body);
        outgoing(call, COUNT, body, asked_betas(call)?)
    }

    fn counted(&self, body: &[u8]) -> Option<u64> {
        count_tokens::answer(body)
    }

    fn answer(&self, call: &Call<'_>, _: &HeaderMap, body: &[u8]) -> Result<Bytes, Error> {
        Ok(answer(call, body))
    }

    fn decoder(&self, call: &Call<'_>) -> Box<dyn Decoder> {
        decoder(call)
    }
}

/// The body of a request, for a host that is reached in another way.
///
/// # Errors
///
/// As [`Dialect::request`].
pub(crate) fn body(call: &Call<'_>, host: Host) -> Result<Bytes, Error> {
    let sent = request::write(call, host)?;
    Ok(sent.to_bytes())
}

/// The same of a request that is in Anthropic's own words.
///
/// # Errors
///
/// As [`Dialect::native`].
pub(crate) fn native_body(call: &Call<'_>, body: Bytes, host: Host) -> Result<Bytes, Error> {
    let body = without_unsigned(body);
    let sent = request::readdressed(&body, asked_betas(call)?, host, call.model)?;
    Ok(sent.to_bytes())
}

/// A whole answer in OpenAI's shape. What is none stays as it is.
pub(crate) fn answer(call: &Call<'_>, body: &[u8]) -> Bytes {
    answer::read(call, body)
}

/// What reads the stream of an answer.
pub(crate) fn decoder(call: &Call<'_>) -> Box<dyn Decoder> {
    Box::new(stream::decoder(call.deployment))
}

/// The betas of the deployment, and those of a client that speaks Anthropic's words.
fn asked_betas(call: &Call<'_>) -> Result<Betas, Error> {
    let mut betas = Betas::read(call.deployment, &mut Map::new())?;
    if let Some(asked) = call.request.extensions().get::<ClientBetas>() {
        asked.names().for_each(|beta| betas.add(beta));
    }
    Ok(betas)
}

fn outgoing(
    call: &Call<'_>,
    operation: &str,
    body: Bytes,
    mut betas: Betas,
) -> Result<Outgoing, Error> {
    let path = match call.deployment.base_url() {
        Some(_) => call.path("/v1", operation),
        None => operation.to_owned(),
    };
    let key = call.deployment.credential();
    if key.is_some_and(|key| is_token(key.expose().trim())) {
        betas.add(betas::OAUTH);
    }
    let mut headers = Vec::new();
    let names = betas.into_names();
    if !names.is_empty() {
        let names = names.join(",").parse().map_err(|_| {
            let message = "the betas have characters that no header may have";
            Error::new(ErrorKind::Internal, message)
        })?;
        headers.push((BETA, names));
    }
    Ok(Outgoing {
        path,
        headers,
        body,
    })
}

/// Whether a credential is a token of OAuth, and no key.
fn is_token(key: &str) -> bool {
    key.starts_with("sk-ant-oat")
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod test;

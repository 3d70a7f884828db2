//! Google's `generateContent`, at AI Studio (`gemini`) and at Vertex AI (`vertex_ai`).
//!
//! Both take the same requests and give the same answers; addresses, credentials, embeddings and
//! what may be fetched from elsewhere differ. Vertex AI has Anthropic's models too, which are spoken
//! to in Anthropic's dialect.

mod answer;
mod candidate;
mod contents;
mod count_tokens;
mod credentials;
mod embeddings;
mod failure;
mod grounding;
mod media;
mod native;
mod partial;
mod place;
mod request;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod thinking;
mod tools;
mod usage;

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;
use ziggurat_core::{Deployment, Error, Operation};

pub(crate) use self::{contents::UNSIGNED, tools::camel};
use super::{Call, Decoder, Dialect, Outgoing, anthropic, credential, openai, sse::SseDecoder};
use crate::{chat::unsupported, tokens::TokenSource};

/// AI Studio.
pub(crate) static GEMINI: Google = Google { host: Host::Studio };
/// Vertex AI.
pub(crate) static VERTEX: Google = Google {
    host: Host::Vertex { version: "v1" },
};
/// The same with what is not final yet.
pub(crate) static VERTEX_BETA: Google = Google {
    host: Host::Vertex { version: "v1beta1" },
};

/// Google's dialect.
#[derive(Debug)]
pub(crate) struct Google {
    host: Host,
}

/// Who serves the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Studio,
    Vertex { version: &'static str },
}

impl Google {
    /// Whether a model is one of Anthropic's.
    fn is_anthropic(&self, model: &str) -> bool {
        self.host != Host::Studio
            && (model.starts_with("claude") || model.starts_with("anthropic/"))
    }
}

/// What takes the words of a model's own maker.
const fn raw_method(streams: bool) -> &'static str {
    match streams {
        true => "streamRawPredict",
        false => "rawPredict",
    }
}

impl Dialect for Google {
    fn base(&self, deployment: &Deployment) -> Option<String> {
        Some(place::base(self.host, deployment))
    }

    fn authorization(&self, deployment: &Deployment) -> Result<HeaderMap, Error> {
        match (self.host, deployment.credential()) {
            (Host::Studio, Some(key)) => {
                let name = HeaderName::from_static("x-goog-api-key");
                credential::header(deployment, name, key.expose().trim())
            }
            (Host::Vertex { .. }, _) if credentials::are_given(deployment) => Ok(HeaderMap::new()),
            _ => credential::bearer(deployment),
        }
    }

    fn token(&self, deployment: &Deployment) -> Result<Option<TokenSource>, Error> {
        match self.host {
            Host::Studio => Ok(None),
            Host::Vertex { .. } => credentials::token(deployment),
        }
    }

    fn request(&self, call: &Call<'_>) -> Result<Outgoing, Error> {
        let path = |method| place::path(self.host, call.deployment, call.model, method);
        if self.is_anthropic(call.model) {
            if call.operation != Operation::ChatCompletions {
                return Err(unsupported::operation(call.operation));
            }
            return Ok(Outgoing {
                path: path(raw_method(call.streams))?,
                headers: Vec::new(),
                body: anthropic::body(call, anthropic::Host::Vertex)?,
            });
        }
        let (method, body) = match call.operation {
            Operation::ChatCompletions => {
                let method = match call.streams {
                    true => "streamGenerateContent?alt=sse",
                    false => "generateContent",
                };
                (method, request::chat(call, self.host)?)
            }
            Operation::Embeddings => embeddings::request(call, self.host)?,
            operation => return Err(unsupported::operation(operation)),
        };
        Ok(Outgoing {
            path: path(method)?,
            headers: Vec::new(),
            body: body.to_string().into(),
        })
    }

    fn speaks(&self, operation: Operation, model: &str) -> bool {
        match self.is_anthropic(model) {
            true => operation == Operation::Messages,
            false => operation == Operation::GenerateContent,
        }
    }

    fn native(&self, call: &Call<'_>, body: Bytes) -> Result<Outgoing, Error> {
        let (method, body) = match (self.is_anthropic(call.model), call.streams) {
            (false, true) => (
                "streamGenerateContent?alt=sse",
                native::body(call.model, body),
            ),
            (false, false) => ("generateContent", native::body(call.model, body)),
            (true, streams) => {
                let body = anthropic::native_body(call, body, anthropic::Host::Vertex)?;
                (raw_method(streams), body)
            }
        };
        Ok(Outgoing {
            path: place::path(self.host, call.deployment, call.model, method)?,
            headers: Vec::new(),
            body,
        })
    }

    fn count(&self, call: &Call<'_>) -> Result<Outgoing, Error> {
        if self.is_anthropic(call.model) {
            return Err(unsupported::operation(call.operation));
        }
        Ok(Outgoing {
            path: place::path(self.host, call.deployment, call.model, "countTokens")?,
            headers: Vec::new(),
            body: count_tokens::question(call, self.host)?.to_string().into(),
        })
    }

    fn counted(&self, body: &[u8]) -> Option<u64> {
        count_tokens::answer(body)
    }

    fn answer(&self, call: &Call<'_>, _: &HeaderMap, body: &[u8]) -> Result<Bytes, Error> {
        let json = match call.operation {
            Operation::Embeddings => embeddings::answer(call, body)?,
            _ if self.is_anthropic(call.model) => return Ok(anthropic::answer(call, body)),
            _ => answer::chat(call, body)?.into_json(),
        };
        Ok(json.into())
    }

    fn decoder(&self, call: &Call<'_>) -> Box<dyn Decoder> {
        match self.is_anthropic(call.model) {
            true => anthropic::decoder(call),
            false => Box::new(SseDecoder::new(stream::Stream::new(call))),
        }
    }

    fn lists_models(&self) -> bool {
        self.host == Host::Studio
    }

    fn models(&self, deployment: &Deployment) -> String {
        place::models(deployment)
    }

    fn failure(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        deployment: &Deployment,
        now: SystemTime,
    ) -> Error {
        let error = openai::failure(status, headers, body, deployment, now);
        failure::with_wait(error, body)
    }
}

/// An object of members that are moved into it: pictures are large.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members = members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Value::Object(members.collect())
}

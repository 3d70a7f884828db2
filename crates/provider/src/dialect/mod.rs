//! What providers speak, without I/O.
//!
//! OpenAI's dialect is passed on as it is; every other one is a [`Dialect`], which translates from
//! and to it. A new one is a module with an implementation, and a line in [`of`].

pub(crate) mod anthropic;
pub(crate) mod azure;
pub(crate) mod bedrock;
pub(crate) mod cohere;
pub(crate) mod credential;
pub(crate) mod google;
pub(crate) mod ollama;
pub(crate) mod openai;
pub(crate) mod sse;
#[cfg(test)]
pub(crate) mod trial;
pub(crate) mod voyage;

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ziggurat_core::{Deployment, Error, LlmRequest, Operation};

use crate::{
    chat::{Events, unsupported},
    tokens::TokenSource,
};

/// The dialect of a provider; `None` if it is OpenAI's.
pub(crate) fn of(provider: &str) -> Option<&'static dyn Dialect> {
    Some(match provider {
        "anthropic" => &anthropic::Anthropic,
        "bedrock" | "bedrock_converse" => &bedrock::Bedrock,
        "cohere" | "cohere_chat" => &cohere::Cohere,
        "gemini" => &google::GEMINI,
        "ollama" | "ollama_chat" => &ollama::Ollama,
        "vertex_ai" => &google::VERTEX,
        "vertex_ai_beta" => &google::VERTEX_BETA,
        "voyage" => &voyage::Voyage,
        _ => return None,
    })
}

/// The dialect of a deployment: that of its provider, unless its model has one of its own there.
pub(crate) fn of_deployment(deployment: &Deployment) -> Option<&'static dyn Dialect> {
    if azure::claude::is_claude(deployment) {
        return Some(&azure::claude::AzureClaude);
    }
    of(deployment.provider())
}

/// One call, as a dialect sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) deployment: &'a Arc<Deployment>,
    pub(crate) operation: Operation,
    /// The request, for what is not in its body.
    pub(crate) request: &'a LlmRequest,
    /// The body in OpenAI's shape, without the router's fields and with the deployment's defaults.
    pub(crate) body: &'a [u8],
    /// The provider's name of the model.
    pub(crate) model: &'a str,
    /// Whether the answer is to be a stream.
    pub(crate) streams: bool,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

/// The same with parts of its own, for another thread.
#[derive(Debug)]
pub(crate) struct OwnCall {
    deployment: Arc<Deployment>,
    operation: Operation,
    request: LlmRequest,
    body: Bytes,
    model: Box<str>,
    streams: bool,
    now: u64,
}

impl OwnCall {
    /// That call, of which the body is yet to be written.
    pub(crate) fn of(call: &Call<'_>) -> Self {
        Self {
            deployment: Arc::clone(call.deployment),
            operation: call.operation,
            request: call.request.clone(),
            body: Bytes::new(),
            model: call.model.into(),
            streams: call.streams,
            now: call.now,
        }
    }

    pub(crate) fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    pub(crate) fn with_deployment(mut self, deployment: Arc<Deployment>) -> Self {
        self.deployment = deployment;
        self
    }

    pub(crate) fn call(&self) -> Call<'_> {
        Call {
            deployment: &self.deployment,
            operation: self.operation,
            request: &self.request,
            body: &self.body,
            model: &self.model,
            streams: self.streams,
            now: self.now,
        }
    }
}

impl Call<'_> {
    /// The path of an operation, where the base URL of the deployment may hold a part of it: the
    /// version, or all.
    pub(crate) fn path(&self, version: &str, operation: &str) -> String {
        path_under(self.deployment, version, operation)
    }
}

fn path_under(deployment: &Deployment, version: &str, operation: &str) -> String {
    let base = deployment.base_url().unwrap_or_default();
    let base = base.trim().trim_end_matches('/');
    let whole = format!("{version}{operation}");
    if base.ends_with(&whole) {
        String::new()
    } else if base.ends_with(version) {
        operation.to_owned()
    } else {
        whole
    }
}

/// What is sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Behind the base URL, with its query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

/// A way to ask for answers and to give them.
pub(crate) trait Dialect: fmt::Debug + Send + Sync {
    /// Where a provider lives, where a deployment does not say it; `None` if that is not known.
    fn base(&self, deployment: &Deployment) -> Option<String>;

    /// The headers that say who asks. Those of the deployment come on top of them.
    ///
    /// # Errors
    ///
    /// If the credential cannot be sent. The message repeats nothing of it.
    fn authorization(&self, deployment: &Deployment) -> Result<HeaderMap, Error>;

    /// Where the deployment gets the tokens that are shown with each request, if it needs some.
    /// Asked once for a deployment.
    ///
    /// # Errors
    ///
    /// If the credential is of no use. The message repeats nothing of it.
    fn token(&self, deployment: &Deployment) -> Result<Option<TokenSource>, Error> {
        let _ = deployment;
        Ok(None)
    }

    /// The request in the provider's own words.
    ///
    /// # Errors
    ///
    /// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest), naming the field, if it is wrong
    /// wherever it is sent; a [refusal](unsupported::refusal) if the provider cannot take it, or does
    /// not serve the operation.
    fn request(&self, call: &Call<'_>) -> Result<Outgoing, Error>;

    /// Whether the provider serves the operation of a model in the client's own shape, where that is
    /// not OpenAI's chat. Its answers are those that [`answer`](Self::answer) and
    /// [`decoder`](Self::decoder) read.
    fn speaks(&self, operation: Operation, model: &str) -> bool {
        let _ = (operation, model);
        false
    }

    /// The request for an operation that the provider [speaks](Self::speaks). `body` is the client's
    /// own, with the provider's name of the model; that of the call is empty.
    ///
    /// # Errors
    ///
    /// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest) if it cannot be asked.
    fn native(&self, call: &Call<'_>, body: Bytes) -> Result<Outgoing, Error> {
        let _ = body;
        Err(unsupported::operation(call.request.operation()))
    }

    /// The question how many tokens a request has: one of Anthropic's shape, which is the body of
    /// the call.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    fn count(&self, call: &Call<'_>) -> Result<Outgoing, Error> {
        Err(unsupported::operation(call.operation))
    }

    /// The number in the answer to it; `None` if there is none.
    fn counted(&self, body: &[u8]) -> Option<u64> {
        let _ = body;
        None
    }

    /// A whole answer in OpenAI's shape.
    ///
    /// # Errors
    ///
    /// [`BadAnswer`](ziggurat_core::ErrorKind::BadAnswer) if it is none, or the failure that stands
    /// in its place.
    fn answer(&self, call: &Call<'_>, headers: &HeaderMap, body: &[u8]) -> Result<Bytes, Error>;

    /// What reads the stream of an answer.
    fn decoder(&self, call: &Call<'_>) -> Box<dyn Decoder>;

    /// Whether requests for any path can be passed on: those that are signed as a whole cannot.
    fn passes_paths(&self) -> bool {
        true
    }

    /// Whether the models are listed. Where they are not, nobody can tell without a call that costs
    /// whether a deployment is reached.
    fn lists_models(&self) -> bool {
        true
    }

    /// Where they are listed, under the base URL.
    fn models(&self, deployment: &Deployment) -> String {
        let _ = deployment;
        openai::MODELS.to_owned()
    }

    /// What an error answer means. Codes and words are those of one table; a dialect adds what only
    /// it knows.
    fn failure(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        deployment: &Deployment,
        now: SystemTime,
    ) -> Error {
        openai::failure(status, headers, body, deployment, now)
    }
}

/// Reads the stream of one answer, and writes it as OpenAI's events.
pub(crate) trait Decoder: fmt::Debug + Send {
    /// Takes what was read, wherever it is cut.
    ///
    /// # Errors
    ///
    /// The failure that the stream tells, or what makes it unreadable: it has ended then.
    fn read(&mut self, bytes: Bytes, out: &mut Events) -> Result<(), Error>;

    /// Takes the end of the body.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read). An end that comes too early need not be told: a stream without a
    /// finish reason is never taken for whole.
    fn finish(&mut self, out: &mut Events) -> Result<(), Error>;
}

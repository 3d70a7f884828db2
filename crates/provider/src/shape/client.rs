//! The client of a call, if it speaks another shape.

use bytes::Bytes;
use ziggurat_core::{DefaultField, Deployment, Error, LlmRequest};

use super::{Encoder, Shape};
use crate::{chat::unsupported::Fit, dialect::openai};

/// What a client that speaks another shape than OpenAI's chat sent.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    shape: &'static dyn Shape,
    body: Bytes,
    /// What its body does not say: the first members of one, as JSON.
    beside: Option<String>,
}

impl Client {
    /// The client of that request to a model; `None` if it speaks OpenAI's dialect.
    pub(crate) fn of(request: &LlmRequest, model: &str) -> Option<Self> {
        let shape = super::of(request.operation())?;
        let beside = shape.is_named_beside().then(|| {
            let model = serde_json::Value::from(model);
            format!(r#"{{"model":{model},"stream":{},"#, request.is_stream())
        });
        Some(Self {
            shape,
            body: request.body().clone(),
            beside,
        })
    }

    /// The client of a request in OpenAI's own words, for which another dialect has only those of
    /// conversations.
    pub(crate) fn over_chat(request: &LlmRequest) -> Option<Self> {
        let shape = super::over_chat(request.operation())?;
        Some(Self {
            shape,
            body: request.body().clone(),
            beside: None,
        })
    }

    /// Its body, with what the deployment puts into requests, as OpenAI's chat.
    ///
    /// # Errors
    ///
    /// As [`Shape::to_chat`].
    pub(crate) fn to_chat(&self, body: &[u8], deployment: &Deployment) -> Result<Vec<u8>, Error> {
        let fit = Fit::of(deployment);
        let Some(beside) = &self.beside else {
            return self.shape.to_chat(body, fit);
        };
        // It is an object, and not an empty one.
        let members = body.trim_ascii_start().strip_prefix(b"{").unwrap_or(body);
        let whole = [beside.as_bytes(), members].concat();
        self.shape.to_chat(&whole, fit)
    }

    /// The same for a provider that speaks OpenAI's dialect.
    ///
    /// # Errors
    ///
    /// As [`Shape::to_chat`], and for what the provider does not know.
    pub(crate) fn to_openai(
        &self,
        body: &[u8],
        deployment: &Deployment,
        asks_usage: bool,
    ) -> Result<Bytes, Error> {
        let chat = self.to_chat(body, deployment)?;
        openai::fitted(&chat, deployment, asks_usage).map(Bytes::from)
    }

    /// Those fields of a deployment that its shape knows.
    pub(crate) fn known(&self, defaults: &[DefaultField]) -> Vec<DefaultField> {
        let known = defaults
            .iter()
            .filter(|field| self.shape.knows(field.name()));
        known.cloned().collect()
    }

    /// The answer as the client knows it.
    ///
    /// # Errors
    ///
    /// As [`Shape::answer`].
    pub(crate) fn answer(&self, chat: &[u8]) -> Result<Bytes, Error> {
        self.shape.answer(&self.body, chat)
    }

    /// What writes a stream as the client knows it.
    pub(crate) fn encoder(&self) -> Box<dyn Encoder> {
        self.shape.encoder(&self.body)
    }

    /// The event with which a stream of its shape ends.
    pub(crate) fn last_event(&self) -> &'static [u8] {
        self.shape.last_event()
    }
}

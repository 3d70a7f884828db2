//! The client of a call, if it speaks another shape.

use bytes::Bytes;
use ziggurat_core::{DefaultField, Deployment, Error, LlmRequest};

use super::{Encoder, Shape};
use crate::dialect::openai;

/// What a client that speaks another shape than OpenAI's chat sent.
#[derive(Debug)]
pub(crate) struct Client {
    shape: &'static dyn Shape,
    body: Bytes,
}

impl Client {
    /// The client of that request; `None` if it speaks OpenAI's dialect.
    pub(crate) fn of(request: &LlmRequest) -> Option<Self> {
        let shape = super::of(request.operation())?;
        let body = request.body().clone();
        Some(Self { shape, body })
    }

    /// Its body, with what the deployment puts into requests, as OpenAI's chat.
    ///
    /// # Errors
    ///
    /// As [`Shape::to_chat`].
    pub(crate) fn to_chat(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        self.shape.to_chat(body)
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
        let chat = self.shape.to_chat(body)?;
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

//! The methods of a client, on the router.

use std::num::NonZeroUsize;

use futures_core::Stream;
use serde::Serialize;
use ziggurat_core::{Error, LlmRequest, LlmResponse, Operation};

use super::{
    Answer, ChatAnswer, ChatStream, Client, Completion, Embeddings, Events, Form, Images,
    ModelMessage, ModelResponse, Moderation, Ranking, Reply, Speech, Transcription,
};
use crate::Router;

/// To ask: each is the method of [`Client`] of that name.
impl Router {
    /// A client of this router, for what takes a [`Client`]. The router itself has its methods.
    #[must_use]
    pub fn client(&self) -> Client<Self> {
        Client::new(self.clone())
    }

    /// [`Client::send`]
    pub async fn send(&self, request: LlmRequest) -> Result<LlmResponse, Error> {
        self.client().send(request).await
    }

    /// [`Client::send_as`]
    pub async fn send_as<T: Reply>(&self, request: LlmRequest) -> Result<Answer<T>, Error> {
        self.client().send_as(request).await
    }

    /// [`Client::ask`]
    pub async fn ask<T: Reply>(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Answer<T>, Error> {
        self.client().ask(request).await
    }

    /// [`Client::events`]
    pub async fn events(
        &self,
        operation: Operation,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Events, Error> {
        self.client().events(operation, request).await
    }

    /// [`Client::chat`]
    pub async fn chat(&self, request: &(impl Serialize + ?Sized)) -> Result<ChatAnswer, Error> {
        self.client().chat(request).await
    }

    /// [`Client::chat_stream`]
    pub async fn chat_stream(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<ChatStream, Error> {
        self.client().chat_stream(request).await
    }

    /// [`Client::complete`]
    pub async fn complete(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Answer<Completion>, Error> {
        self.client().complete(request).await
    }

    /// [`Client::embed`]
    pub async fn embed(
        &self,
        model: &str,
        input: impl Serialize,
    ) -> Result<Answer<Embeddings>, Error> {
        self.client().embed(model, input).await
    }

    /// [`Client::images`]
    pub async fn images(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Answer<Images>, Error> {
        self.client().images(request).await
    }

    /// [`Client::edit_image`]
    pub async fn edit_image(&self, form: &Form) -> Result<Answer<Images>, Error> {
        self.client().edit_image(form).await
    }

    /// [`Client::speech`]
    pub async fn speech(&self, request: &(impl Serialize + ?Sized)) -> Result<Speech, Error> {
        self.client().speech(request).await
    }

    /// [`Client::transcribe`]
    pub async fn transcribe(&self, form: &Form) -> Result<Answer<Transcription>, Error> {
        self.client().transcribe(form).await
    }

    /// [`Client::translate`]
    pub async fn translate(&self, form: &Form) -> Result<Answer<Transcription>, Error> {
        self.client().translate(form).await
    }

    /// [`Client::moderate`]
    pub async fn moderate(
        &self,
        model: &str,
        input: impl Serialize,
    ) -> Result<Answer<Moderation>, Error> {
        self.client().moderate(model, input).await
    }

    /// [`Client::rerank`]
    pub async fn rerank(
        &self,
        model: &str,
        query: &str,
        documents: impl Serialize,
    ) -> Result<Answer<Ranking>, Error> {
        self.client().rerank(model, query, documents).await
    }

    /// [`Client::responses`]
    pub async fn responses(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Answer<ModelResponse>, Error> {
        self.client().responses(request).await
    }

    /// [`Client::messages`]
    pub async fn messages(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Answer<ModelMessage>, Error> {
        self.client().messages(request).await
    }

    /// [`Client::many`]
    pub fn many<T, I>(
        &self,
        requests: I,
        at_a_time: NonZeroUsize,
    ) -> impl Stream<Item = Result<Answer<T>, Error>> + use<T, I>
    where
        T: Reply,
        I: IntoIterator,
        I::Item: Serialize,
    {
        self.client().many(requests, at_a_time)
    }

    /// [`Client::each_group`]
    pub async fn each_group<T: Reply, G: AsRef<str>>(
        &self,
        request: &(impl Serialize + ?Sized),
        groups: impl IntoIterator<Item = G>,
    ) -> Vec<(G, Result<Answer<T>, Error>)> {
        self.client().each_group(request, groups).await
    }

    /// [`Client::fastest`]
    pub async fn fastest<T: Reply>(
        &self,
        request: &(impl Serialize + ?Sized),
        groups: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Answer<T>, Error> {
        self.client().fastest(request, groups).await
    }

    /// [`Client::fastest_stream`]
    pub async fn fastest_stream(
        &self,
        request: &(impl Serialize + ?Sized),
        groups: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<ChatStream, Error> {
        self.client().fastest_stream(request, groups).await
    }
}

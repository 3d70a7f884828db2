//! Completions of a text.

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse, Operation};

use super::{Answer, Client, Reply, read_json};

/// What a completion says.
#[derive(Clone, Debug, Deserialize)]
pub struct Completion {
    choices: Vec<CompletionChoice>,
}

/// One of the completions that were asked for.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct CompletionChoice {
    /// Which of them.
    #[serde(default)]
    pub index: u64,
    /// The text.
    pub text: String,
    /// Why it ends: `stop`, `length`, …
    pub finish_reason: Option<String>,
}

impl Completion {
    /// The text of the first; empty if there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        self.choices.first().map_or("", |choice| &choice.text)
    }

    /// All of the completions that were asked for.
    #[must_use]
    pub fn choices(&self) -> &[CompletionChoice] {
        &self.choices
    }
}

impl Reply for Completion {
    const OPERATION: Operation = Operation::Completions;

    fn read(body: &Bytes, _: &HeaderMap) -> Result<Self, Error> {
        read_json(body)
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Asks for the completion of a text.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    pub async fn complete(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Answer<Completion>, Error> {
        self.ask(request).await
    }
}

//! Chat completions.

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse, Operation};

use super::{Answer, ChatMessage, Client, Reply, ToolCall, read_json, unreadable};

/// The answer to a chat.
pub type ChatAnswer = Answer<Chat>;

/// What the answer to a chat says. There is one choice at least, and its methods are those of the
/// first.
#[derive(Clone, Debug)]
pub struct Chat {
    id: Option<String>,
    model: Option<String>,
    first: Choice,
    others: Vec<Choice>,
}

/// One of the answers that were asked for.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Choice {
    /// Which of them.
    #[serde(default)]
    pub index: u64,
    /// What the model says.
    #[serde(default)]
    pub message: ChatMessage,
    /// Why it ends: `stop`, `length`, `tool_calls`, `content_filter`, …
    pub finish_reason: Option<String>,
}

impl Chat {
    /// The text; empty if there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        self.message().text()
    }

    /// The tools that are to be called.
    #[must_use]
    pub fn tool_calls(&self) -> &[ToolCall] {
        self.message().tool_calls()
    }

    /// What the model thought, as far as it says so.
    #[must_use]
    pub fn reasoning(&self) -> Option<&str> {
        self.message().reasoning()
    }

    /// Why the model declines.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.message().refusal()
    }

    /// Why the answer ends: `stop`, `length`, `tool_calls`, `content_filter`, …
    #[must_use]
    pub fn finish_reason(&self) -> Option<&str> {
        self.first.finish_reason.as_deref()
    }

    /// The text as JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`](ziggurat_core::ErrorKind::BadAnswer) if it is not; its source is a
    /// [`NotJson`](super::NotJson), which keeps the text.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.message().parse()
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &ChatMessage {
        &self.first.message
    }

    /// All of the answers that were asked for.
    pub fn choices(&self) -> impl Iterator<Item = &Choice> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The provider's id of the answer.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The model, as the provider names it.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }
}

impl Reply for Chat {
    const OPERATION: Operation = Operation::ChatCompletions;

    fn read(body: &Bytes, _: &HeaderMap) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Body {
            id: Option<String>,
            model: Option<String>,
            choices: Option<Vec<Choice>>,
        }
        let body: Body = read_json(body)?;
        let mut choices = body.choices.into_iter().flatten();
        Ok(Self {
            id: body.id,
            model: body.model,
            first: choices
                .next()
                .ok_or_else(|| unreadable(&"it has no `choices`"))?,
            others: choices.collect(),
        })
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Asks for a chat completion, with a [`ChatRequest`](super::ChatRequest) or anything that
    /// serialises to one.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    pub async fn chat(&self, request: &(impl Serialize + ?Sized)) -> Result<ChatAnswer, Error> {
        self.ask(request).await
    }
}

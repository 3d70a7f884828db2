//! Answers in the shape of Anthropic's Messages.

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse, Operation};

use super::{Answer, Client, Reply, ToolCall, read_json};

/// An answer in the shape of Anthropic's Messages.
#[derive(Clone, Debug, Deserialize)]
pub struct ModelMessage {
    content: Vec<Value>,
    #[serde(default)]
    stop_reason: Option<String>,
}

impl ModelMessage {
    /// The blocks, as they came.
    #[must_use]
    pub fn content(&self) -> &[Value] {
        &self.content
    }

    /// The text of all blocks.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.of_type("text");
        texts.filter_map(|block| block["text"].as_str()).collect()
    }

    /// The tools that are to be called.
    #[must_use]
    pub fn tool_calls(&self) -> Vec<ToolCall> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let call = |block: &Value| ToolCall {
            id: text(&block["id"]),
            name: text(&block["name"]),
            arguments: block["input"].to_string(),
        };
        self.of_type("tool_use").map(call).collect()
    }

    /// Why it ends: `end_turn`, `max_tokens`, `tool_use`, …
    #[must_use]
    pub fn stop_reason(&self) -> Option<&str> {
        self.stop_reason.as_deref()
    }

    fn of_type(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.content
            .iter()
            .filter(move |block| block["type"] == kind)
    }
}

impl Reply for ModelMessage {
    const OPERATION: Operation = Operation::Messages;

    fn read(body: &Bytes, _: &HeaderMap) -> Result<Self, Error> {
        read_json(body)
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Asks in the shape of Anthropic's Messages, of any provider. For a stream there is
    /// [`events`](Self::events).
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    pub async fn messages(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Answer<ModelMessage>, Error> {
        self.ask(request).await
    }
}

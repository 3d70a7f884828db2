//! Answers in the shape of OpenAI's Responses.

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse, Operation};

use super::{Answer, Client, Reply, ToolCall, collected::list, read_json};

/// An answer in the shape of OpenAI's Responses.
#[derive(Clone, Debug, Deserialize)]
pub struct ModelResponse {
    id: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    output: Vec<Value>,
}

impl ModelResponse {
    /// What a later request names to go on from here.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `completed`, `incomplete`, `in_progress`, …
    #[must_use]
    pub fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    /// The items, as they came.
    #[must_use]
    pub fn output(&self) -> &[Value] {
        &self.output
    }

    /// The text of all messages.
    #[must_use]
    pub fn text(&self) -> String {
        let messages = self.output.iter().filter(|item| item["type"] == "message");
        let parts = messages.flat_map(|message| list(message.get("content")));
        let texts = parts.filter(|part| part["type"] == "output_text");
        texts.filter_map(|part| part["text"].as_str()).collect()
    }

    /// The functions that are to be called.
    #[must_use]
    pub fn tool_calls(&self) -> Vec<ToolCall> {
        let calls = self
            .output
            .iter()
            .filter(|item| item["type"] == "function_call");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let call = |item: &Value| ToolCall {
            id: text(&item["call_id"]),
            name: text(&item["name"]),
            arguments: text(&item["arguments"]),
        };
        calls.map(call).collect()
    }
}

impl Reply for ModelResponse {
    const OPERATION: Operation = Operation::Responses;

    fn read(body: &Bytes, _: &HeaderMap) -> Result<Self, Error> {
        read_json(body)
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Asks in the shape of OpenAI's Responses, of any provider. For a stream there is
    /// [`events`](Self::events).
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    pub async fn responses(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Answer<ModelResponse>, Error> {
        self.ask(request).await
    }
}

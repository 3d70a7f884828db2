//! Chat completions that come piece by piece.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt as _;
use http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value};
use tower_service::Service;
use ziggurat_core::{
    Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Operation, Trail, Usage,
};

use super::{
    Answer, ChatAnswer, Client, Event, Events,
    collected::{Collected, list},
    message::text_of,
};

/// A piece of an answer to a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChatDelta {
    /// Which of the answers that were asked for.
    pub index: u64,
    /// More of the text; empty if there is none.
    pub text: String,
    /// More of what the model thinks; empty if there is none.
    pub reasoning: String,
    /// More of why the model declines; empty if there is none.
    pub refusal: String,
    /// More of the tools that are to be called.
    pub tool_calls: Vec<ToolCallPart>,
    /// Why the answer ends, with its last piece.
    pub finish_reason: Option<String>,
}

/// A piece of a call of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCallPart {
    /// Which of the calls.
    pub index: u64,
    /// What the result is to name: with the first piece.
    pub id: Option<String>,
    /// The tool: with the first piece.
    pub name: Option<String>,
    /// More of the arguments; empty if there are none.
    pub arguments: String,
}

/// An answer to a chat that comes piece by piece.
///
/// It begins with the first content: before that, another deployment can still have answered.
/// Dropping it hangs up. What it used is known at its end, by [`usage`](Self::usage).
///
/// It keeps what has come, so that [`into_answer`](Self::into_answer) has all of it.
#[derive(Debug)]
pub struct ChatStream {
    events: Events,
    deltas: VecDeque<ChatDelta>,
    collected: Collected,
    /// Why it is no whole answer.
    failed: Option<Error>,
}

impl ChatStream {
    fn new(events: Events) -> Self {
        Self {
            events,
            deltas: VecDeque::new(),
            collected: Collected::default(),
            failed: None,
        }
    }

    /// The text alone, of the first choice.
    #[must_use]
    pub fn text(self) -> TextStream {
        TextStream { stream: self }
    }

    /// All of the answer, what has been read already included.
    ///
    /// # Errors
    ///
    /// That of the stream, if it breaks or has broken.
    pub async fn into_answer(mut self) -> Result<ChatAnswer, Error> {
        while let Some(delta) = self.next().await {
            delta?;
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        let usage = self.usage().copied();
        let body = Bytes::from(self.collected.into_json().to_string());
        Answer::read(body, usage, self.events.into_served())
    }

    /// What the answer used, if that is known yet.
    #[must_use]
    pub fn usage(&self) -> Option<&Usage> {
        self.events.usage()
    }

    /// The deployment that serves it; `None` if the service keeps no account.
    #[must_use]
    pub fn deployment(&self) -> Option<Arc<Deployment>> {
        self.events.deployment()
    }

    /// The attempts that were made for it, in order.
    #[must_use]
    pub fn trail(&self) -> Trail {
        self.events.trail()
    }

    /// The headers that came with it.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.events.headers()
    }

    fn read(&mut self, event: &Event) -> Result<(), Error> {
        if event.data == "[DONE]" {
            return Ok(());
        }
        let chunk: Map<String, Value> = event.json()?;
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            let message = error["message"].as_str().or(error.as_str());
            let message = message.unwrap_or("the stream broke").to_owned();
            return Err(Error::new(ErrorKind::StreamBroken, message).with_replayable(false));
        }
        self.collected.add(&chunk, event.data.len())?;
        let deltas = list(chunk.get("choices")).map(ChatDelta::of);
        self.deltas.extend(deltas.filter(|delta| !delta.is_empty()));
        Ok(())
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatDelta, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(delta) = this.deltas.pop_front() {
                return Poll::Ready(Some(Ok(delta)));
            }
            let Some(event) = ready!(Pin::new(&mut this.events).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            if let Err(error) = event.and_then(|event| this.read(&event)) {
                this.events.hang_up();
                this.failed = Some(error.duplicate());
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl ChatDelta {
    fn of(choice: &Value) -> Self {
        let delta = &choice["delta"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let reasoning = text(&delta["reasoning_content"]).or_else(|| text(&delta["reasoning"]));
        Self {
            index: choice["index"].as_u64().unwrap_or_default(),
            text: text_of(&delta["content"]),
            reasoning: reasoning.unwrap_or_default(),
            refusal: text(&delta["refusal"]).unwrap_or_default(),
            tool_calls: list(delta.get("tool_calls"))
                .map(ToolCallPart::of)
                .collect(),
            finish_reason: text(&choice["finish_reason"]),
        }
    }

    /// Whether it says nothing: a role alone.
    fn is_empty(&self) -> bool {
        let nothing = Self {
            index: self.index,
            ..Self::default()
        };
        *self == nothing
    }
}

impl ToolCallPart {
    fn of(call: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let called = &call["function"];
        Self {
            index: call["index"].as_u64().unwrap_or_default(),
            id: text(&call["id"]),
            name: text(&called["name"]),
            arguments: text(&called["arguments"]).unwrap_or_default(),
        }
    }
}

/// The text of a [`ChatStream`].
#[derive(Debug)]
pub struct TextStream {
    stream: ChatStream,
}

impl TextStream {
    /// The stream, to ask what it used or for the whole of it.
    #[must_use]
    pub fn into_inner(self) -> ChatStream {
        self.stream
    }
}

impl Stream for TextStream {
    type Item = Result<String, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.stream.poll_next_unpin(cx)) {
                Some(Ok(delta)) if delta.index > 0 || delta.text.is_empty() => {}
                Some(delta) => return Poll::Ready(Some(delta.map(|delta| delta.text))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Asks for a chat completion that comes piece by piece; sets `stream` in the request, and asks
    /// for usage.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask), until the first content has come; later ones are the stream's.
    pub async fn chat_stream(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<ChatStream, Error> {
        let events = self.events(Operation::ChatCompletions, request).await?;
        Ok(ChatStream::new(events))
    }

    pub(super) async fn send_for_chat(&self, request: LlmRequest) -> Result<ChatStream, Error> {
        Ok(ChatStream::new(self.send_for_events(request).await?))
    }
}

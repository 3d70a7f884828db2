//! Asks a stack, and reads its answers.
//!
//! [`Client`] works over any service of [`LlmRequest`]s: a [`Router`](crate::Router), a stack of your
//! own, one layer over a leaf. A router has its methods, too.
//!
//! A request is anything that serialises to the JSON of its operation: [`ChatRequest`], a
//! `serde_json::Value`, or the types of another crate. An answer is an [`Answer`]: typed by the
//! operation it belongs to, and with all that came beside it.
//!
//! ```
//! use serde_json::json;
//! use tower::service_fn;
//! use ziggurat::{
//!     ChatRequest, Client, Error, LlmRequest, LlmResponse, Usage,
//!     client::{Chat, NotJson},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! // In real life: a `Router`, or a stack out of a `ServiceBuilder`.
//! let client = Client::new(service_fn(async |_: LlmRequest| {
//!     let body = json!({"choices": [{"message": {"content": "{\"town\": \"Ur\"}"}, "finish_reason": "stop"}]});
//!     Ok::<_, Error>(LlmResponse::complete(body.to_string(), Some(Usage::new(9, 5))))
//! }));
//!
//! let request = ChatRequest::new("gpt").system("Answer with JSON.").user("Where did it stand?");
//! let answer = client.chat(&request).await?;
//! assert_eq!(answer.text(), r#"{"town": "Ur"}"#);
//! assert_eq!(answer.finish_reason(), Some("stop"));
//! assert_eq!(answer.usage().map(Usage::total), Some(14));
//!
//! #[derive(serde::Deserialize)]
//! struct Place {
//!     town: String,
//! }
//! assert_eq!(answer.parse::<Place>()?.town, "Ur");
//! let error = answer.parse::<u8>().expect_err("is no number");
//! assert_eq!(NotJson::of(&error).map(NotJson::text), Some(answer.text()));
//!
//! // The same for every operation: `Chat` says how the request is sent and the answer is read.
//! let body = json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}]});
//! assert!(client.ask::<Chat>(&body).await?.text().contains("Ur"));
//! # Ok(())
//! # }
//! ```
//!
//! # What belongs to the request and not to its body
//!
//! Who asks, a session, tags: what an application adds to a [`LlmRequest`] is added on the way, by
//! Tower's own `map_request`.
//!
//! ```
//! use tower::{ServiceExt as _, service_fn};
//! use ziggurat::{Caller, ChatRequest, Client, Error, LlmRequest, LlmResponse};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! # let stack = service_fn(async |request: LlmRequest| {
//! #     assert!(request.caller().is_some());
//! #     Ok::<_, Error>(LlmResponse::complete(r#"{"choices":[{"message":{"content":"hi"}}]}"#, None))
//! # });
//! let caller = Caller::default();
//! let client = Client::new(stack.map_request(move |request: LlmRequest| request.with_caller(caller.clone())));
//! client.chat(&ChatRequest::new("gpt").user("hi")).await?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod batch;
mod chat;
mod chat_request;
mod chat_stream;
mod collected;
mod completion;
mod embeddings;
mod events;
mod form;
mod images;
mod message;
mod messages;
mod moderation;
mod not_json;
mod ranking;
mod responses;
#[cfg(feature = "router")]
mod router;
mod speech;
mod transcription;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;
use tower_service::Service;
use ziggurat_core::{
    Error, ErrorKind, HasLedger as _, Ledger, LlmRequest, LlmResponse, Operation, Usage,
};

use self::answer::Served;
pub use self::{
    answer::{Answer, Reply},
    batch::NoneAnswered,
    chat::{Chat, ChatAnswer, Choice},
    chat_request::ChatRequest,
    chat_stream::{ChatDelta, ChatStream, TextStream, ToolCallPart},
    completion::{Completion, CompletionChoice},
    embeddings::Embeddings,
    events::{Event, Events},
    form::Form,
    images::{Image, Images},
    message::{ChatMessage, ToolCall},
    messages::ModelMessage,
    moderation::{Moderated, Moderation},
    not_json::NotJson,
    ranking::{Ranked, Ranking},
    responses::ModelResponse,
    speech::Speech,
    transcription::Transcription,
};

/// The longest answer that is read whole, in bytes.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// Asks a service, and reads its answers.
///
/// It is as cheap to clone as the service: each request is sent through a clone of it.
#[derive(Clone, Debug)]
pub struct Client<S> {
    service: S,
}

impl<S> Client<S> {
    /// A client of that service.
    pub const fn new(service: S) -> Self {
        Self { service }
    }

    /// The service.
    pub const fn get_ref(&self) -> &S {
        &self.service
    }

    /// The service.
    pub fn into_inner(self) -> S {
        self.service
    }
}

impl<S> Client<S>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    /// Sends a request, whatever its operation, and gives its answer as it is.
    ///
    /// # Errors
    ///
    /// Those of the service.
    pub async fn send(&self, request: LlmRequest) -> Result<LlmResponse, Error> {
        let sent = self.service.clone().oneshot(request);
        sent.await.map_err(Into::into)
    }

    /// Sends a request, and reads the answer as a `T`.
    ///
    /// # Errors
    ///
    /// Those of the service; [`ErrorKind::BadRequest`] if the request asks for a stream;
    /// [`ErrorKind::BadAnswer`] if the answer cannot be read or is longer than 256 MiB.
    pub async fn send_as<T: Reply>(&self, request: LlmRequest) -> Result<Answer<T>, Error> {
        if request.is_stream() && request.operation().can_stream() {
            let message = "`stream` must be false for an answer that is read as a whole";
            return Err(Error::new(ErrorKind::BadRequest, message).with_param("stream"));
        }
        let (response, served) = self.serve(request).await?;
        let (body, usage) = whole(response).await?;
        Answer::read(body, usage, served)
    }

    /// Asks for a `T`, with anything that serialises to the JSON of its operation.
    ///
    /// # Errors
    ///
    /// Those of [`send_as`](Self::send_as), and [`ErrorKind::BadRequest`], saying what and where, if
    /// the request cannot be serialised or names no model.
    pub async fn ask<T: Reply>(
        &self,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Answer<T>, Error> {
        self.send_as(to_request(T::OPERATION, request)?).await
    }

    /// Asks for an answer that is a stream of events, and sets `stream` in the request.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Self::ask).
    pub async fn events(
        &self,
        operation: Operation,
        request: &(impl Serialize + ?Sized),
    ) -> Result<Events, Error> {
        self.send_for_events(to_streaming(operation, request)?)
            .await
    }

    async fn send_for_events(&self, request: LlmRequest) -> Result<Events, Error> {
        let (response, served) = self.serve(request).await?;
        if !response.is_stream() {
            let message = "the answer is no stream";
            return Err(Error::new(ErrorKind::BadAnswer, message));
        }
        Ok(Events::new(response.into_parts().1, served))
    }

    /// Sends a request, and keeps the account of it.
    async fn serve(&self, request: LlmRequest) -> Result<(LlmResponse, Served), Error> {
        let request = match request.ledger() {
            // One that was sent before begins anew.
            Some(ledger) if ledger.attempts() > 0 => request.with_ledger(Ledger::new()),
            _ => request,
        };
        let ledger = request.ledger().cloned();
        let mut response = self.send(request).await?;
        let served = Served::new(&mut response, ledger);
        Ok((response, served))
    }
}

fn to_request(
    operation: Operation,
    request: &(impl Serialize + ?Sized),
) -> Result<LlmRequest, Error> {
    LlmRequest::from_value(operation, &request)
}

/// The same for an answer that is streamed, with its usage at the end.
fn to_streaming(
    operation: Operation,
    request: &(impl Serialize + ?Sized),
) -> Result<LlmRequest, Error> {
    let refused = |error: serde_json::Error| {
        let message = format!("cannot be serialised to an object: {error}");
        Error::new(ErrorKind::BadRequest, message)
    };
    // By way of its text, in which numbers stay as short as they are.
    let text = serde_json::to_vec(request).map_err(refused)?;
    let mut body: Map<String, Value> = serde_json::from_slice(&text).map_err(refused)?;
    body.insert("stream".to_owned(), true.into());
    if matches!(
        operation,
        Operation::ChatCompletions | Operation::Completions
    ) {
        let options = body.entry("stream_options").or_insert(Value::Null);
        if options.is_null() {
            *options = json!({"include_usage": true});
        }
    }
    LlmRequest::from_value(operation, &body)
}

/// All of an answer, though it may come in pieces.
async fn whole(response: LlmResponse) -> Result<(Bytes, Option<Usage>), Error> {
    let usage = response.usage().copied();
    let response = match response.into_complete() {
        Ok((_, body)) => return Ok((body, usage)),
        Err(response) => response,
    };
    let (_, mut items) = response.into_parts();
    let mut body = BytesMut::new();
    while let Some(item) = items.next().await {
        body.extend_from_slice(&item?.bytes);
        bounded(body.len())?;
    }
    Ok((body.freeze(), items.usage().copied()))
}

fn bounded(length: usize) -> Result<(), Error> {
    if length > MAX_ANSWER {
        let message = format!("the answer is longer than {MAX_ANSWER} bytes");
        return Err(Error::new(ErrorKind::BadAnswer, message));
    }
    Ok(())
}

/// Reads a body that is JSON.
fn read_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    let message = format!("the answer cannot be read: {error}");
    Error::new(ErrorKind::BadAnswer, message)
}

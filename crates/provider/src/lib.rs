//! Calls LLM providers over HTTP: the leaf of the stack.
//!
//! [`LlmService`] takes a request that was routed to a deployment, sends the client's own bytes with
//! the deployment's model, address and credential, and gives back the provider's own bytes. On the
//! way it makes sure that a success is one:
//!
//! - A whole answer holds choices (or embeddings, images, a transcript, …), and content or spent
//!   tokens; a page of HTML, an error in the place of an answer or nothing at all is a failure. A
//!   deployment
//!   [whose every answer counts](ziggurat_core::Deployment::with_any_answer) fails only with an
//!   error.
//! - A stream resolves with its first content, so whatever fails before it fails the call. A stream
//!   that ends without a finish reason ends with an error; a broken event is left out; a role that
//!   is said again is left out; a missing `[DONE]` is added. One of a transcript, of speech or of
//!   images passes byte for byte, and is whole with its `done` or `completed` event.
//! - Speech that is no event stream begins with its first byte and is passed on as it comes, with its
//!   content type; so is the content type of a transcript in plain text.
//! - Arguments of a tool call that end in the middle of their JSON are a failure, unless the finish
//!   reason explains it. Wrong ones are what the model said.
//! - An answer that declines is one, unless
//!   [another group could answer](ziggurat_core::Ledger::set_takes_refusals): then it fails with the
//!   provider's words. A streamed refusal is held until it ends, so that all its words are known,
//!   or until there is content after all.
//! - What a provider says it used is exact, on whatever event it rides. It is asked for at the end
//!   of every stream, and not shown to a client that did not ask.
//! - An error answer becomes the [`ErrorKind`](ziggurat_core::ErrorKind) that its status, code and
//!   words mean, with the provider's message and the wait that it asks for. It is read for at most
//!   five seconds. A credential that a provider repeats is blotted out.
//!
//! Two things for those above it: [`OpenAiTranscripts`] knows how another deployment goes on with a
//! stream that broke, and [`LlmService::probe`] asks whether a deployment can be reached at all.
//!
//! OpenAI's dialect is spoken, and so by the many servers that follow it: chat completions,
//! completions, embeddings, images, audio and moderation. A form is sent as it came, files uncopied.
//!
//! # Example
//!
//! A client that needs no network; [`LlmService::new`] makes one that does.
//!
//! ```
//! use std::{convert::Infallible, sync::Arc};
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceExt, service_fn};
//! use ziggurat_core::{Deployment, LlmRequest, Routed, Secret, Usage};
//! use ziggurat_provider::{LlmService, RequestBody};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ziggurat_core::Error> {
//! let client = service_fn(|request: Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "https://api.openai.com/v1/chat/completions");
//!     assert_eq!(request.headers()["authorization"], "Bearer sk-1");
//!     let answer = r#"{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}],
//!         "usage":{"prompt_tokens":10,"completion_tokens":5}}"#;
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(answer)))
//! });
//!
//! let deployment = Deployment::new("a", "gpt", "gpt-4o-mini").with_credential(Secret::new("sk-1"));
//! ziggurat_provider::check(&deployment)?;
//! let request = Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment));
//! let response = LlmService::with_client(client).oneshot(request).await?;
//! assert_eq!(response.usage(), Some(&Usage::new(10, 5)));
//! # Ok(())
//! # }
//! ```
//!
//! # HTTP clients
//!
//! Any `Service` of HTTP requests is one. [`ReqwestClient`] follows the proxies of the environment;
//! [`HyperClient`] is faster. Neither retries, follows redirects, or limits the time of a body: a
//! call is one dispatch, and how long it may take is for the timeout layer to say. Both give up
//! making a connection after [`TransportConfig::with_connect_timeout`].

mod body;
mod chat;
mod chunks;
mod count_tokens;
mod dialect;
mod embed;
mod endpoint;
mod exchange;
#[cfg(test)]
mod fixtures;
mod future;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod media;
mod minted;
mod native;
mod outgoing;
mod pass_through;
mod probe;
mod reader;
pub mod realtime;
mod rerank;
mod retry_after;
mod secrets;
mod service;
mod shape;
mod sse;
mod stream;
mod tokens;
mod transport;

/// What clients of Google's shape are told besides answers.
pub mod generate {
    pub use crate::shape::generate::{error_event, error_json};
}

/// What clients of Anthropic's shape are told besides answers.
pub mod messages {
    pub use crate::shape::messages::{ClientBetas, error_event, error_json};
}

/// What clients of Responses are told besides answers.
pub mod responses {
    pub use crate::shape::responses::error_event;
}

pub use self::{
    dialect::openai::{OpenAiTranscript, OpenAiTranscripts},
    future::{ProbeFuture, ResponseFuture},
    outgoing::RequestBody,
    probe::{Probe, Probed},
    service::{LlmService, check},
    transport::{HyperClient, ReqwestClient, TransportConfig},
};

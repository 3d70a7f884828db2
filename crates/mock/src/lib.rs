//! Plays failures and answers of deployments, so that a configuration can be tested without its
//! providers: [`MockFailureLayer`] and [`MockAnswerLayer`].
//!
//! *Pass-through*, all of it: a request that asks for nothing pays for a look at it. Whether a client
//! may ask is for the edge to say; what is asked for stands in [`Mocks`](ziggurat_core::Mocks).
//!
//! | layer | its place | what it plays |
//! | --- | --- | --- |
//! | [`MockFailureLayer::group`] | between fallback and retry | the requested group fails, in one of three ways; groups that it falls back to are served |
//! | [`MockFailureLayer::attempt`] | between retry and the balancer | the first try in the requested group is throttled; the next is served |
//! | [`MockAnswerLayer`] | right above the leaf | a deployment answers with a text, or fails, or is silent until a clock of the attempt runs out |
//!
//! What fails above the balancer is no attempt, and none is charged: no deployment was chosen. What
//! is played in the place of the leaf is one, as it is one for every layer between.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{
//!     Deployment, Error, ErrorKind, HasLedger, Ledger, LlmRequest, LlmResponse, Operation, Routed,
//! };
//! use ziggurat_mock::{MockAnswerLayer, MockFailureLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let deployment = Arc::new(Deployment::new("a", "gpt", "gpt-4o").with_mock_response("hello"));
//! let service = ServiceBuilder::new()
//!     .layer(MockFailureLayer::group())
//!     // The balancer's place.
//!     .map_request(move |request| Routed::new(request, Arc::clone(&deployment)))
//!     .layer(MockAnswerLayer::new())
//!     .service(service_fn(async |_: Routed<LlmRequest>| {
//!         Err::<LlmResponse, _>(Error::new(ErrorKind::Connect, "there is no provider"))
//!     }));
//!
//! let response = service.clone().oneshot(LlmRequest::chat("gpt", "hi")).await?;
//! let answer = response.bytes().map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
//! assert!(answer.contains(r#""content":"hello""#));
//!
//! let body = r#"{"model": "gpt", "messages": [], "mock_testing_fallbacks": true}"#;
//! let request = LlmRequest::from_bytes(Operation::ChatCompletions, body)?;
//! let error = service.clone().oneshot(request.clone()).await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Internal);
//!
//! // What the fallback layer does next.
//! request.ledger().map(Ledger::note_fallback);
//! assert!(service.oneshot(request).await.is_ok());
//! # Ok(())
//! # }
//! ```

mod answer;
mod embedding;
mod events;
mod failures;
pub mod future;
mod layer;
mod service;
mod text;

pub use self::{
    answer::is_played,
    failures::Failures,
    layer::{MockAnswerLayer, MockFailureLayer},
    service::{MockAnswer, MockFailure},
};

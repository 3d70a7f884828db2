//! Chooses the model group of a request before it is routed: [`AutoRouteLayer`].
//!
//! *Pass-through.* A [`Chooser`] looks at the request and may name another group than the one the
//! client asked for; the layer sends the request there and writes the reason into its
//! [`Ledger`](ziggurat_core::Ledger::route), for the client to see. It stands above the fallbacks: if
//! the chosen group fails, the fallbacks of that group are next. Without this layer nothing changes
//! a request's group but fallbacks.
//!
//! | chooser | chooses |
//! | --- | --- |
//! | [`Rules`] | by declared rules: size of the prompt, what it needs, keywords, tags, users |
//! | [`Split`] | by shares, the same group for the same session or user: for experiments |
//! | [`Bandit`] | the group that did best so far for requests like this one |
//! | a closure | as it likes |
//!
//! A pair, a list or an `Option` of choosers is one too: the first that has an answer wins.
//!
//! # Example
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_auto_route::{Arm, AutoRouteLayer, Bandit, Policy, Rule, Rules};
//! use ziggurat_core::{Capability, Error, HasLedger, LlmRequest};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let rules = Rules::new([
//!     Rule::new("images", "vision").model("auto").needs(Capability::Vision),
//!     Rule::new("code", "coder").model("auto").keywords(["python", "rust"]),
//! ])?;
//! let bandit = Bandit::new("auto", [Arm::new("small"), Arm::new("large")], Policy::new())?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(AutoRouteLayer::new((rules, bandit)))
//!     .service(service_fn(|request: LlmRequest| async move {
//!         Ok::<_, Error>(request.group().to_string())
//!     }));
//!
//! let request = LlmRequest::chat("auto", "How do I sort a list in Python?");
//! assert_eq!(service.clone().oneshot(request.clone()).await?, "coder");
//! assert_eq!(
//!     request.ledger().and_then(|ledger| ledger.route()).as_deref(),
//!     Some(r#"rule "code", because the request asks for "auto" and says "python" or "rust""#),
//! );
//!
//! let request = LlmRequest::chat("auto", "Good morning!");
//! let group = service.oneshot(request).await?;
//! assert!(group == "small" || group == "large");
//! # Ok(())
//! # }
//! ```
//!
//! # What is not checked
//!
//! That a group exists: the choosers list theirs (`groups`), for whoever knows the deployments.
//! A group that nobody serves is answered like any model that there is not.

mod bandit;
mod choice;
mod chooser;
mod feedback;
pub mod future;
mod layer;
mod rules;
mod service;
mod split;

pub use self::{
    bandit::{
        Arm, Bandit, BanditError, BanditFeedback, ChoiceId, Context, Feature, Policy, Standing,
        Weights,
    },
    choice::Choice,
    chooser::Chooser,
    feedback::{Feedback, OneOf, Watch},
    layer::AutoRouteLayer,
    rules::{Rule, RuleError, Rules},
    service::AutoRoute,
    split::{Split, SplitError, Sticky},
};

//! Asks deployments whether they are in order, and keeps requests from those that are not.
//!
//! An option: nothing is asked unless [`HealthChecks::run`] is run, and nothing is refused unless
//! [`HealthPolicy::routing`] is on. What requests themselves show is the cooldown layer's to judge.
//!
//! # How a deployment is checked
//!
//! The cheapest way first. A *probe* asks whether the provider lists the model, which costs nothing:
//! any service `Arc<Deployment>` → `Option<bool>`, where `None` means that it cannot tell. A *call*,
//! which costs a token, is made through a service of your choice, usually the leaf:
//!
//! | the probe says | what follows |
//! | --- | --- |
//! | an error | unhealthy, for that reason |
//! | the model is listed | healthy; with [`HealthPolicy::calls`] only if a call says so too |
//! | the model is not listed | a call says, since not everything that is served is listed; unhealthy where there is no call |
//! | it cannot tell | a call says; unknown where there is no call |
//!
//! Calls are made for chat, completion and embedding. There is none for any other mode, nor for a
//! wildcard that names no [model to ask](ziggurat_core::HealthCheck::model), which no provider lists:
//! any list is enough. An error that says nothing against the deployment (the request of the check
//! was not to its liking) leaves it healthy; a [refusal](ziggurat_core::Rejection) and a panic are no
//! verdict at all. A deployment with a [mock answer](ziggurat_core::Deployment::mock_response) is
//! called and not probed.
//!
//! Deployments that share provider, address, credential, headers and model share one check.
//!
//! # When
//!
//! Each once in an [interval](HealthPolicy::interval), spread evenly over it, with a jitter of 10 %;
//! those that were never checked first, one a second. See [`HealthChecks::check_now`] to check all of
//! them at once.
//!
//! # Several instances
//!
//! Instances that [share](HealthChecks::share) what they find, and run their checks by
//! [`run_shared`](HealthChecks::run_shared), make each check once for all of them. While they cannot
//! reach each other, each makes all of them itself.
//!
//! # What a verdict does
//!
//! [`HealthLayer`] refuses a deployment that was found unhealthy, while the verdict is fresh and as
//! long as another member of the group serves: if all of them were found unhealthy, all of them are
//! served. [`HealthChecks::report`] lists what is known.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{
//!     Deployment, Deployments, Error, ErrorKind, LlmRequest, LlmResponse, Reason, Rejection, Routed,
//!     Snapshot,
//! };
//! use ziggurat_health::{HealthChecks, HealthLayer, HealthPolicy};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let deployments = Deployments::new(Snapshot::new([
//!     Deployment::new("eu", "gpt", "gpt-4o"),
//!     Deployment::new("us", "gpt", "gpt-4-oh"),
//! ]));
//! let health = HealthChecks::new(deployments.clone(), HealthPolicy::new().routing(true));
//!
//! // Stands for a provider that knows one model.
//! let leaf = service_fn(async |request: Routed<LlmRequest>| match request.model() {
//!     "gpt-4o" => Ok(LlmResponse::complete("hello", None)),
//!     _ => Err(Error::new(ErrorKind::NotFound, "no such model")),
//! });
//! // And for a look at its list of models.
//! let probe = service_fn(async |deployment: Arc<Deployment>| {
//!     Ok::<_, Error>(Some(deployment.model() == "gpt-4o"))
//! });
//! let driver = tokio::spawn(health.clone().run(probe, leaf));
//! # driver.abort();
//!
//! let report = health.check_now(probe, leaf).await;
//! assert_eq!(report.unhealthy()[0].deployment().id().as_str(), "us");
//!
//! let service = ServiceBuilder::new().layer(HealthLayer::new(health)).service(leaf);
//! let to = |id: &str| {
//!     let deployment = deployments.load().get(&id.into()).cloned();
//!     Routed::new(LlmRequest::chat("gpt", "hi"), deployment.expect("is listed"))
//! };
//! assert!(service.clone().oneshot(to("eu")).await.is_ok());
//! let error = service.oneshot(to("us")).await.unwrap_err();
//! assert_eq!(error.rejection().map(Rejection::reason), Some(Reason::Unhealthy));
//! # Ok(())
//! # }
//! ```

mod check;
mod checks;
mod driver;
mod examine;
pub mod future;
mod layer;
mod leases;
mod news;
mod ping;
mod policy;
mod report;
mod schedule;
mod service;
mod sharing;
mod verdict;

pub use self::{
    checks::HealthChecks,
    layer::HealthLayer,
    leases::{CheckLeases, MemoryLeases},
    policy::HealthPolicy,
    report::{Checkup, Report},
    service::Health,
    verdict::Verdict,
};

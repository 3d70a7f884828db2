//! Vocabulary and laws that every layer of the Ziggurat LLM router shares. No I/O.
//!
//! # The words
//!
//! | word | meaning |
//! | --- | --- |
//! | model group | the public model name a client asks for |
//! | [`Deployment`] | one concrete target: provider, model, endpoint, credential, limits, prices |
//! | request / attempt | what the client asked / one dispatch to one deployment |
//! | [`Rejection`] | a layer's refusal *before* anything was sent; free, so another deployment may be tried |
//! | failure | something was sent and did not give an answer; costs an attempt |
//! | commit point | the first content item of the answer; before it everything can be tried again |
//! | settlement | the one moment an attempt's outcome and usage are known |
//! | [`Ledger`] | per request: deadline, attempts left, deployments tried, the trail of what happened |
//!
//! # The laws
//!
//! A layer that refuses before dispatch answers an [`Error`] with a [`Rejection`]; nothing was
//! sent, nothing is kept. Whatever a request takes is a value whose `Drop` gives it back; it moves
//! into the response by [`Attach`] and dies at settlement. The response future resolves at the
//! commit point, and an [`Observer`] is told exactly one [`End`]. What a failure means is said once,
//! in the table of [`ErrorKind::rule`].
//!
//! # A layer's view
//!
//! A layer is generic over its request and asks it for small values through [`Param`] and
//! [`Extract`]. Above the balancer requests are [`Unrouted`], below it they are [`Routed`] and
//! [`HasDeployment`], so stacking a layer on the wrong side does not compile.

mod attach;
mod deployment;
mod deployments;
mod error;
mod head;
mod keyed;
mod kind;
mod ledger;
mod operation;
mod param;
mod pattern;
mod rejection;
mod request;
mod response;
mod routed;
mod scan;
mod secret;

pub use self::{
    attach::{Attach, Clocked, End, Observed, Observer, Usage},
    deployment::{Deployment, DeploymentId, Prices, Timeouts},
    deployments::{AliasCycle, Deployments, Group, Snapshot},
    error::{BoxError, Error},
    head::{Controls, Fallbacks, Head, parse_seconds},
    keyed::{Idle, Keyed},
    kind::{Blame, Clock, Cooling, ErrorKind, FallbackList, Retry, Rule},
    ledger::{Attempt, DEFAULT_ATTEMPTS, HasLedger, Ledger, Outcome, Trail, TrailEntry},
    operation::Operation,
    param::{Extract, FromParam, Param, PassThrough},
    rejection::{Reason, Rejection, Scope},
    request::{LlmRequest, ModelGroup, Priority},
    response::{BoxItems, Item, Items, LlmResponse},
    routed::{HasDeployment, Routed, Unrouted},
    secret::Secret,
};

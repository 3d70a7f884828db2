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

mod access;
mod attach;
mod byte_budget;
mod cache_controls;
mod caller;
mod capability;
mod connection;
mod controls;
mod deployment;
mod deployments;
mod durations;
mod error;
mod fallback_target;
mod fields;
mod form;
mod generate;
mod head;
mod keyed;
mod kind;
mod large;
mod ledger;
mod listener;
mod mode;
mod model_access;
mod money;
mod multipart;
mod object_id;
mod objects;
mod operation;
mod param;
mod passed;
mod pattern;
mod prefixes;
mod provider_limits;
mod redirect;
mod rejection;
mod request;
mod response;
mod routed;
mod scan;
mod secret;
mod seen;
mod service_tier;
mod splice;
mod tally;
mod trail;
mod transcript;
mod unique_id;
mod usage;
mod value;

pub use self::{
    access::{AccessWindow, TagPattern},
    attach::{Attach, Clocked, End, Observed, Observer},
    byte_budget::{ByteBudget, HeldBytes},
    cache_controls::CacheControls,
    caller::Caller,
    capability::{Capabilities, Capability, CapabilitySet, Support},
    connection::{Close, Message, Uplink},
    controls::{ClientCredentials, Controls, Mocks, ReadOptions},
    deployment::{
        Concurrency, ConcurrencyMode, Deployment, DeploymentId, HealthCheck, LongContext, Prices,
        Timeouts, Traits, UnitPrices,
    },
    deployments::{AliasCycle, Deployments, Group, Route, RoutingGroup, Snapshot},
    durations::Durations,
    error::{BoxError, Error},
    fallback_target::{FallbackTarget, Fallbacks},
    fields::{DefaultField, FieldSet},
    head::Head,
    keyed::{Idle, Keyed},
    kind::{Blame, Clock, Cooling, ErrorKind, FallbackList, Retry, Rule},
    large::{LARGE, off_reactor},
    ledger::{Attempt, DEFAULT_ATTEMPTS, HasLedger, Ledger},
    listener::Listener,
    mode::Mode,
    model_access::{ModelAccess, Whose},
    money::Money,
    object_id::ObjectId,
    operation::Operation,
    param::{Extract, FromParam, Param, PassThrough},
    passed::Passed,
    prefixes::Prefixes,
    provider_limits::{ProviderLimits, Quota},
    redirect::Redirect,
    rejection::{Reason, Rejection, Scope},
    request::{Asked, LlmRequest, ModelGroup, Overrides, Priority},
    response::{BoxItems, Charge, Drain, Item, Items, LlmResponse, Maker},
    routed::{HasDeployment, Routed, Unrouted},
    secret::Secret,
    seen::Seen,
    service_tier::ServiceTier,
    trail::{Outcome, Trail, TrailEntry},
    transcript::{GoOn, Transcript, Transcripts},
    unique_id::{RequestId, UniqueId},
    usage::Usage,
    value::parse_seconds,
};

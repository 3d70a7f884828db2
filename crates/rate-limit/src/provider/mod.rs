//! Heeds what providers say is left of their own limits.
//!
//! [`ProviderLimitsLayer`] stands below the balancer. A provider's answer says how much is left and
//! when it is whole again; when that has been sent, the layer refuses what comes before the reset,
//! so the provider has nothing to throttle and the balancer goes on to somebody else. Deployments of
//! one account and model share a quota, and what is said of one holds for all of them.
//!
//! An answer tells what was left when its request arrived. Those that were sent after it are counted
//! on from there, so many at a time do not slip past together. It is no promise: others may use the
//! quota as well, and a provider may count otherwise. A 429 is believed: nothing is sent until the
//! time it names. Nothing is known of a provider that says nothing, and then nothing is refused.

mod future;
mod layer;
mod quota;
mod service;

pub(crate) use self::quota::Quotas;
pub use self::{
    future::{Heard, ResponseFuture},
    layer::ProviderLimitsLayer,
    service::ProviderLimits,
};

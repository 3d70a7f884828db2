//! Who may use up how much.

mod amounts;
mod attempt;
mod callers;
mod group;
mod left;
mod limiter;
mod money;
mod rules;
mod sinks;

use std::net::IpAddr;

pub use self::left::LimitLeft;
pub(crate) use self::{
    attempt::AttemptCharges,
    callers::CallerCharges,
    group::GroupCharges,
    limiter::{Heard, Limiter},
    rules::Rules,
    sinks::LimitSinks,
};

/// Where a request comes from, among its extensions: for limits on addresses. An application that
/// stands behind a proxy says here what the proxy tells it, if it trusts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

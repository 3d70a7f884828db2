//! The whole stack over simulated providers, in virtual time.
//!
//! One program for all of it: each would build the stack anew.

mod caching;
mod client;
mod failover;
mod limits;
mod reliability;
mod routed;
mod stack;
mod support;

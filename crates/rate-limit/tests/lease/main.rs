//! Limits over several instances.

mod contract;
mod limits;
mod outage;
mod periods;
mod resets;
mod simulation;
mod store;
mod support;

//! The whole stack over a scripted leaf, in virtual time: what a client gets, and what it costs the
//! providers.

mod amplification;
mod cancellation;
mod concurrency;
mod deadlines;
mod fallbacks;
mod group_queue;
mod health;
mod leaf;
mod order;
mod queue;
mod routing;
mod storm;
mod streams;
mod support;
mod throttling;
mod tried;

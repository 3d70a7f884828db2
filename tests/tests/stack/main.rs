//! The whole stack over a scripted leaf, in virtual time: what a client gets, and what it costs the
//! providers.

mod amplification;
mod cancellation;
mod deadlines;
mod fallbacks;
mod health;
mod leaf;
mod order;
mod routing;
mod storm;
mod streams;
mod support;
mod throttling;
mod tried;

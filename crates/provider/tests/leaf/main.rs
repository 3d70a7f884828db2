//! The leaf that speaks to providers, as the layers above it see it.

mod answers;
mod anthropic;
mod azure;
mod continued;
mod failures;
mod generate;
mod media;
mod messages;
mod numbers;
mod pass_through;
mod probe;
mod realtime;
mod recorded;
mod refusals;
mod responses;
mod simulated;
mod streams;
mod support;
mod tokens;

//! Tools for testing an LLM router: simulated providers and the contract of its layers.
//!
//! - `contract`, behind the feature of that name: the suite that every layer passes, and the
//!   scripted inner service it uses.
//! - `one_thread`: whether work is done by another thread, asked without looking at a clock.
//! - `provider`, behind the feature of that name: an HTTP server that speaks the dialects of the
//!   providers, with scripted faults.
//! - `redis`, behind the feature of that name: real Redis servers on the loopback, and a proxy that
//!   plays a bad one.
//! - `shared_log`, behind the feature `shared-log`: the suite that every shared log passes.
//! - `usage_store`, behind the feature `usage-store`: the suite that every store of usage passes.
//!
//! The crate is for tests, demonstrations and benchmarks; nothing in it belongs on the path of a
//! real request.

#[cfg(feature = "contract")]
pub mod contract;
pub mod one_thread;
#[cfg(feature = "provider")]
pub mod provider;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "shared-log")]
pub mod shared_log;
#[cfg(feature = "usage-store")]
pub mod usage_store;

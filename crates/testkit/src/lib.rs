//! Tools for testing an LLM router: simulated providers and the contract of its layers.
//!
//! - `contract`, behind the feature of that name: the suite that every layer passes, and the
//!   scripted inner service it uses.
//! - `leases`, behind the feature `lease`: what every store of leases does.
//! - `one_thread`: whether work is done by another thread, asked without looking at a clock.
//! - `part_store`, behind the feature `part-store`: the suite that every store of parts of capacities
//!   passes.
//! - `provider`, behind the feature of that name: an HTTP server that speaks the dialects of the
//!   providers, with scripted faults.
//! - `redis`, behind the feature of that name: real Redis servers on the loopback, and a proxy that
//!   plays a bad one.
//! - `shared_log`, behind the feature `shared-log`: the suite that every shared log passes.
//! - `semantic_store`, behind the feature `semantic-store`: the suite that every store of answers by
//!   meaning passes.
//! - `usage_store`, behind the feature `usage-store`: the suite that every store of usage passes.
//!
//! The crate is for tests, demonstrations and benchmarks; nothing in it belongs on the path of a
//! real request.

#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "lease")]
pub mod leases;
pub mod one_thread;
#[cfg(feature = "part-store")]
pub mod part_store;
#[cfg(feature = "provider")]
pub mod provider;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "semantic-store")]
pub mod semantic_store;
#[cfg(feature = "shared-log")]
pub mod shared_log;
#[cfg(feature = "usage-store")]
pub mod usage_store;

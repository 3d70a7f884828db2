//! Tools for testing an LLM router: simulated providers and the contract of its layers.
//!
//! - `contract`, behind the feature of that name: the suite that every layer passes, and the
//!   scripted inner service it uses.
//! - `provider`, behind the feature of that name: an HTTP server that speaks the dialects of the
//!   providers, with scripted faults.
//!
//! The crate is for tests, demonstrations and benchmarks; nothing in it belongs on the path of a
//! real request.

#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "provider")]
pub mod provider;

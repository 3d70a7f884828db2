//! Scenarios: what comes of them, and which are refused.

mod errors;
mod whole;

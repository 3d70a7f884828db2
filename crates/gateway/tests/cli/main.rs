//! The `ziggurat` binary as a user runs it.

mod canary;
mod check;
mod explain;
mod hash_key;
mod overload;
mod queue;
mod serve;
mod simulate;
mod support;

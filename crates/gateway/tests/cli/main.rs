//! The `ziggurat` binary as a user runs it.

mod canary;
mod check;
mod explain;
mod serve;
mod simulate;
mod support;

//! The gateway as its clients see it.
//!
//! One program for all of it: each would build the stack anew.

mod alerts;
mod bad_input;
mod count_tokens;
mod end_to_end;
mod google_shape;
mod health_route;
mod keys;
mod operations;
mod realtime;
mod shapes;
mod stored;
mod support;
mod together;
mod usage;

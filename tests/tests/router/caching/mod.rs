//! Answers that are given again, over the whole stack and the gateway, in virtual time.

mod accounted;
mod hits;
mod semantic;
mod shared;
mod stores;
mod support;

//! Tests of what has no door to the outside.

mod crowd;
mod gate;
mod large;
mod model;
mod order;
mod part;
mod prediction;
mod refusal;

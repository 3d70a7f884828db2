//! The balancer as a layer, over inner services that do what they are told.

mod affinity;
mod choice;
mod explain;
mod filters;
mod load;
mod measures;
mod names;
mod permutations;
mod refusals;
mod sessions;
mod shared_pins;
mod slow_start;
mod strategies;
mod support;
mod world;

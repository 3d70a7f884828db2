//! The balancer as a layer, over inner services that do what they are told.

mod choice;
mod load;
mod refusals;
mod support;

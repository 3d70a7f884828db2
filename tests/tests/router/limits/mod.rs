//! Limits and budgets through the whole stack, in virtual time.

mod addresses;
mod attempts;
mod callers;
mod every_key;
mod groups;
mod money;
mod support;
mod told;
mod waiting;

//! What a configuration is read as, and what is refused.

mod alerts;
mod broken;
mod cache;
mod callers;
mod hostile;
mod keys;
mod limits;
mod plan;
mod providers;
mod redis;
mod reliability;
mod routing;
mod runtime;

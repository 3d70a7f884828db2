//! A request gets its answer, or the truth, in the time it has: what is promised of failures, each
//! sentence a test, over the gateway and simulated providers in virtual time.

mod accounting;
mod amplification;
mod chaos;
mod clocks;
mod counts;
mod fallbacks;
mod groups;
mod hang_up;
mod hedging;
mod keep_alive;
mod overrides;
mod recovery;
mod refusals;
mod streams;
mod support;
mod throttling;
mod unsupported;

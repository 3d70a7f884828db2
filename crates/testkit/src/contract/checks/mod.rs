//! The checks, and how they are run.

mod allocations;
mod errors;
mod foreign;
mod guard;
mod readiness;
mod receiver;
mod saturated;
mod settlement;
mod wake_up;

use std::future::Future;

use super::{Contract, Foreign, Lawful, Probe};

pub(super) fn run<L, R>(contract: &Contract<L, R>)
where
    L: Lawful<Probe, R> + Lawful<Foreign, R>,
{
    alone(receiver::check(contract));
    alone(readiness::check(contract));
    alone(wake_up::check(contract));
    alone(settlement::check(contract));
    alone(errors::refusals(contract));
    alone(errors::failures(contract));
    alone(guard::check(contract));
    alone(foreign::check(contract));
    alone(saturated::check(contract));
    alone(allocations::check(contract));
}

/// Runs a check on a runtime of its own, with paused time.
fn alone(check: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can be built")
        .block_on(check);
}

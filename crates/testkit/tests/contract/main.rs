//! The suite passes layers that keep the laws, and names the law that a layer breaks.
#![cfg(feature = "contract")]

mod counting;
mod deferring;
mod gate;
mod pass_through;
mod probe;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ziggurat_core::LlmRequest;
use ziggurat_testkit::contract::{Contract, Foreign, Law, Lawful, Probe};

fn request() -> LlmRequest {
    LlmRequest::chat("gpt", "hi")
}

/// Runs a suite that must fail, and for that law.
#[track_caller]
fn assert_breaks<L>(law: Law, contract: &Contract<L, LlmRequest>)
where
    L: Lawful<Probe, LlmRequest> + Lawful<Foreign, LlmRequest>,
{
    let panic = catch_unwind(AssertUnwindSafe(|| contract.run()))
        .expect_err("the suite must catch a broken layer");
    let message = panic.downcast_ref::<String>().map_or("", String::as_str);
    let expected = format!("broken law `{law}`: ");
    assert!(message.starts_with(&expected), "{message}");
}

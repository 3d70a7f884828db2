//! The contract of every layer.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use ziggurat_core::{Deployment, HasLedger, LlmRequest, Operation, Routed, Timeouts};
use ziggurat_testkit::contract::Contract;
use ziggurat_timeout::{DeadlineLayer, TimeoutLayer};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn the_deadline_keeps_the_contract() {
    let request = || LlmRequest::chat("gpt", "hi");
    Contract::pass_through(|| DeadlineLayer::new(DAY), request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
    Contract::pass_through(|| DeadlineLayer::new(DAY).streams(true), request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_timeout_keeps_the_contract() {
    let clocks = Timeouts {
        attempt: Some(DAY),
        stream: Some(DAY),
        first_token: Some(DAY),
        idle: Some(DAY),
    };
    let request = || {
        let deployment = Deployment::new("a", "gpt", "m");
        Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment))
    };
    Contract::pass_through(move || TimeoutLayer::new(clocks), request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_timeout_that_learns_keeps_the_contract() {
    let request = || {
        let body = json!({"model": "gpt", "stream": true, "messages": []});
        let request = LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is valid");
        request.ledger().expect("has one").set_fallbacks_left(1);
        Routed::new(request, Arc::new(Deployment::new("a", "gpt", "m")))
    };
    Contract::pass_through(|| TimeoutLayer::new(Timeouts::default()), request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

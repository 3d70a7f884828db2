//! The common contract of the layers.

use ziggurat_auto_route::{Arm, AutoRouteLayer, Bandit, Policy, Rule, Rules, Split};
use ziggurat_core::LlmRequest;
use ziggurat_testkit::contract::Contract;

fn request() -> LlmRequest {
    LlmRequest::chat("auto", "hi")
}

#[test]
fn the_layer_with_rules_keeps_the_contract() {
    let layer = || {
        let rules = [
            Rule::new("tagged", "a").any_tag(["x"]),
            Rule::new("auto", "b").model("auto"),
        ];
        AutoRouteLayer::new(Rules::new(rules).expect("make sense"))
    };
    Contract::pass_through(layer, request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_layer_with_a_split_keeps_the_contract() {
    let layer = || {
        let split = Split::new("auto", [("a", 0.5), ("b", 0.5)]).expect("makes sense");
        AutoRouteLayer::new(vec![split])
    };
    Contract::pass_through(layer, request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

/// Two allocations: the explanation of each choice, as a string and then shared.
#[test]
fn the_layer_with_a_bandit_keeps_the_contract() {
    let layer = || {
        let arms = [Arm::new("a"), Arm::new("b")];
        AutoRouteLayer::new(Bandit::new("auto", arms, Policy::new()).expect("makes sense"))
    };
    Contract::pass_through(layer, request)
        .allocations(2, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_layer_whose_chooser_has_no_answer_keeps_the_contract() {
    let layer = || AutoRouteLayer::new((None::<Rules>, Vec::<Split>::new()));
    Contract::pass_through(layer, request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

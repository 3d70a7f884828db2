//! The common contract of the layers.

use std::{num::NonZeroUsize, sync::Arc};

use ziggurat_core::{Deployment, LlmRequest, Routed};
use ziggurat_mirror::{MirrorLayer, Mirrored};
use ziggurat_testkit::contract::Contract;

fn routed(deployment: Deployment) -> impl Fn() -> Routed<LlmRequest> {
    let deployment = Arc::new(deployment);
    move || Routed::new(LlmRequest::chat("gpt", "hi"), Arc::clone(&deployment))
}

/// A layer without a driver: its queue is full after one copy.
fn layer() -> MirrorLayer<LlmRequest> {
    let (layer, _): (_, Mirrored<_>) = MirrorLayer::new(NonZeroUsize::MIN);
    layer
}

#[test]
fn the_layer_keeps_the_contract_where_nothing_is_mirrored() {
    Contract::pass_through(layer, routed(Deployment::new("a", "gpt", "m")))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_layer_keeps_the_contract_where_there_are_mirrors() {
    let deployment = Deployment::new("a", "gpt", "m").with_mirrors(["b", "c"]);
    Contract::pass_through(layer, routed(deployment)).run();
}

//! The common contract of the layers.

use ziggurat_core::{
    Deployment, Deployments, GoOn, Item, LlmRequest, Snapshot, Transcript, Transcripts,
};
use ziggurat_fallback::{FallbackLayer, FallbackLists};
use ziggurat_testkit::contract::Contract;

#[test]
fn the_layer_keeps_the_contract() {
    let groups = || ["gpt", "b", "c"].map(|group| Deployment::new(group, group, "m"));
    let deployments = move || Deployments::new(Snapshot::new(groups()));
    let layer = move || {
        let lists = FallbackLists::new()
            .general([("gpt", ["b"]), ("*", ["c"])])
            .context_window([("gpt", ["b"])])
            .content_policy([("gpt", ["c"])]);
        FallbackLayer::new(lists).resolve(deployments())
    };
    Contract::deferring(layer, || LlmRequest::chat("gpt", "hi"))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_layer_without_lists_keeps_the_contract() {
    let layer = || FallbackLayer::new(FallbackLists::new());
    Contract::deferring(layer, || LlmRequest::chat("gpt", "hi"))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

/// Listens, and knows no way to go on.
#[derive(Clone)]
struct Silent;

impl Transcripts<LlmRequest> for Silent {
    type Transcript = Self;

    fn listen(&self, _: &LlmRequest) -> Option<Self> {
        Some(Self)
    }
}

impl Transcript<LlmRequest> for Silent {
    fn pass(&mut self, item: Item) -> Item {
        item
    }

    fn rest(&self, _: &LlmRequest, _: GoOn) -> Option<LlmRequest> {
        None
    }

    fn goes_on(&mut self) {}
}

#[test]
fn the_layer_that_listens_keeps_the_contract() {
    let layer = || {
        let lists = FallbackLists::new().general([("gpt", ["b"])]);
        FallbackLayer::new(lists).transcripts(Silent)
    };
    Contract::deferring(layer, || LlmRequest::chat("gpt", "hi"))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

//! The common contract of the layers.

use ziggurat_cache::{Asked, CacheKey, CacheLayer, MemoryStore};
use ziggurat_core::LlmRequest;
use ziggurat_testkit::contract::Contract;

type Says = fn(&LlmRequest) -> Option<Asked>;

fn layer(says: Says) -> CacheLayer<MemoryStore, Says> {
    CacheLayer::new(MemoryStore::new(1 << 20)).with_keys(says)
}

#[test]
fn the_layer_keeps_the_contract_for_what_is_not_looked_up() {
    Contract::deferring(|| layer(|_| None), || LlmRequest::chat("gpt", "hi"))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_layer_keeps_the_contract_for_what_it_keeps() {
    let asked = |_: &LlmRequest| {
        let mut asked = Asked::new(CacheKey::from_bytes([1; 32]));
        asked.reads = false;
        Some(asked)
    };
    Contract::deferring(move || layer(asked), || LlmRequest::chat("gpt", "hi")).run();
}

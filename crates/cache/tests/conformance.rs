//! The semantic store in memory does what every one does.

use ziggurat_cache::MemorySemanticStore;
use ziggurat_testkit::semantic_store;

#[tokio::test]
async fn the_store_in_memory_does_what_every_store_does() {
    let make = async || {
        let store = MemorySemanticStore::new(64 << 20, 10_000);
        [store.clone(), store]
    };
    semantic_store::check(make, async |store: &MemorySemanticStore| store.clear()).await;
}

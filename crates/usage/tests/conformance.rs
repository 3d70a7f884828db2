//! The store in memory does what every store does.

use ziggurat_testkit::usage_store;
use ziggurat_usage::MemoryUsageStore;

#[tokio::test]
async fn the_store_in_memory_does_what_every_store_does() {
    let make = async || MemoryUsageStore::new();
    usage_store::check(make, async |store: &MemoryUsageStore| store.lose()).await;
}

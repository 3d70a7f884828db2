//! The store in memory.

use ziggurat_rate_limit::MemoryLeases;
use ziggurat_testkit::leases;

#[tokio::test(start_paused = true)]
async fn the_store_in_memory_does_what_every_store_does() {
    leases::check(MemoryLeases::new()).await;
}

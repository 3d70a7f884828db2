//! One capacity for several instances, on a simulated clock.

mod large;
mod order;
mod outages;
mod sum;
mod world;

use std::time::Duration;

use ziggurat_priority_queue::MemoryPartStore;
use ziggurat_testkit::part_store;

/// How long it takes until all instances go by what has happened at one.
const BOUND: Duration = Duration::from_millis(250);

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_store_in_memory_does_what_every_store_does() {
    let make = async || MemoryPartStore::new();
    part_store::check(make, async |store: &MemoryPartStore| store.lose()).await;
}

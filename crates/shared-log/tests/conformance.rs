//! The log in memory does what every log does.

use std::time::Duration;

use ziggurat_shared_log::{Cursor, MemoryLog, Offer, SharedLog};
use ziggurat_testkit::shared_log;

#[tokio::test]
async fn the_log_in_memory_does_what_every_log_does() {
    shared_log::check(MemoryLog::new, async |log: &MemoryLog| log.lose()).await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_as_old_as_it_is() {
    let log = MemoryLog::new(9);
    let offer = || Offer::new(Cursor::default(), 9);
    log.exchange(offer().entries(vec!["1".into()])).await;
    tokio::time::advance(Duration::from_secs(7)).await;
    let exchanged = log.exchange(offer()).await.expect("is there");
    assert_eq!(exchanged.entries[0].age, Duration::from_secs(7));
}

//! Several instances over one store.

use std::time::Duration;

use serde_json::json;
use ziggurat::cache::MemoryStore;

use crate::caching::support::{ON, ask, is_hit, world};

const NEAR: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn two_instances_over_one_store_have_the_same_answers() {
    let far = MemoryStore::new(1 << 20);
    let (one, _) = world(&["a"], ON);
    let (two, _) = world(&["a"], ON);
    for world in [&one, &two] {
        world
            .router
            .set_cache_store(far.clone())
            .expect("the plan is valid");
    }
    assert!(!is_hit(&ask(&one, json!({})).await));
    tokio::time::advance(Duration::from_secs(3)).await;
    let found = ask(&two, json!({})).await;
    assert!(is_hit(&found));
    assert_eq!(found.header("age"), "3");
    assert_eq!(two.providers.count("a"), 0);
    far.clear();
    tokio::time::advance(Duration::from_secs(2)).await;
    let near = ask(&two, json!({})).await;
    assert_eq!((is_hit(&near), near.header("age")), (true, "5"));
    tokio::time::advance(NEAR).await;
    assert!(!is_hit(&ask(&two, json!({})).await));
}

#[tokio::test(start_paused = true)]
async fn without_a_second_tier_nothing_is_kept_near() {
    let far = MemoryStore::new(1 << 20);
    let sections = format!("{ON}ziggurat_settings: {{cache: {{two_tier: false}}}}\n");
    let (world, _) = world(&["a"], &sections);
    world
        .router
        .set_cache_store(far.clone())
        .expect("the plan is valid");
    ask(&world, json!({})).await;
    assert!(is_hit(&ask(&world, json!({})).await));
    far.clear();
    assert!(!is_hit(&ask(&world, json!({})).await));
}

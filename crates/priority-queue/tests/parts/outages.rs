//! Instances that die, and a store that is gone.

use std::future::pending;

use tokio::time::sleep;
use tokio_test::{assert_pending, task};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use ziggurat_core::{Error, LlmRequest, LlmResponse};
use ziggurat_priority_queue::{Capacity, Parts, PriorityQueueLayer, Rules};

use super::{
    BOUND, SECOND,
    world::{Store, World},
};

const LEASE: std::time::Duration = std::time::Duration::from_secs(2);

/// Three instances, of which each has two units in use, and many that wait.
async fn busy(whole: usize) -> World {
    let mut world = World::new(3, whole, Rules::new()).await;
    for _ in 0..60 {
        for at in 0..3 {
            world.come(at, 1, 0, SECOND);
        }
        sleep(SECOND / 15).await;
    }
    assert_eq!(world.flight.now(), whole);
    world
}

#[tokio::test(start_paused = true)]
async fn the_part_of_one_that_died_is_free_when_its_lease_is_over() {
    let mut world = busy(6).await;
    let held = world.flight.at(2);
    assert!(held >= 1);
    world.instances[2].dies();
    sleep(LEASE / 2).await;
    assert!(world.flight.most() <= 6);
    assert!(world.flight.now() <= 6 - held);
    sleep(LEASE / 2 + BOUND).await;
    assert_eq!(world.flight.now(), 6);
    assert_eq!(world.flight.most(), 6);
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_gives_back_what_it_held() {
    let mut world = World::new(2, 6, Rules::new()).await;
    world.come(0, 4, 0, SECOND);
    sleep(SECOND + BOUND).await;
    assert!(world.store.rows.held("all").contains_key("instance 0"));
    world.instances[0].ends().await;
    assert!(!world.store.rows.held("all").contains_key("instance 0"));
    world.come(1, 6, 0, SECOND);
    sleep(BOUND).await;
    assert_eq!(world.flight.at(1), 6);
    sleep(SECOND).await;
    assert_eq!(world.instances[1].parts.instances(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_store_each_goes_on_by_itself_and_within_twice_the_whole() {
    let mut world = World::new(3, 7, Rules::new()).await;
    world.come(0, 60, 0, SECOND);
    sleep(SECOND).await;
    assert_eq!(world.flight.at(0), 7);
    world.set_gone(true);
    // Nobody was there until now.
    world.come(1, 40, 0, SECOND);
    sleep(BOUND).await;
    assert_eq!(world.flight.most(), 7, "the store is slow perhaps");
    sleep(SECOND).await;
    assert_eq!((world.flight.at(0), world.flight.at(1)), (7, 3));
    world.come(2, 40, 0, SECOND);
    sleep(SECOND / 10).await;
    assert_eq!(world.flight.at(2), 3);
    sleep(3 * SECOND).await;
    let most = world.flight.most();
    assert!(most <= 13, "{most}");
    // It is back.
    world.set_gone(false);
    sleep(SECOND + 2 * BOUND).await;
    let most = world.flight.most();
    assert!(most <= 13, "{most}");
    sleep(SECOND).await;
    assert_eq!(world.flight.now(), 7);
    assert!(world.flight.most() <= 7);
}

#[tokio::test(start_paused = true)]
async fn a_large_one_alone_takes_what_its_instance_has() {
    let mut world = World::new(2, 100, Rules::new()).await;
    world.set_gone(true);
    world.instances[0].comes(0, 100, SECOND);
    sleep(3 * SECOND).await;
    assert!(world.went(0, 0)[0].waited() <= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lost_everything_is_told_again() {
    let world = busy(6).await;
    world.store.rows.lose();
    sleep(BOUND).await;
    // Of six, none was held and not used.
    assert!(world.flight.most() <= 8);
    sleep(2 * SECOND).await;
    world.flight.most();
    sleep(5 * SECOND).await;
    assert_eq!(world.flight.most(), 6);
}

#[tokio::test(start_paused = true)]
async fn where_only_the_instances_are_unknown_nothing_is_held_of_a_gate_at_which_nobody_is() {
    let mut world = World::new(2, 6, Rules::new()).await;
    world.store.lose_instances();
    sleep(SECOND).await;
    // By themselves they have three each. Who has to wait is told of, and the gate is shared.
    world.come(0, 6, 0, SECOND / 2);
    sleep(BOUND).await;
    assert!(world.store.rows.held("all").contains_key("instance 0"));
    sleep(5 * SECOND).await;
    assert!(world.store.rows.held("all").is_empty());
    assert_eq!(world.instances[0].queue.stats().capacity, 0);
    world.come(1, 20, 0, SECOND);
    sleep(2 * SECOND).await;
    assert_eq!(world.flight.at(1), 6);
    world.come(0, 6, 0, SECOND);
    sleep(3 * SECOND).await;
    assert_eq!(world.flight.most(), 6);
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_each_goes_on_by_itself_where_the_instances_were_unknown_too() {
    let mut world = World::new(2, 6, Rules::new()).await;
    world.store.lose_instances();
    sleep(SECOND).await;
    world.come(0, 6, 0, SECOND / 2);
    sleep(6 * SECOND).await;
    assert_eq!(world.instances[0].queue.stats().capacity, 0);
    world.instances[0].ends().await;
    assert_eq!(world.instances[0].queue.stats().capacity, 3);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_moment_is_not_noticed() {
    let world = busy(6).await;
    world.flight.most();
    for _ in 0..10 {
        world.set_gone(true);
        sleep(SECOND / 4).await;
        world.set_gone(false);
        sleep(SECOND / 2).await;
        assert!(world.flight.most() <= 6);
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_is_told_of_those_whom_the_one_before_it_had_heard_of() {
    let (parts, store) = (Parts::new(), Store::default());
    let queue = PriorityQueueLayer::new(parts.of("all", &Capacity::new(1)));
    let service = queue.layer(service_fn(|_: LlmRequest| {
        pending::<Result<LlmResponse, Error>>()
    }));
    let come = || {
        let mut call = task::spawn(service.clone().oneshot(LlmRequest::chat("gpt", "hi")));
        assert_pending!(call.poll());
        call
    };
    let _runs = come();
    let leaves = come();
    store.set_gone(true);
    let mut driver = task::spawn(parts.share(store.clone(), "one"));
    assert_pending!(driver.poll(), "it asks, and has no answer");
    drop(leaves);
    let _waits = come();
    assert_pending!(driver.poll(), "it is to ask again");
    drop(driver);
    store.set_gone(false);
    tokio::select! {
        () = parts.share(store.clone(), "one") => {}
        () = sleep(SECOND) => {}
    }
    assert!(store.rows.held("all").contains_key("one"));
}

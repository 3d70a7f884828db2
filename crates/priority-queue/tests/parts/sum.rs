//! How much runs at all instances together.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use ziggurat_priority_queue::{Capacity, Depth, MemoryPartStore, Parts, Rules};

use super::{BOUND, SECOND, world::World};

/// The same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_in_flight_than_the_whole_whatever_comes_where() {
    for seed in 1..6 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut world = World::new(3, 6, Rules::new()).await;
        let until = Instant::now() + 60 * SECOND;
        let mut busy = Duration::ZERO;
        while Instant::now() < until {
            let at = random.below(3) as usize;
            let count = random.below(8) as usize;
            let holds = Duration::from_millis(10 + random.below(1_500));
            busy += holds * count as u32;
            world.come(at, count, random.below(3) as i64, holds);
            sleep(Duration::from_millis(random.below(800))).await;
        }
        assert!(
            busy > 300 * SECOND,
            "it is nearly more than there is room for"
        );
        sleep(120 * SECOND).await;
        assert_eq!(world.flight.most(), 6);
        assert_eq!(world.flight.now(), 0);
        let went = world.flight.went();
        assert!(went.iter().all(|it| it.began.is_some()));
    }
}

#[tokio::test(start_paused = true)]
async fn one_at_which_all_come_has_the_whole_within_the_bound() {
    let mut world = World::new(3, 6, Rules::new()).await;
    // All three have had a part.
    for at in 0..3 {
        world.come(at, 2, 0, SECOND);
    }
    sleep(SECOND + BOUND).await;
    world.come(1, 12, 0, SECOND);
    sleep(BOUND).await;
    assert_eq!(world.flight.at(1), 6);
    // What ends is followed by the next one at once.
    sleep(2 * SECOND).await;
    assert_eq!(world.went(1, 0).len(), 14);
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_there_is_room_goes_at_once() {
    let mut world = World::new(3, 6, Rules::new()).await;
    // To a gate of which nobody knows anything.
    world.come(0, 1, 0, 3 * SECOND);
    sleep(BOUND).await;
    world.come(1, 1, 0, 3 * SECOND);
    sleep(BOUND).await;
    world.come(2, 1, 0, 3 * SECOND);
    world.come(0, 1, 0, 3 * SECOND);
    sleep(SECOND).await;
    assert_eq!(world.flight.now(), 4);
    sleep(3 * SECOND).await;
    let waits = world.flight.went();
    let worst = waits.iter().map(|it| it.waited()).max();
    assert!(worst <= Some(Duration::from_millis(20)), "{worst:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_of_a_gate_at_which_nobody_is() {
    let mut world = World::new(2, 6, Rules::new()).await;
    world.come(0, 1, 0, SECOND);
    sleep(SECOND / 2).await;
    assert_eq!(world.store.rows.held("all").len(), 1);
    sleep(4 * SECOND).await;
    assert!(world.store.rows.held("all").is_empty());
    assert_eq!(world.instances[0].queue.stats().capacity, 0);
}

#[tokio::test(start_paused = true)]
async fn a_whole_that_changes_is_that_of_all() {
    let mut world = World::new(2, 6, Rules::new()).await;
    for at in 0..2 {
        world.come(at, 200, 0, SECOND);
    }
    sleep(SECOND).await;
    assert_eq!(world.flight.now(), 6);
    for (whole, most) in [(2, 6), (10, 10), (3, 10)] {
        for instance in &world.instances {
            instance.whole.set(whole);
        }
        sleep(SECOND + 2 * BOUND).await;
        let seen = world.flight.most();
        assert!(seen <= most, "{seen}");
        sleep(SECOND).await;
        assert_eq!(world.flight.now(), whole);
        let seen = world.flight.most();
        assert!(seen <= whole, "{seen} of {whole}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_know_who_waits_and_runs_at_all() {
    let mut world = World::new(2, 4, Rules::new()).await;
    world.come(0, 7, 0, 9 * SECOND);
    world.come(1, 2, 0, 9 * SECOND);
    sleep(SECOND).await;
    for instance in &world.instances {
        let depth = instance.parts.depth("all").expect("is one");
        let Depth {
            waiting,
            running,
            instances,
            ..
        } = depth;
        assert_eq!((waiting, running, instances), (5, 4, 2));
        assert_eq!(instance.parts.instances(), 2);
        assert_eq!(instance.parts.depth("other"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_waits_for_its_part_and_no_longer() {
    for rules in [
        Rules::new().max_wait(Duration::ZERO),
        Rules::new().max_waiting(0),
    ] {
        let mut world = World::new(2, 2, rules).await;
        world.come(0, 2, 0, 5 * SECOND);
        sleep(SECOND).await;
        assert_eq!(world.flight.now(), 2);
        // All of it is in use elsewhere.
        world.come(1, 1, 0, SECOND);
        sleep(SECOND / 2).await;
        let [refused] = world.went(1, 0)[..] else {
            panic!("it waits")
        };
        assert!(refused.began.is_none());
        sleep(4 * SECOND).await;
        world.come(1, 2, 0, SECOND);
        sleep(BOUND + 2 * SECOND).await;
        let went = world.went(1, 0);
        assert!(went[1..].iter().all(|it| it.waited() <= BOUND), "{went:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_since_a_part_is_small_but_since_others_come_first() {
    let mut world = World::new(2, 4, Rules::new()).await;
    // Both learn how long a turn is.
    for at in 0..2 {
        world.come(at, 2, 0, SECOND);
    }
    sleep(5 * SECOND).await;
    world.come(0, 24, 1, SECOND);
    sleep(SECOND / 2).await;
    // Those that wait elsewhere take five seconds, and stand behind it.
    world.instances[1].comes_within(0, 1, SECOND, Some(3 * SECOND));
    sleep(2 * SECOND).await;
    assert!(world.went(1, 0).last().is_some_and(|it| it.began.is_some()));
    // These stand before it.
    world.come(0, 20, 0, SECOND);
    sleep(SECOND / 2).await;
    world.instances[1].comes_within(0, 1, SECOND, Some(2 * SECOND));
    sleep(SECOND / 100).await;
    assert!(world.went(1, 0).last().is_some_and(|it| it.began.is_none()));
}

#[tokio::test(start_paused = true)]
async fn without_a_store_a_part_is_the_whole() {
    let (parts, whole) = (Parts::new(), Capacity::new(6));
    let part = parts.of("all", &whole);
    assert_eq!(part.get(), 6);
    whole.set(8);
    assert_eq!(part.get(), 8);
    // Another one takes its place.
    let other = Capacity::new(3);
    assert_eq!(parts.of("all", &other).get(), 3);
    whole.set(9);
    assert_eq!(part.get(), 3);
    other.set(usize::MAX);
    assert_eq!(part.get(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_bound_has_none_at_any_instance() {
    let (parts, whole) = (Parts::new(), Capacity::unbounded());
    let part = parts.of("all", &whole);
    let driver = parts.share(MemoryPartStore::new(), "one");
    tokio::select! {
        () = driver => {}
        () = sleep(SECOND) => {}
    }
    assert_eq!(part.get(), usize::MAX);
    assert_eq!(parts.instances(), 1);
}

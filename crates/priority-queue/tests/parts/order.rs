//! Who goes first, wherever it waits.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::sleep;
use ziggurat_priority_queue::{Class, Order, Rules};

use super::{BOUND, SECOND, world::World};

/// How long it takes until a unit that comes free elsewhere is where it is needed. What comes free
/// beside it goes on meanwhile.
const MOVES: Duration = Duration::from_millis(100);

/// Low ones at all instances but the last, which take whatever comes free every so often.
async fn flooded(instances: usize, whole: usize) -> World {
    let mut world = World::new(instances, whole, Rules::new()).await;
    for at in 0..instances - 1 {
        for _ in 0..whole {
            world.come(at, 60 / whole, 9, SECOND);
            sleep(SECOND.div_f64(2.0 * whole as f64 * instances as f64)).await;
        }
    }
    sleep(SECOND).await;
    assert_eq!(world.flight.now(), whole);
    world
}

#[tokio::test(start_paused = true)]
async fn the_better_one_goes_before_worse_ones_elsewhere() {
    for (instances, whole) in [(2, 1), (2, 6), (3, 6), (4, 2)] {
        let mut world = flooded(instances, whole).await;
        let last = instances - 1;
        for count in [1, 3] {
            let before = world.went(last, 0).len();
            world.come(last, count, 0, SECOND);
            sleep(BOUND + 3 * SECOND * count as u32 / whole as u32 + SECOND).await;
            let high = world.went(last, 0).split_off(before);
            assert_eq!(high.len(), count, "all have gone, of {instances}");
            let came = high[0].came;
            let last = high.iter().filter_map(|it| it.began).max();
            let last = last.expect("all began");
            let lower = world.flight.went().into_iter().filter(|it| {
                let began = it.began.expect("nobody is refused");
                it.priority == 9 && came + BOUND < began && began + MOVES < last
            });
            let lower: Vec<_> = lower
                .map(|it| (it.at, it.began.map(|at| at - came)))
                .collect();
            let high: Vec<_> = high.iter().map(|it| it.waited()).collect();
            assert!(lower.is_empty(), "{lower:?} before {high:?}, {whole}");
        }
        assert!(world.flight.most() <= whole);
    }
}

#[tokio::test(start_paused = true)]
async fn the_better_one_is_next_where_it_waits_beside_worse_ones() {
    let mut world = flooded(3, 6).await;
    world.come(2, 20, 9, SECOND);
    sleep(SECOND / 2).await;
    world.come(2, 1, 0, SECOND);
    sleep(SECOND / 2).await;
    // Six of a second each: one comes free every sixth of a second, somewhere.
    sleep(SECOND).await;
    assert!(world.went(2, 0)[0].waited() <= BOUND + SECOND / 3);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_longer_goes_first_wherever_that_is() {
    let rules = Rules::new().aging(SECOND);
    let mut world = World::new(2, 4, rules).await;
    // The low ones of the first have waited for so long that they stand before new high ones.
    world.come(0, 40, 5, SECOND);
    sleep(SECOND * 7).await;
    world.come(1, 8, 0, SECOND);
    sleep(SECOND * 6).await;
    let old = world.went(0, 5);
    let new = world.went(1, 0);
    assert_eq!((old.len(), new.len()), (40, 8));
    assert!(old[39].began <= new[3].began, "{old:?} {new:?}");
    assert!(world.flight.most() <= 4);
}

#[tokio::test(start_paused = true)]
async fn those_of_one_class_are_served_in_the_order_in_which_they_came() {
    let mut world = World::new(3, 6, Rules::new()).await;
    for n in 0..600 {
        // Most come to the first.
        let at = [0, 0, 0, 1, 1, 2][n % 6];
        world.come(at, 1, 0, SECOND);
        sleep(SECOND / 12).await;
    }
    sleep(70 * SECOND).await;
    let mut went = world.flight.went();
    assert_eq!(went.len(), 600);
    went.sort_by_key(|it| it.came);
    let mut latest = went[0].came;
    let mut worst = Duration::ZERO;
    for it in &went {
        let began = it.began.expect("nobody is refused");
        worst = worst.max(latest.saturating_duration_since(began));
        latest = latest.max(began);
    }
    // One that came later began so much before one that came sooner: the time until something ends
    // at the right place, on top of the bound.
    assert!(worst <= BOUND + SECOND, "{worst:?}");
    assert!(world.flight.most() <= 6);
}

#[tokio::test(start_paused = true)]
async fn short_ones_are_shared_as_fast_as_they_end() {
    let mut world = World::new(3, 6, Rules::new()).await;
    let holds = SECOND / 50;
    world.come(0, 3_000, 0, holds);
    world.come(1, 1_000, 0, holds);
    sleep(SECOND).await;
    let before = world.flight.went().len();
    sleep(5 * SECOND).await;
    let served = world.flight.went().len() - before;
    assert!(served >= 1_350, "{served} of 1,500");
    assert!(world.flight.most() <= 6);
}

#[tokio::test(start_paused = true)]
async fn by_weight_each_class_has_its_part_wherever_it_waits() {
    let weight = |it| NonZeroU32::new(it).expect("is not zero");
    for whole in [1, 10] {
        let classes = [
            Class::new("much", 0).weight(weight(7)),
            Class::new("less", 9).weight(weight(3)),
        ];
        let rules = Rules::new().order(Order::Weighted).max_waiting(10_000);
        let rules = rules.classes(classes).expect("are some");
        let mut world = World::new(2, whole, rules).await;
        world.come(0, 300 * whole, 0, SECOND);
        world.come(1, 300 * whole, 9, SECOND);
        sleep(200 * SECOND).await;
        let [much, less] = [(0, 0), (1, 9)].map(|(at, priority)| world.went(at, priority).len());
        let part = much as f64 / (much + less) as f64;
        assert!((0.62..0.78).contains(&part), "{much} and {less}");
        assert!(much + less >= 150 * whole, "{much} and {less}");
        assert!(world.flight.most() <= whole);
    }
}

//! Requests of many units.

use tokio::time::sleep;
use ziggurat_priority_queue::Rules;

use super::{BOUND, SECOND, world::World};

#[tokio::test(start_paused = true)]
async fn a_large_one_has_its_turn_where_only_a_small_part_was() {
    let mut world = World::new(2, 100, Rules::new()).await;
    // Twice as much as there is room for.
    for n in 0..480 {
        world.instances[0].comes(0, 5, SECOND);
        if n == 100 {
            world.instances[1].comes(0, 80, SECOND);
        }
        sleep(SECOND / 40).await;
    }
    let [large] = world.went(1, 0)[..] else {
        panic!("it waits still")
    };
    // Before it came 500 units, of which 200 waited; then so much has to end as it needs.
    assert!(large.waited() <= 4 * SECOND + BOUND, "{large:?}");
    assert!(world.flight.most() <= 100);
}

#[tokio::test(start_paused = true)]
async fn a_large_one_of_a_better_class_has_its_turn_as_soon_as_so_much_has_ended() {
    let mut world = World::new(2, 100, Rules::new()).await;
    for _ in 0..60 {
        world.instances[0].comes(5, 5, SECOND);
        sleep(SECOND / 60).await;
    }
    world.instances[1].comes(0, 100, SECOND);
    sleep(3 * SECOND).await;
    let [large] = world.went(1, 0)[..] else {
        panic!("it waits still")
    };
    assert!(large.waited() <= SECOND + 2 * BOUND, "{large:?}");
    assert!(world.flight.most() <= 100);
}

#[tokio::test(start_paused = true)]
async fn two_large_ones_at_two_instances_do_not_wait_for_each_other() {
    let mut world = World::new(2, 100, Rules::new()).await;
    for at in 0..2 {
        for _ in 0..10 {
            world.instances[at].comes(0, 5, SECOND);
        }
    }
    sleep(BOUND).await;
    for at in [0, 1, 0, 1] {
        world.instances[at].comes(0, 80, SECOND);
    }
    sleep(8 * SECOND).await;
    assert_eq!(world.flight.went().len(), 24);
    assert!(world.flight.most() <= 100);
}

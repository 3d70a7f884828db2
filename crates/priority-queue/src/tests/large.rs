//! Requests of many units.

use super::crowd::{Crowd, claim, of};
use crate::Rules;

#[test]
fn a_large_one_takes_no_more_than_there_is() {
    let mut crowd = Crowd::new(10, Rules::new());
    let huge = crowd
        .comes(&claim(0).with_cost(1_000_000))
        .expect("is free");
    assert!(crowd.runs(huge));
    assert_eq!(crowd.queue.stats().in_use, 10);
    let small = crowd.comes(&claim(0)).expect("has room");
    assert!(crowd.waits(small));
    crowd.ends(huge);
    assert!(crowd.runs(small));
}

#[test]
fn a_large_one_that_is_held_to_a_part_leaves_the_rest_to_the_small_ones() {
    let mut crowd = Crowd::new(10, Rules::new().max_cost(5));
    crowd
        .comes(&claim(0).with_cost(1_000_000))
        .expect("is free");
    for _ in 0..5 {
        let small = crowd.comes(&claim(0)).expect("has room");
        assert!(crowd.runs(small));
    }
    assert_eq!(crowd.queue.stats().in_flight, 6);
}

#[test]
fn while_a_large_one_gathers_every_second_unit_goes_to_the_small_ones() {
    for tenants in [["a", "a"], ["a", "b"]] {
        let mut crowd = Crowd::new(10, Rules::new());
        let [large, small] = tenants;
        for _ in 0..10 {
            crowd.comes(&of(small)).expect("is free");
        }
        let large = crowd.comes(&of(large).with_cost(8)).expect("has room");
        for _ in 0..100 {
            crowd.comes(&of(small)).expect("has room");
        }
        let mut ended = 0;
        while !crowd.runs(large) {
            let running = (0..).find(|it| *it != large && crowd.runs(*it));
            crowd.ends(running.expect("a small one runs"));
            ended += 1;
            assert!(ended <= 16, "twice its cost has come free");
        }
        // Of what came free, it had eight, and the others the rest.
        assert_eq!(crowd.went.len() - 11, ended - 8);
        assert!(ended >= 15, "{ended}: the small ones had their half");
        assert_eq!(crowd.queue.stats().in_use, 10);
    }
}

#[test]
fn where_nobody_else_waits_a_large_one_gets_all_that_comes_free() {
    let mut crowd = Crowd::new(10, Rules::new());
    for _ in 0..10 {
        crowd.comes(&claim(0)).expect("is free");
    }
    let large = crowd.comes(&claim(0).with_cost(8)).expect("has room");
    for number in 0..7 {
        crowd.ends(number);
    }
    assert!(crowd.waits(large));
    crowd.ends(7);
    assert!(crowd.runs(large));
}

#[test]
fn a_large_one_that_comes_to_a_few_free_units_waits_for_the_rest() {
    let mut crowd = Crowd::new(10, Rules::new());
    for _ in 0..5 {
        crowd.comes(&claim(0)).expect("is free");
    }
    let large = crowd.comes(&claim(0).with_cost(8)).expect("has room");
    assert_eq!(crowd.queue.stats().in_use, 10, "the five are kept for it");
    for number in 0..3 {
        crowd.ends(number);
    }
    assert!(crowd.runs(large));
}

#[test]
fn two_large_ones_do_not_wait_for_each_other() {
    let mut crowd = Crowd::new(10, Rules::new());
    for _ in 0..10 {
        crowd.comes(&claim(0)).expect("is free");
    }
    let [one, other] = [0; 2].map(|_| {
        let large = claim(0).with_cost(8);
        crowd.comes(&large).expect("has room")
    });
    for number in 0..10 {
        crowd.ends(number);
    }
    assert!(crowd.runs(one) && crowd.waits(other));
    crowd.ends(one);
    assert!(crowd.runs(other));
    crowd.ends(other);
    assert_eq!(crowd.queue.stats().in_use, 0);
}

#[test]
fn what_a_large_one_had_gathered_goes_to_the_others_when_it_leaves() {
    let mut crowd = Crowd::new(4, Rules::new());
    for _ in 0..4 {
        crowd.comes(&claim(0)).expect("is free");
    }
    let large = crowd.comes(&claim(0).with_cost(4)).expect("has room");
    crowd.ends(0);
    crowd.ends(1);
    crowd.leaves(large);
    assert_eq!(crowd.queue.stats().in_use, 2);
    for _ in 0..2 {
        let small = crowd.comes(&claim(0)).expect("is free");
        assert!(crowd.runs(small));
    }
}

#[test]
fn a_capacity_that_shrinks_beneath_what_was_gathered_is_enough() {
    let mut crowd = Crowd::new(10, Rules::new());
    for _ in 0..10 {
        crowd.comes(&claim(0)).expect("is free");
    }
    let large = crowd.comes(&claim(0).with_cost(10)).expect("has room");
    for number in 0..4 {
        crowd.ends(number);
    }
    assert!(crowd.waits(large));
    crowd.set_capacity(4);
    assert!(crowd.runs(large));
    crowd.drain();
    assert_eq!(crowd.queue.stats().in_use, 0);
}

#[test]
fn with_no_capacity_nobody_goes_until_there_is_some() {
    let mut crowd = Crowd::new(0, Rules::new());
    let waits = crowd.comes(&claim(0)).expect("has room");
    assert!(crowd.waits(waits));
    crowd.set_capacity(1);
    assert!(crowd.runs(waits));
}

//! A capacity that is a part of another.

use std::time::Duration;

use super::crowd::{Crowd, claim, of};
use crate::Rules;

#[test]
fn a_request_takes_what_it_costs_of_the_whole() {
    let mut crowd = Crowd::new(10, Rules::new());
    crowd.set_part(2, 10);
    let large = crowd.comes(&claim(0).with_cost(8)).expect("has room");
    assert!(crowd.waits(large));
    crowd.set_part(7, 10);
    assert!(crowd.waits(large));
    crowd.set_part(8, 10);
    assert!(crowd.runs(large));
}

#[test]
fn what_was_kept_for_a_large_one_is_given_up_when_the_part_shrinks() {
    let mut crowd = Crowd::new(10, Rules::new());
    let small = crowd.comes(&claim(0)).expect("is free");
    let large = crowd.comes(&claim(0).with_cost(10)).expect("has room");
    assert_eq!(crowd.queue.stats().in_use, 10);
    crowd.set_part(3, 10);
    assert_eq!(crowd.queue.stats().in_use, 3);
    crowd.ends(small);
    assert!(crowd.waits(large));
    let outline = crowd.queue.outline(crowd.now);
    assert_eq!(outline.in_use, 0);
    assert_eq!((outline.waiting, outline.running), (1, 0));
    let [demand] = outline.demands[..] else {
        panic!("one waits")
    };
    assert_eq!((demand.first, demand.units), (10, 10));
    assert_eq!(demand.head, demand.fresh);
    crowd.set_part(10, 10);
    assert!(crowd.runs(large));
    crowd.drain();
    assert_eq!(crowd.queue.stats().in_use, 0);
}

#[test]
fn what_waits_is_told_by_level_and_rank() {
    let mut crowd = Crowd::new(1, Rules::new());
    crowd.comes(&claim(0)).expect("is free");
    crowd.comes(&claim(2)).expect("has room");
    crowd.now += Duration::from_secs(3);
    for _ in 0..4 {
        crowd.comes(&claim(2)).expect("has room");
    }
    crowd.comes(&claim(-1)).expect("has room");
    crowd.now += Duration::from_secs(1);
    let demands = crowd.queue.outline(crowd.now).demands;
    let told = demands
        .iter()
        .map(|it| (it.level, it.head, it.fresh, it.units));
    let told: Vec<_> = told.collect();
    let expected = [(-1, -11_000, -10_000, 1), (2, 16_000, 20_000, 5)];
    assert_eq!(told, expected);
    // Of the five one has waited for four seconds, the others for less.
    let ranks = [15_999, 16_000, 17_000, 18_000, 20_000];
    assert_eq!(ranks.map(|rank| demands[1].up_to(rank)), [0, 1, 2, 3, 5]);
}

#[test]
fn who_may_not_go_for_its_tenant_is_not_told_of() {
    let mut crowd = Crowd::new(3, Rules::new().max_in_flight_per_tenant(1));
    let first = crowd.comes(&of("a")).expect("is free");
    for _ in 0..5 {
        crowd.comes(&of("a")).expect("has room");
    }
    assert!(crowd.queue.outline(crowd.now).demands.is_empty());
    crowd.comes(&of("b")).expect("is free");
    let more = crowd.comes(&of("b")).expect("has room");
    assert!(crowd.queue.outline(crowd.now).demands.is_empty());
    crowd.leaves(more);
    crowd.set_part(0, 3);
    crowd.ends(first);
    let demands = crowd.queue.outline(crowd.now).demands;
    let units: Vec<_> = demands.iter().map(|it| it.units).collect();
    assert_eq!(units, [5], "now one of them may");
}

//! Who is refused, and who is pushed out.

use std::time::Duration;

use ziggurat_core::Reason;

use super::crowd::{Crowd, claim, of, seconds};
use crate::{Class, Order, Rules};

/// A queue whose turns are held for that long.
fn crowd_with_turns_of(time: Duration, capacity: usize, rules: Rules) -> Crowd {
    let mut crowd = Crowd::new(capacity, rules);
    for _ in 0..capacity {
        crowd.comes(&claim(0)).expect("is free");
    }
    crowd.now += time;
    crowd.drain();
    for _ in 0..capacity {
        crowd.comes(&claim(0)).expect("is free");
    }
    crowd
}

#[test]
fn a_full_queue_refuses_the_next_and_says_when_a_turn_would_have_come() {
    let rules = Rules::new().max_waiting(3);
    let mut crowd = crowd_with_turns_of(seconds(4), 2, rules);
    for _ in 0..3 {
        crowd.comes(&claim(0)).expect("has room");
    }
    let refusal = crowd.comes(&claim(0)).expect_err("is full");
    assert_eq!(refusal.reason, Reason::QueueFull);
    // Four turns of four seconds have to end, and two end at a time.
    assert_eq!(refusal.turn_at, Some(crowd.now + seconds(8)));
    assert!(crowd.shed.is_empty());
}

#[test]
fn before_the_first_turn_has_ended_nobody_says_when() {
    let mut crowd = Crowd::new(1, Rules::new().max_waiting(0));
    crowd.comes(&claim(0)).expect("is free");
    let refusal = crowd.comes(&claim(0)).expect_err("nobody waits");
    assert_eq!(refusal.turn_at, None);
}

#[test]
fn who_would_wait_past_the_deadline_is_refused_and_who_goes_before_the_others_is_not() {
    let mut crowd = crowd_with_turns_of(seconds(1), 1, Rules::new());
    for _ in 0..4 {
        crowd.comes(&claim(0)).expect("has room");
    }
    let late = crowd.comes_with(&claim(1), Some(seconds(3)));
    let late = late.expect_err("would come too late");
    assert_eq!(late.reason, Reason::Deadline);
    assert_eq!(late.turn_at, Some(crowd.now + seconds(5)));
    let better = crowd.comes_with(&claim(-1), Some(seconds(3)));
    better.expect("is first in line");
    let passed = crowd.comes_with(&claim(-1), Some(Duration::ZERO));
    assert_eq!(passed.expect_err("is over").reason, Reason::Deadline);
}

#[test]
fn who_claims_more_than_there_is_is_expected_to_take_what_there_is() {
    let huge = |priority| claim(priority).with_cost(1_000_000_000_000);
    for (waits, comes) in [
        // In a better class, in a worse one, in the same line, and in that of those who come again.
        (huge(0), claim(1)),
        (huge(5), claim(0)),
        (huge(0), claim(0)),
        (huge(0).with_again(true), claim(0)),
    ] {
        let mut crowd = crowd_with_turns_of(seconds(1), 1, Rules::new());
        crowd.comes(&waits).expect("has room");
        crowd.now += seconds(100);
        let number = crowd.comes(&comes).expect("has room");
        let turn_at = crowd.turn_at(number);
        assert_eq!(turn_at, Some(crowd.now + seconds(2)), "{waits:?}");
        let hurried = crowd.comes_with(&comes, Some(seconds(4)));
        hurried.expect("goes in time");
    }
}

#[test]
fn the_others_are_expected_to_take_what_they_claim() {
    let mut crowd = crowd_with_turns_of(seconds(1), 10, Rules::new());
    for cost in [1_000_000_000_000, 1, 1, 1, 1, 1, 1, 1, 1, 1] {
        crowd.comes(&claim(0).with_cost(cost)).expect("has room");
    }
    let number = crowd.comes(&claim(1)).expect("has room");
    assert_eq!(crowd.turn_at(number), Some(crowd.now + seconds(2)));
}

#[test]
fn who_claims_more_than_there_is_is_not_the_first_to_be_pushed_out() {
    let mut crowd = Crowd::new(1, Rules::new().max_waiting(4));
    crowd.comes(&of("a")).expect("is free");
    for _ in 0..3 {
        crowd.comes(&of("a")).expect("has room");
    }
    let huge = of("b").with_cost(1_000_000_000_000);
    let huge = crowd.comes(&huge).expect("has room");
    crowd.comes(&of("b")).expect("has its half");
    assert!(crowd.waits(huge));
    assert_eq!(crowd.shed.last().map(|(number, _)| *number), Some(3));
}

#[test]
fn of_another_class_too_where_they_go_by_weight() {
    let classes = [Class::new("high", 0), Class::new("low", 9)];
    let rules = Rules::new().order(Order::Weighted).classes(classes);
    let mut crowd = crowd_with_turns_of(seconds(1), 2, rules.expect("are in order"));
    crowd
        .comes(&claim(0).with_cost(1_000_000_000_000))
        .expect("has room");
    for _ in 0..9 {
        crowd.comes(&claim(9)).expect("has room");
    }
    let number = crowd.comes(&claim(9)).expect("has room");
    // Two that run, two of the huge one, and ten, of which two end in a second.
    assert_eq!(crowd.turn_at(number), Some(crowd.now + seconds(6)));
}

#[test]
fn who_would_wait_for_longer_than_its_class_may_is_refused_until_it_need_not() {
    let classes = [
        Class::new("high", 0).max_wait(seconds(2)),
        Class::new("low", 9),
    ];
    let rules = Rules::new().max_wait(seconds(10)).classes(classes);
    let mut crowd = crowd_with_turns_of(seconds(1), 1, rules.expect("are in order"));
    crowd.comes(&claim(0)).expect("goes in a second");
    let refusal = crowd.comes(&claim(0)).expect_err("goes in two seconds");
    assert_eq!(refusal.reason, Reason::Busy);
    assert_eq!(refusal.turn_at, Some(crowd.now + seconds(2)));
    crowd.comes(&claim(5)).expect("has ten seconds");
    let [(_, high), (_, low)] = &crowd.queue.classes()[..] else {
        panic!("there are two")
    };
    assert_eq!((high.refused_busy, low.refused_busy), (1, 0));
}

#[test]
fn with_no_time_to_wait_nobody_waits() {
    let mut crowd = Crowd::new(1, Rules::new().max_wait(Duration::ZERO));
    crowd.comes(&claim(0)).expect("is free");
    let refusal = crowd.comes(&claim(0)).expect_err("is not");
    assert_eq!(refusal.reason, Reason::Busy);
}

#[test]
fn a_better_one_pushes_out_the_last_of_the_worst_class_and_never_one_who_runs() {
    let rules = Rules::new().max_waiting(3);
    let mut crowd = crowd_with_turns_of(seconds(4), 1, rules);
    let [first, second] = [5, 5].map(|priority| crowd.comes(&claim(priority)).expect("has room"));
    let middle = crowd.comes(&claim(3)).expect("has room");
    for last in [second, first, middle] {
        let better = crowd.comes(&claim(0)).expect("pushes one out");
        assert!(crowd.waits(better));
        assert_eq!(crowd.shed.last().map(|(number, _)| *number), Some(last));
    }
    let (_, refusal) = crowd.shed[0];
    assert_eq!(refusal.reason, Reason::QueueFull);
    // Whoever comes to where it stood finds the one that runs and two before it.
    assert_eq!(refusal.turn_at, Some(crowd.now + seconds(12)));
    let refusal = crowd.comes(&claim(0)).expect_err("nobody is worse");
    assert_eq!(refusal.reason, Reason::QueueFull);
    assert_eq!(crowd.queue.stats().in_flight, 1);
    assert_eq!(crowd.queue.classes()[0].1.shed, 3);
}

#[test]
fn a_tenant_that_floods_does_not_keep_the_others_out() {
    let mut crowd = Crowd::new(1, Rules::new().max_waiting(10));
    crowd.comes(&of("a")).expect("is free");
    let a: Vec<usize> = (0..10)
        .map(|_| crowd.comes(&of("a")).expect("has room"))
        .collect();
    for turn in 0..5 {
        crowd.comes(&of("b")).expect("pushes one of a's out");
        assert_eq!(crowd.shed[turn].0, a[9 - turn]);
    }
    crowd.comes(&of("b")).expect_err("has its half");
    crowd.comes(&of("a")).expect_err("has its half");
}

#[test]
fn large_bodies_are_refused_when_they_do_not_fit_beside_the_others() {
    let mut crowd = Crowd::new(1, Rules::new().max_waiting_bytes(100));
    crowd.comes(&claim(0)).expect("is free");
    crowd.comes(&claim(0).with_bytes(60)).expect("fits");
    crowd.comes(&claim(0).with_bytes(60)).expect_err("does not");
    crowd.comes(&claim(0).with_bytes(40)).expect("fits");
    assert_eq!(crowd.queue.stats().waiting_bytes, 100);
    crowd.drain();
    assert_eq!(crowd.queue.stats().waiting_bytes, 0);
}

#[test]
fn as_many_are_pushed_out_as_a_body_needs_and_nobody_for_one_that_finds_no_room() {
    let mut crowd = Crowd::new(1, Rules::new().max_waiting_bytes(100));
    crowd.comes(&claim(0)).expect("is free");
    let low = [0; 2].map(|_| crowd.comes(&claim(5).with_bytes(40)).expect("fits"));
    crowd.comes(&claim(0).with_bytes(20)).expect("fits");
    crowd
        .comes(&claim(0).with_bytes(90))
        .expect_err("never fits");
    assert!(crowd.shed.is_empty());
    crowd
        .comes(&claim(0).with_bytes(70))
        .expect("pushes two out");
    let shed: Vec<usize> = crowd.shed.iter().map(|(number, _)| *number).collect();
    assert_eq!(shed, [low[1], low[0]]);
}

#[test]
fn classes_that_cannot_be_told_apart_are_no_rules() {
    let classes = |classes: &[(&str, i64)]| {
        let classes = classes
            .iter()
            .map(|(name, up_to)| Class::new(*name, *up_to));
        Rules::new().classes(classes.collect::<Vec<_>>()).is_ok()
    };
    assert!(classes(&[("a", 0), ("b", 1)]));
    assert!(!classes(&[("a", 0), ("a", 1)]));
    assert!(!classes(&[("a", 1), ("b", 1)]));
    let many: Vec<String> = (0..17).map(|it: i64| it.to_string()).collect();
    let many: Vec<(&str, i64)> = many.iter().map(|it| &**it).zip(0..).collect();
    assert!(!classes(&many));
}

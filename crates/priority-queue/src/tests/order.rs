//! Who is next.

use std::{collections::HashMap, num::NonZeroU32, time::Duration};

use ziggurat_core::{Priority, Reason};

use super::crowd::{Crowd, claim, of, seconds, weighing};
use crate::{Class, Order, Rules, Tenant};

#[test]
fn with_capacity_one_and_fifty_low_ones_before_it_a_high_one_is_second() {
    let mut crowd = Crowd::new(1, Rules::new());
    for _ in 0..50 {
        crowd.comes(&claim(10)).expect("has room");
    }
    let high = crowd.comes(&claim(0)).expect("has room");
    crowd.drain();
    assert_eq!(crowd.went[1], high);
    assert_eq!(crowd.went.len(), 51);
}

#[test]
fn equal_ones_go_in_the_order_in_which_they_came() {
    let mut crowd = Crowd::new(1, Rules::new());
    for _ in 0..20 {
        crowd.comes(&claim(3)).expect("has room");
    }
    crowd.drain();
    assert!(crowd.went.is_sorted());
}

#[test]
fn of_one_tenant_the_earliest_deadline_goes_first() {
    let mut crowd = Crowd::new(1, Rules::new());
    crowd.comes(&of("a")).expect("is free");
    let patient = crowd.comes(&of("a")).expect("has room");
    for (patience, number) in [(30, 2), (10, 3), (20, 4)] {
        let came = crowd.comes_with(&of("a"), Some(seconds(patience)));
        assert_eq!(came, Ok(number));
    }
    assert_eq!(crowd.drain(), [3, 4, 2, patient]);
}

#[test]
fn two_tenants_of_weights_70_and_30_get_70_and_30_percent() {
    let mut crowd = Crowd::new(10, Rules::new().max_waiting(10_000));
    let mut whose = HashMap::new();
    for _ in 0..1_000 {
        for (name, weight) in [("a", 70), ("b", 30)] {
            let number = crowd.comes(&weighing(name, weight)).expect("has room");
            whose.insert(number, name);
        }
    }
    // The first ten found it empty.
    while crowd.went.len() < 510 {
        crowd.ends(crowd.running()[0]);
    }
    let of_a = crowd.went[10..].iter().filter(|it| whose[it] == "a");
    let share = of_a.count() as f64 / 500.0;
    assert!((share - 0.7).abs() < 0.05, "{share}");
}

#[test]
fn a_lone_tenant_gets_everything_and_another_has_its_share_from_when_it_comes() {
    let mut crowd = Crowd::new(10, Rules::new().max_waiting(10_000));
    for _ in 0..500 {
        crowd.comes(&weighing("a", 30)).expect("has room");
    }
    for _ in 0..100 {
        crowd.ends(crowd.running()[0]);
        assert_eq!(
            crowd.queue.stats().in_flight,
            10,
            "nothing is kept for others"
        );
    }
    let before = crowd.went.len();
    for _ in 0..500 {
        crowd.comes(&weighing("b", 70)).expect("has room");
    }
    while crowd.went.len() < before + 200 {
        crowd.ends(crowd.running()[0]);
    }
    let of_b = crowd.went[before..].iter().filter(|it| **it >= 500);
    let share = of_b.count() as f64 / 200.0;
    assert!((share - 0.7).abs() < 0.05, "{share}");
}

#[test]
fn tenants_share_units_and_not_requests() {
    let mut crowd = Crowd::new(10, Rules::new().max_waiting(10_000));
    let mut whose = HashMap::new();
    for _ in 0..600 {
        for (name, cost) in [("large", 10), ("small", 1)] {
            let number = crowd.comes(&of(name).with_cost(cost)).expect("has room");
            whose.insert(number, cost);
        }
    }
    let mut units = HashMap::from([(10, 0), (1, 0)]);
    while crowd.went.len() < 300 {
        crowd.ends(crowd.running()[0]);
    }
    for number in &crowd.went {
        *units.entry(whose[number]).or_default() += whose[number];
    }
    let (large, small) = (units[&10] as f64, units[&1] as f64);
    assert!((large / (large + small) - 0.5).abs() < 0.05, "{units:?}");
}

#[test]
fn a_tenant_owes_what_its_request_takes_and_not_what_it_claims() {
    let mut crowd = Crowd::new(10, Rules::new());
    crowd.comes(&claim(0).with_cost(10)).expect("is free");
    let huge = of("a").with_cost(1_000_000_000_000);
    let huge = crowd.comes(&huge).expect("has room");
    let mut of_a = Vec::new();
    for _ in 0..40 {
        of_a.push(crowd.comes(&of("a")).expect("has room"));
        crowd.comes(&of("b")).expect("has room");
    }
    crowd.ends(0);
    assert!(crowd.runs(huge));
    crowd.ends(huge);
    while crowd.went.len() < 42 {
        crowd.ends(crowd.running()[0]);
    }
    // Ten of the other's make up for the huge one, then they take turns.
    let of_a = crowd.went[2..].iter().filter(|it| of_a.contains(it));
    assert_eq!(of_a.count(), 15);
}

#[test]
fn when_tenant_a_floods_the_wait_of_tenant_b_is_unchanged() {
    // Each second ten turns end; B sends four a second.
    let p95_of_b = |flood: usize| {
        let rules = Rules::new().max_waiting(1_000);
        let mut crowd = Crowd::new(10, rules);
        let mut came = HashMap::new();
        let mut waits: Vec<Duration> = Vec::new();
        let mut seen = 0;
        for tick in 0..600_u64 {
            if tick % 10 == 0 {
                for _ in 0..flood {
                    let _refused_when_full = crowd.comes(&of("a"));
                }
            }
            if tick % 3 == 0 {
                let number = crowd.comes(&of("b")).expect("is never refused");
                came.insert(number, crowd.now);
            }
            crowd.now += Duration::from_millis(100);
            let of_b = crowd.went[seen..].iter().filter_map(|it| came.get(it));
            waits.extend(of_b.map(|came| crowd.now - *came - Duration::from_millis(100)));
            seen = crowd.went.len();
            if let Some(number) = crowd.running().first() {
                crowd.ends(*number);
            }
        }
        waits.sort_unstable();
        waits[waits.len() * 95 / 100]
    };
    let alone = p95_of_b(0);
    let flooded = p95_of_b(200);
    assert!(
        flooded <= alone + Duration::from_millis(200),
        "{flooded:?} and not {alone:?}"
    );
}

#[test]
fn waiting_makes_up_for_priority() {
    let mut crowd = Crowd::new(1, Rules::new().aging(seconds(10)));
    crowd.comes(&claim(0)).expect("is free");
    let low = crowd.comes(&claim(3)).expect("has room");
    crowd.now += seconds(29);
    let high = crowd.comes(&claim(0)).expect("has room");
    crowd.now += seconds(2);
    let late = crowd.comes(&claim(0)).expect("has room");
    assert_eq!(crowd.drain(), [high, low, late]);
}

#[test]
fn under_an_endless_stream_of_high_ones_a_low_one_has_its_turn() {
    let mut crowd = Crowd::new(1, Rules::new().aging(seconds(10)));
    let mut running = crowd.comes(&claim(0)).expect("is free");
    let low = crowd.comes(&claim(5)).expect("has room");
    for second in 0..200 {
        crowd.now += seconds(1);
        crowd.comes(&claim(0)).expect("has room");
        crowd.ends(running);
        running = *crowd.went.last().expect("one runs");
        if running == low {
            assert!((50..60).contains(&second), "after {second} s");
            return;
        }
    }
    panic!("it starved");
}

#[test]
fn who_goes_since_it_has_aged_is_the_one_who_has_aged() {
    // In the low class, tenants take turns by their shares; the one that is due is another.
    let mut crowd = Crowd::new(1, Rules::new().aging(seconds(10)));
    crowd.comes(&claim(0)).expect("is free");
    let old = crowd.comes(&of("z").with_cost(1)).expect("has room");
    crowd.now += seconds(60);
    let high = claim(-5).with_tenant(Tenant::new("high"));
    let high = crowd.comes(&high).expect("has room");
    crowd.comes(&of("a")).expect("has room");
    assert_eq!(crowd.drain()[..2], [old, high]);
}

#[test]
fn without_aging_only_priority_counts_and_without_priority_only_arrival() {
    for (aging, order) in [(Duration::MAX, [2, 1]), (Duration::ZERO, [1, 2])] {
        let mut crowd = Crowd::new(1, Rules::new().aging(aging));
        crowd.comes(&claim(0)).expect("is free");
        crowd.comes(&claim(1)).expect("has room");
        crowd.now += seconds(100_000);
        crowd.comes(&claim(0)).expect("has room");
        assert_eq!(crowd.drain(), order);
    }
}

#[test]
fn extremes_of_priority_and_aging_keep_an_order() {
    let mut crowd = Crowd::new(1, Rules::new().aging(Duration::MAX));
    for priority in [0, i64::MAX, i64::MIN, 1, -1, i64::MAX] {
        crowd.comes(&claim(priority)).expect("has room");
    }
    assert_eq!(crowd.drain(), [2, 4, 3, 1, 5]);
}

#[test]
fn a_thousand_priorities_are_sixty_four_levels_and_lose_nobody() {
    let mut crowd = Crowd::new(1, Rules::new().max_waiting(2_000));
    for priority in 0..1_000 {
        crowd
            .comes(&claim(priority * 7919 % 1_000))
            .expect("has room");
    }
    assert_eq!(crowd.drain().len(), 999);
}

fn classes(order: Order) -> Rules {
    let weight = |weight| NonZeroU32::new(weight).expect("is not zero");
    let classes = [
        Class::new("interactive", 0).weight(weight(8)),
        Class::new("batch", 100).weight(weight(2)),
    ];
    let rules = Rules::new().max_waiting(10_000).order(order);
    rules.classes(classes).expect("are in order")
}

#[test]
fn weighted_classes_share_the_capacity_and_none_is_left_out() {
    let mut crowd = Crowd::new(1, classes(Order::Weighted));
    for _ in 0..1_000 {
        crowd.comes(&claim(0)).expect("has room");
        crowd.comes(&claim(50)).expect("has room");
    }
    while crowd.went.len() < 501 {
        crowd.ends(*crowd.went.last().expect("one runs"));
    }
    let batch = crowd.went[1..].iter().filter(|it| *it % 2 == 1).count();
    assert!((95..=105).contains(&batch), "{batch} of 500");
}

#[test]
fn a_weighted_class_owes_what_its_requests_take_and_not_what_they_claim() {
    let mut crowd = Crowd::new(1, classes(Order::Weighted));
    crowd.comes(&claim(0)).expect("is free");
    let huge = claim(0).with_cost(1_000_000_000_000);
    crowd.comes(&huge).expect("has room");
    for _ in 0..100 {
        crowd.comes(&claim(0)).expect("has room");
        crowd.comes(&claim(50)).expect("has room");
    }
    while crowd.went.len() < 101 {
        crowd.ends(*crowd.went.last().expect("one runs"));
    }
    let batch = crowd.went[2..].iter().filter(|it| *it % 2 == 1).count();
    assert!((18..=22).contains(&batch), "{batch} of 99");
}

#[test]
fn strict_classes_take_a_whole_range_of_priorities_as_one() {
    let mut crowd = Crowd::new(1, classes(Order::Strict));
    crowd.comes(&claim(0)).expect("is free");
    for (priority, number) in [(99, 1), (1, 2), (1_000, 3), (0, 4), (-9, 5)] {
        assert_eq!(crowd.comes(&claim(priority)), Ok(number));
    }
    assert_eq!(crowd.drain(), [4, 5, 1, 2, 3]);
}

#[test]
fn who_was_let_through_once_goes_before_those_who_were_not_of_its_class() {
    let mut crowd = Crowd::new(1, Rules::new());
    crowd.comes(&of("a")).expect("is free");
    crowd.comes(&of("a")).expect("has room");
    crowd.comes(&of("b")).expect("has room");
    let again = crowd.comes(&of("a").with_again(true)).expect("has room");
    let better = crowd.comes(&claim(-1)).expect("has room");
    assert_eq!(crowd.drain(), [better, again, 1, 2]);
}

#[test]
fn who_was_let_through_once_finds_room_in_a_full_queue() {
    let mut crowd = Crowd::new(1, Rules::new().max_waiting(1));
    crowd.comes(&of("a")).expect("is free");
    let new = crowd.comes(&of("a")).expect("has room");
    let again = crowd.comes(&of("a").with_again(true)).expect("finds room");
    assert_eq!(crowd.shed[0].0, new);
    let refused = crowd.comes(&of("a").with_again(true));
    assert!(refused.is_err(), "they do not push each other out");
    assert!(crowd.waits(again));
}

#[test]
fn who_has_as_many_in_flight_as_a_tenant_may_waits_and_the_others_pass_by() {
    let rules = Rules::new().max_in_flight_per_tenant(2);
    let mut crowd = Crowd::new(4, rules);
    let a: Vec<usize> = (0..4)
        .map(|_| crowd.comes(&of("a")).expect("has room"))
        .collect();
    assert!(crowd.runs(a[1]) && crowd.waits(a[2]) && crowd.waits(a[3]));
    let b: Vec<usize> = (0..3)
        .map(|_| crowd.comes(&of("b")).expect("has room"))
        .collect();
    assert!(crowd.runs(b[0]) && crowd.runs(b[1]) && crowd.waits(b[2]));
    crowd.ends(a[0]);
    assert!(crowd.runs(a[2]) && crowd.waits(a[3]) && crowd.waits(b[2]));
    crowd.ends(b[0]);
    assert!(crowd.runs(b[2]) && crowd.waits(a[3]));
    assert_eq!(crowd.drain(), [a[3]]);
}

#[test]
fn who_has_as_many_in_flight_as_a_tenant_may_and_comes_and_goes_leaves_nothing_behind() {
    let mut crowd = Crowd::new(2, Rules::new().max_in_flight_per_tenant(1));
    let first = crowd.comes(&of("a")).expect("is free");
    let mut come_and_go = |priority| {
        let claim = claim(priority).with_tenant(Tenant::new("a"));
        let number = crowd.comes(&claim).expect("has room");
        assert!(crowd.waits(number));
        crowd.leaves(number);
    };
    come_and_go(1);
    let left = allocation_counter::measure(|| (2..10_000).for_each(&mut come_and_go));
    assert!(left.bytes_current < 1_000, "{left:?}");
    let [waits, other] = [0; 2].map(|_| crowd.comes(&of("a")).expect("has room"));
    crowd.ends(first);
    assert!(crowd.runs(waits) && crowd.waits(other));
}

#[test]
fn a_large_one_that_gathers_is_one_of_those_that_a_tenant_may_have_in_flight() {
    let mut crowd = Crowd::new(4, Rules::new().max_in_flight_per_tenant(2));
    let of_b = [0; 3].map(|_| crowd.comes(&of("b")).expect("has room"));
    let one = crowd.comes(&of("a")).expect("is free");
    let large = crowd.comes(&of("a").with_cost(3)).expect("has room");
    let other = crowd.comes(&of("a")).expect("has room");
    assert!(crowd.runs(one) && crowd.waits(large) && crowd.waits(other));
    crowd.ends(of_b[0]);
    crowd.ends(of_b[1]);
    assert!(crowd.waits(other), "two of the tenant are on their way");
    crowd.leaves(large);
    assert!(crowd.runs(other), "and now there is one");
}

#[test]
fn who_has_as_many_waiting_as_a_tenant_may_is_refused_and_the_others_are_not() {
    let rules = Rules::new().max_waiting_per_tenant(1);
    let mut crowd = Crowd::new(1, rules);
    crowd.comes(&of("a")).expect("is free");
    crowd.comes(&of("a")).expect("may wait");
    let refusal = crowd.comes(&of("a")).expect_err("is one too many");
    assert_eq!(refusal.reason, Reason::QueueFull);
    crowd.comes(&of("b")).expect("may wait");
    assert_eq!(crowd.queue.classes()[0].1.refused_full, 1);
}

#[test]
fn priorities_of_one_tenant_s_requests_are_kept() {
    let mut crowd = Crowd::new(1, Rules::new());
    let with = |priority| {
        let tenant = Tenant::new("a");
        crate::Claim::new(Priority(priority)).with_tenant(tenant)
    };
    crowd.comes(&with(0)).expect("is free");
    for priority in [2, 1, 0] {
        crowd.comes(&with(priority)).expect("has room");
    }
    assert_eq!(crowd.drain(), [3, 2, 1]);
}

//! What several instances let pass together.

use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};
use ziggurat_core::{Reason, Usage};
use ziggurat_rate_limit::{
    Actual, Charges, Leasing, LimitKey, Limiter, Limits, Measure, Period, Rate, Settle,
};

use crate::support::{Log, MILLI, SECOND, Store, charges, instance, instances, key};

fn used(tokens: u64) -> Actual {
    Actual::Complete {
        usage: Usage::new(0, tokens),
        money: None,
    }
}

#[tokio::test(start_paused = true)]
async fn of_forty_at_once_on_four_instances_three_pass_where_there_is_room_for_three() {
    let dollars = ziggurat_core::Money::from_dollars(3e-9).expect("is an amount");
    for limits in [
        Limits::none().with_requests(Rate::per_minute(3)),
        Limits::none().with_requests(Rate::per_minute(3).smooth()),
        Limits::none().with_tokens(Rate::per_minute(399)),
        Limits::none().with_budget(dollars, Period::Month),
        Limits::none().with_in_flight(3),
    ] {
        let store = Store::new();
        let instances = instances(&store, 4);
        let asked = (0..40).map(|at| instances[at % 4].ask(&limits, 100));
        let answers = join_all(asked).await;
        let passed = answers.iter().filter(|it| it.is_ok()).count();
        assert_eq!(passed, 3, "{limits:?}");
        assert!(instances.iter().all(|it| it.limiter.is_up()));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_locked_out_while_there_is_room_wherever_it_was() {
    let store = Store::new();
    let instances = instances(&store, 4);
    let limits = Limits::none()
        .with_requests(Rate::per_minute(3))
        .with_in_flight(1);
    // What is not sent is given back, and found by the next who looks for it a little later.
    for round in 0..40 {
        let mut permit = instances[round % 4]
            .ask(&limits, 1)
            .await
            .expect("there is room");
        permit.settle(Actual::Unsent);
        sleep(20 * MILLI).await;
    }
    for instance in &instances[..3] {
        let mut permit = instance.ask(&limits, 1).await.expect("three pass");
        permit.settle(used(1));
        sleep(20 * MILLI).await;
    }
    let refused = instances[3].ask(&limits, 1).await.expect_err("all is used");
    assert_eq!(refused.rejection().reason(), Reason::RateLimited);
    assert_eq!(
        (refused.remaining(), refused.limit().measure()),
        (0, Measure::Requests)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_left_in_pieces_at_all_instances_is_for_who_asks_however_often_all_do() {
    for number in 2..5 {
        for amount in 380..420 {
            let store = Store::new();
            let instances = instances(&store, number);
            let hour = Rate::new(amount, 3_600 * SECOND).expect("is a rate");
            let limits = Limits::none().with_tokens(hour);
            let mut passed = 0;
            for round in 0..500 {
                if let Ok(mut permit) = instances[round % number].ask(&limits, 10).await {
                    permit.settle(used(10));
                    passed += 1;
                }
                sleep(2 * MILLI).await;
            }
            assert_eq!(passed, amount / 10, "of {amount}, by {number}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn four_times_too_much_on_four_instances_fills_each_window_and_overfills_none() {
    let minute = 60 * SECOND;
    for (limits, amount) in [
        (Limits::none().with_requests(Rate::per_minute(1_200)), 1),
        (Limits::none().with_tokens(Rate::per_minute(12_000)), 10),
    ] {
        let store = Store::new();
        let instances = instances(&store, 4);
        let start = Instant::now();
        let mut log = Log::default();
        let mut admitted = [0; 3];
        while start.elapsed() < 3 * minute {
            let answers = join_all(instances.iter().map(|it| it.ask(&limits, amount))).await;
            for mut permit in answers.into_iter().flatten() {
                permit.settle(used(amount));
                log.charge(0, amount);
                let window = start.elapsed().as_secs() / 60;
                admitted[(window as usize).min(2)] += amount;
            }
            sleep(50 * MILLI).await;
        }
        let limit = 1_200 * amount;
        assert!(log.most(minute) <= limit, "{} of {limit}", log.most(minute));
        for window in admitted {
            assert!(window * 100 >= limit * 95, "{admitted:?} of {limit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_limit_refuses_burns_nothing_of_another() {
    let store = Store::new();
    let instances = instances(&store, 2);
    let many = Limits::none().with_requests(Rate::per_minute(10));
    let none = Limits::none().with_tokens(Rate::per_minute(0));
    let both = Charges::none()
        .on(key(), many.clone())
        .on(LimitKey::tenant("team"), none);
    for round in 0..20 {
        let refused = instances[round % 2].limiter.acquire(&both).await;
        let refused = refused.expect_err("the team may use nothing");
        assert_eq!(refused.rejection().reason(), Reason::TooLarge);
    }
    sleep(SECOND).await;
    assert_eq!(store.counts(&many), [(0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn places_in_flight_are_free_again_when_the_requests_have_ended() {
    let store = Store::new();
    let instances = instances(&store, 4);
    let limits = Limits::none().with_in_flight(8);
    for round in 0..20 {
        let asked = (0..16).map(|at| instances[(at + round) % 4].ask(&limits, 1));
        let permits: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        assert_eq!(permits.len(), 8, "in round {round}");
        drop(permits);
        sleep(50 * MILLI).await;
    }
    sleep(SECOND).await;
    assert_eq!(store.counts(&limits), [(0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_place_of_an_instance_that_died_is_free_when_its_lease_expires() {
    let store = Store::new();
    let mut instances = instances(&store, 2);
    let limits = Limits::none().with_in_flight(1);
    let dead = instances.remove(0);
    let held = dead.ask(&limits, 1).await.expect("it is free");
    dead.driver.abort();
    sleep(4 * SECOND).await;
    assert!(
        instances[0].ask(&limits, 1).await.is_err(),
        "it may be alive"
    );
    sleep(SECOND).await;
    assert!(instances[0].ask(&limits, 1).await.is_ok());
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn what_an_instance_held_that_died_counts_as_used_and_no_more() {
    let store = Store::new();
    let mut instances = instances(&store, 2);
    let limits = Limits::none().with_requests(Rate::per_minute(100));
    let dead = instances.remove(0);
    for _ in 0..10 {
        let mut permit = dead.ask(&limits, 1).await.expect("there is room");
        permit.settle(used(1));
    }
    let total = || {
        store
            .counts(&limits)
            .iter()
            .map(|(used, held)| used + held)
            .sum::<u64>()
    };
    let held = total();
    assert!((10..=30).contains(&held), "{held}");
    dead.driver.abort();
    sleep(10 * SECOND).await;
    assert_eq!(total(), held);
    let mut passed = 0;
    while let Ok(mut permit) = instances[0].ask(&limits, 1).await {
        permit.settle(used(1));
        passed += 1;
    }
    assert_eq!(passed, 100 - held);
    sleep(60 * SECOND).await;
    assert_eq!(
        total(),
        100 - held,
        "what the dead held has left the window"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_used_beyond_the_estimate_counts_everywhere_when_it_is_told() {
    let store = Store::new();
    let instances = instances(&store, 2);
    let limits = Limits::none().with_tokens(Rate::per_minute(1_000));
    let mut permit = instances[0].ask(&limits, 10).await.expect("there is room");
    permit.settle(used(1_500));
    sleep(200 * MILLI).await;
    assert_eq!(store.counts(&limits), [(1_500, 0)]);
    for instance in &instances {
        assert!(instance.ask(&limits, 1).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_is_kept_as_long_as_a_request_runs() {
    let store = Store::new();
    let instances = instances(&store, 2);
    let limits = Limits::none().with_in_flight(1);
    let held = instances[0].ask(&limits, 1).await.expect("it is free");
    sleep(600 * SECOND).await;
    let refused = instances[1].ask(&limits, 1).await.expect_err("it is taken");
    assert_eq!(refused.rejection().reason(), Reason::Busy);
    drop(held);
    sleep(50 * MILLI).await;
    assert!(instances[1].ask(&limits, 1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_told_to_end_gives_back_what_it_has_while_it_is_still_there() {
    let store = Store::new();
    let one = instance(&store, Leasing::new());
    let limits = Limits::none().with_requests(Rate::per_minute(100));
    let mut permit = one.ask(&limits, 1).await.expect("there is room");
    permit.settle(used(1));
    let clone = one.limiter.clone();
    one.limiter.close();
    one.driver.await.expect("it ends");
    assert_eq!(store.counts(&limits), [(1, 0)]);
    drop((clone, permit));
}

#[tokio::test(start_paused = true)]
async fn what_is_leased_goes_back_in_the_moment_the_end_is_told() {
    let store = Store::new();
    let one = instance(&store, Leasing::new());
    let limits = Limits::none().with_requests(Rate::per_minute(1_000));
    for _ in 0..100 {
        let mut permit = one.ask(&limits, 1).await.expect("there is room");
        permit.settle(used(1));
    }
    // Nothing is on its way to the store, nor due soon.
    sleep(50 * MILLI).await;
    let start = Instant::now();
    one.limiter.close();
    one.driver.await.expect("it ends");
    assert!(start.elapsed() <= 5 * MILLI, "{:?}", start.elapsed());
    assert_eq!(store.counts(&limits), [(100, 0)]);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_still_runs_is_waited_for_and_the_store_is_asked_no_more_often() {
    let store = Store::new();
    let one = instance(&store, Leasing::new());
    let limits = Limits::none()
        .with_requests(Rate::per_minute(100))
        .with_in_flight(5);
    let permit = one.ask(&limits, 1).await.expect("there is room");
    sleep(50 * MILLI).await;
    one.limiter.close();
    let asked = store.asked();
    sleep(10 * SECOND).await;
    // A lease is renewed three times before it is over, and each time it is said who is there.
    let asked = store.asked() - asked;
    assert!((6..=16).contains(&asked), "{asked}");
    assert!(!one.driver.is_finished());
    let start = Instant::now();
    drop(permit);
    one.driver.await.expect("it ends");
    assert!(start.elapsed() < SECOND);
    assert_eq!(store.counts(&limits), [(0, 0), (0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn when_it_ends_an_instance_leaves_nothing_behind() {
    let store = Store::new();
    let mut instances = instances(&store, 2);
    let limits = Limits::none().with_requests(Rate::per_minute(1_000));
    for _ in 0..100 {
        let mut permit = instances[0].ask(&limits, 1).await.expect("there is room");
        permit.settle(used(1));
    }
    let one = instances.remove(0);
    let start = Instant::now();
    drop(one.limiter);
    one.driver.await.expect("it ends");
    assert!(start.elapsed() < SECOND);
    assert_eq!(store.counts(&limits), [(100, 0)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_known_of_all_instances() {
    let store = Store::new();
    let instances = instances(&store, 2);
    let limits = Limits::none().with_requests(Rate::per_minute(100));
    for round in 0..30 {
        let mut permit = instances[round % 2]
            .ask(&limits, 1)
            .await
            .expect("there is room");
        permit.settle(used(1));
    }
    sleep(SECOND).await;
    drop(instances[0].ask(&limits, 1).await);
    let charges = charges(&limits, 1);
    let charge = charges.iter().next().expect("there is one");
    let left = instances[0].limiter.left(charge, Instant::now());
    assert_eq!((left[0].used, left[0].remaining()), (30, 70));
    let resets_at = left[0].resets_at.expect("is known");
    let resets_in = resets_at - Instant::now();
    assert!(
        resets_in <= 62 * SECOND && resets_in > 55 * SECOND,
        "{resets_in:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_lone_client_that_sleeps_exactly_as_long_as_told_passes(
        limit in 1..60_u64,
        is_smooth in any::<bool>(),
        steps in prop::collection::vec((0..3_000_u64, 1..60_u64), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let store = Store::new();
            let instances = instances(&store, 1);
            let rate = Rate::new(limit, 7 * SECOND).expect("a valid period");
            let rate = if is_smooth { rate.smooth() } else { rate };
            let limits = Limits::none().with_tokens(rate);
            for (pause, amount) in steps {
                let amount = amount.min(limit);
                let mut answer = instances[0].ask(&limits, amount).await;
                if let Err(refused) = &answer {
                    let at = refused.rejection().ends_at().expect("says when");
                    prop_assert!(at <= Instant::now() + 15 * SECOND, "shut out too long");
                    sleep(at - Instant::now()).await;
                    answer = instances[0].ask(&limits, amount).await;
                }
                let Ok(mut permit) = answer else {
                    return Err(TestCaseError::fail("refused again"));
                };
                permit.settle(used(amount));
                advance(Duration::from_millis(pause)).await;
            }
            Ok(())
        })?;
    }
}

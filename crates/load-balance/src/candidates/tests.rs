use std::{collections::HashMap, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;
use ziggurat_core::{Error, ErrorKind, Reason, Rejection, Scope, Snapshot};

use super::*;
use crate::{cells::Clock, measure::Failure};

fn pool(members: impl IntoIterator<Item = Deployment>) -> Pool {
    let snapshot = Snapshot::new(members);
    let group = snapshot.resolve("g").expect("the group has members");
    Pool::new(group, &HashMap::new(), Clock::new(Instant::now()))
}

fn equal(members: usize) -> impl Iterator<Item = Deployment> {
    (0..members).map(|i| Deployment::new(format!("d{i}").as_str(), "g", "m"))
}

fn hint(pool: &Pool, index: usize) {
    let refusal = Rejection::new(Reason::RateLimited, Scope::Deployment);
    let now = Instant::now();
    pool.cell(index)
        .refuse(&refusal, now, Duration::from_secs(60));
}

fn fail(pool: &Pool, index: usize) {
    let error = Error::new(ErrorKind::Internal, "broken");
    pool.cell(index).health().fail(Failure::new(&error), 0);
}

fn load(pool: &Pool, index: usize, attempts: u32) {
    (0..attempts).for_each(|_| pool.cell(index).load().enter());
}

fn candidates<'a>(pool: &'a Pool, closed: &'a Bits) -> Candidates<'a> {
    Candidates::new(pool, &pool.tiers()[0], closed, 0)
}

fn some(candidates: &Candidates<'_>, few: usize) -> Vec<usize> {
    let mut some = Vec::new();
    candidates.each_of_some(few, |member| some.push(member.index));
    some
}

/// How often each member is picked.
fn picks(members: usize, times: u32, pick: impl Fn() -> Option<usize>) -> Vec<f64> {
    let mut picks = vec![0.0; members];
    for _ in 0..times {
        picks[pick().expect("one may be picked")] += 1.0;
    }
    picks
}

/// Whether each count lies within three standard deviations of what is expected.
fn assert_expected(picks: &[f64], shares: &[f64]) {
    let (times, whole) = (picks.iter().sum::<f64>(), shares.iter().sum::<f64>());
    for (index, (picks, share)) in picks.iter().zip(shares).enumerate() {
        let p = share / whole;
        let deviation = (times * p * (1.0 - p)).sqrt();
        let off = (picks - times * p).abs();
        assert!(
            off <= 3.0 * deviation,
            "{index}: {picks} of {times}, not {p}"
        );
    }
}

#[test]
fn members_are_drawn_as_often_as_their_weights_say() {
    fastrand::seed(1);
    let weights = [9.0, 1.0, 0.5, 3.0, 0.0];
    let pool = pool(equal(5).zip(weights).map(|(d, w)| d.with_weight(w)));
    let mut closed = Bits::default();
    let drawn = picks(5, 20_000, || candidates(&pool, &closed).weighted());
    assert_expected(&drawn, &weights);
    hint(&pool, 0);
    closed.insert(1);
    let drawn = picks(5, 20_000, || candidates(&pool, &closed).weighted());
    assert_expected(&drawn, &[0.0, 0.0, 0.5, 3.0, 0.0]);
}

#[test]
fn the_shares_among_those_that_are_left_are_kept_in_a_large_group() {
    fastrand::seed(2);
    let pool = pool(
        equal(1_000)
            .enumerate()
            .map(|(i, d)| d.with_weight(1.0 + i as f64)),
    );
    let closed = Bits::default();
    for left in [&[5_usize, 500, 999][..], &[0], &[7, 8]] {
        (0..1_000).for_each(|index| pool.cell(index).load().forget_hint());
        (0..1_000)
            .filter(|i| !left.contains(i))
            .for_each(|index| hint(&pool, index));
        let drawn = picks(1_000, 5_000, || candidates(&pool, &closed).weighted());
        let shares = (0..1_000).map(|i| {
            if left.contains(&i) {
                1.0 + i as f64
            } else {
                0.0
            }
        });
        assert_expected(&drawn, &shares.collect::<Vec<_>>());
    }
}

#[test]
fn a_weight_of_zero_serves_where_nothing_else_is_left() {
    fastrand::seed(3);
    let weights = [1.0, 0.0, 0.0];
    let pool = pool(equal(3).zip(weights).map(|(d, w)| d.with_weight(w)));
    hint(&pool, 0);
    let closed = Bits::default();
    let drawn = picks(3, 10_000, || candidates(&pool, &closed).weighted());
    assert_expected(&drawn, &[0.0, 1.0, 1.0]);
}

#[test]
fn of_several_with_the_least_score_each_is_picked_as_often() {
    fastrand::seed(4);
    for (members, load_of) in [
        (3, [1, 1, 1]),
        (3, [0, 0, 0]),
        (7, [2, 1, 1]),
        (60, [0, 0, 1]),
        (60, [5, 4, 4]),
    ] {
        let pool = pool(equal(members));
        for index in 0..members {
            load(&pool, index, load_of[index % 3]);
        }
        let least = load_of.iter().min().expect("there are three");
        let shares: Vec<_> = (0..members)
            .map(|index| f64::from(u8::from(load_of[index % 3] == *least)))
            .collect();
        let closed = Bits::default();
        let busy = |member: &Candidate<'_>| member.in_flight().into();
        let picks = picks(members, 30_000, || candidates(&pool, &closed).least(busy));
        if members < 10 {
            assert_expected(&picks, &shares);
        } else {
            // Of many numbers some lie beyond three deviations; so their squares, added up.
            let expected = 30_000.0 / shares.iter().sum::<f64>();
            let chi2: f64 = picks
                .iter()
                .zip(&shares)
                .filter(|(_, share)| **share > 0.0)
                .map(|(picks, _)| (picks - expected).powi(2) / expected)
                .sum();
            let freedom = shares.iter().sum::<f64>() - 1.0;
            let bound = 3.0_f64.mul_add((2.0 * freedom).sqrt(), freedom);
            assert!(chi2 < bound, "{members}: {chi2} is over {bound}");
            let never = picks
                .iter()
                .zip(&shares)
                .filter(|(_, share)| **share == 0.0);
            assert_eq!(never.map(|(picks, _)| picks).sum::<f64>(), 0.0);
        }
    }
}

#[test]
fn one_of_any_is_any_and_two_are_any_pair() {
    fastrand::seed(5);
    let pool = pool(equal(4));
    let mut closed = Bits::default();
    closed.insert(1);
    let candidates = candidates(&pool, &closed);
    let any = || candidates.any().map(|member| member.index);
    assert_expected(&picks(4, 9_000, any), &[1.0, 0.0, 1.0, 1.0]);
    for two in [Candidates::any_two, Candidates::any_two_of_all] {
        let pair = || two(&candidates).map(|member| member.map(|member| member.index));
        assert_expected(&picks(4, 9_000, || pair()[0]), &[1.0, 0.0, 1.0, 1.0]);
        assert_expected(&picks(4, 9_000, || pair()[1]), &[1.0, 0.0, 1.0, 1.0]);
        let [first, second] = pair();
        assert_ne!(first, second);
    }
}

#[test]
fn of_many_the_least_of_a_sample_is_among_the_best() {
    fastrand::seed(6);
    let pool = pool(equal(1_000));
    (0..1_000).for_each(|index| load(&pool, index, index as u32));
    let closed = Bits::default();
    let candidates = candidates(&pool, &closed);
    let busy = |member: &Candidate<'_>| member.in_flight().into();
    let picks = (0..500).filter_map(|_| candidates.least(busy));
    let mean = picks.sum::<usize>() as f64 / 500.0;
    assert!(mean < 1_000.0 * 1.2 / 13.0, "{mean}");
}

#[test]
fn of_many_the_only_one_that_is_left_is_found() {
    fastrand::seed(7);
    let pool = pool(equal(1_000));
    let closed = Bits::default();
    let candidates = candidates(&pool, &closed);
    for index in (0..1_000).filter(|index| *index != 777) {
        fail(&pool, index);
    }
    assert_eq!(candidates.least(|_| 3), Some(777));
    assert_eq!(some(&candidates, 16), [777]);
    for index in (0..1_000).filter(|index| *index != 333) {
        hint(&pool, index);
    }
    let found = candidates.least(|_| 3);
    assert_eq!(found, Some(333), "it fails, but nobody else is left");
    assert_eq!(some(&candidates, 16), [333]);
    assert_eq!(candidates.any().map(|member| member.index), Some(333));
    let [one, none] = candidates.any_two();
    assert_eq!(one.map(|member| member.index), Some(333));
    assert!(none.is_none());
}

proptest! {
    #[test]
    fn a_pick_is_one_that_a_naive_search_may_find(
        members in prop::collection::vec(
            (0..4_u32, any::<bool>(), any::<bool>(), any::<bool>()),
            1..80,
        ),
    ) {
        let pool = pool(equal(members.len()));
        let mut closed = Bits::default();
        for (index, (attempts, hinted, is_closed, fails)) in members.iter().enumerate() {
            load(&pool, index, *attempts);
            if *hinted {
                hint(&pool, index);
            }
            if *is_closed {
                closed.insert(index);
            }
            if *fails {
                fail(&pool, index);
            }
        }
        let open: Vec<_> = (0..members.len())
            .filter(|index| !members[*index].1 && !members[*index].2)
            .collect();
        let candidates = candidates(&pool, &closed);
        let seen: Vec<_> = candidates.iter().map(|member| member.index()).collect();
        prop_assert_eq!(&seen, &open);
        for index in 0..members.len() + 2 {
            prop_assert_eq!(candidates.get(index).is_some(), open.contains(&index));
        }
        let is_one = |index: Option<usize>| index.is_some_and(|index| open.contains(&index));
        let any = candidates.any().map(|member| member.index());
        for pick in [candidates.weighted(), any, candidates.any_two()[0].map(|m| m.index())] {
            prop_assert_eq!(is_one(pick), !open.is_empty());
        }
        prop_assert_eq!(candidates.any_two()[1].is_some(), open.len() > 1);
        let least = candidates.least(|member| member.in_flight().into());
        prop_assert_eq!(is_one(least), !open.is_empty());
        let score = |index: usize| (members[index].3, members[index].0);
        let best = open.iter().map(|index| score(*index)).min();
        let picked = least.map(score);
        if members.len() <= FEW {
            prop_assert_eq!(picked, best);
        } else {
            prop_assert_eq!(picked.map(|(fails, _)| fails), best.map(|(fails, _)| fails));
        }
        prop_assert_eq!(candidates.least(|_| u64::MAX), None);
        let some = some(&candidates, FEW);
        prop_assert_eq!(some.is_empty(), open.is_empty());
        for index in &some {
            prop_assert!(is_one(Some(*index)));
            prop_assert_eq!(Some(members[*index].3), best.map(|(fails, _)| fails));
        }
        if members.len() <= FEW {
            let alike = |index: &&usize| Some(members[**index].3) == best.map(|best| best.0);
            prop_assert_eq!(some.len(), open.iter().filter(alike).count());
        }
    }
}

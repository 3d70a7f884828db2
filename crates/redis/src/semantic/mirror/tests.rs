use std::ops::RangeInclusive;

use proptest::prelude::*;

use super::*;
use crate::semantic::news::Told;

const LONG: Duration = Duration::from_secs(3_600);

fn key(n: u8) -> CacheKey {
    CacheKey::from_bytes([n; 32])
}

fn east() -> Vector {
    Vector::new(vec![1.0, 0.0]).expect("is one")
}

/// News of a partition that holds these numbers, to one who knows all up to that one.
fn news(epoch: u64, numbers: RangeInclusive<u64>, place: (u64, u64), most: u64) -> News {
    let (first, last) = numbers.into_inner();
    let next = if place.0 == epoch { place.1 + 1 } else { first };
    let from = next.max(first);
    let told = last.saturating_sub(from - 1).min(most);
    let item = |number| {
        let told = Told {
            name: epoch * 1_000 + number,
            vector: east(),
            age: Duration::ZERO,
            left: LONG,
        };
        (number, told)
    };
    News {
        epoch,
        first,
        last,
        from,
        told,
        items: (from..from + told).map(item).collect(),
    }
}

fn known(mirrors: &Mirrors, partition: u8) -> Vec<u64> {
    let questions = mirrors.questions(&key(partition));
    let questions = questions.map(|it| it.0).unwrap_or_default();
    questions.iter().map(|it| it.name).collect()
}

fn nearest(mirrors: &Mirrors, partition: u8) -> Option<Nearest> {
    let threshold = Threshold::new(0.9).expect("is one");
    let questions = mirrors.questions(&key(partition))?;
    questions.nearest(&east(), threshold, None, Instant::now())
}

#[test]
fn what_went_back_or_was_lost_is_learnt_anew() {
    let mut mirrors = Mirrors::new(1 << 20, 9);
    let now = Instant::now();
    let mut learn = |epoch, numbers| {
        let place = mirrors.place(&key(1));
        mirrors.learn(key(1), Some(news(epoch, numbers, place, 9)), now);
        known(&mirrors, 1)
    };
    assert_eq!(learn(1, 1..=3), [1_001, 1_002, 1_003]);
    // Its last writes were lost.
    assert_eq!(learn(1, 1..=2), [0; 0]);
    assert_eq!(learn(1, 1..=2), [1_001, 1_002]);
    assert_eq!(learn(2, 1..=1), [2_001]);
    mirrors.learn(key(1), None, now);
    assert!(known(&mirrors, 1).is_empty());
    assert_eq!((mirrors.bytes, mirrors.by_key.len()), (0, 0));
}

#[test]
fn an_answer_is_kept_with_its_question_and_one_that_is_gone_takes_it_along() {
    let mut mirrors = Mirrors::new(1 << 20, 9);
    mirrors.learn(key(1), Some(news(1, 1..=2, (0, 0), 9)), Instant::now());
    let found = nearest(&mirrors, 1).expect("is near");
    assert!(found.entry.is_none());
    let entry = Arc::new(Entry::whole("x"));
    mirrors.answered(&key(1), &found, Some(&entry));
    assert_eq!(nearest(&mirrors, 1).expect("is near").entry, Some(entry));
    // One of another name, by the same number.
    let other = Nearest { name: 7, ..found };
    mirrors.answered(&key(1), &other, None);
    assert_eq!(known(&mirrors, 1).len(), 2);
    let found = nearest(&mirrors, 1).expect("is near");
    mirrors.answered(&key(1), &found, None);
    assert_eq!(known(&mirrors, 1), [1_001]);
}

#[test]
fn news_that_leave_something_out_are_not_taken() {
    let mut mirrors = Mirrors::new(1 << 20, 9);
    let has_more = mirrors.learn(key(1), Some(news(1, 1..=9, (1, 5), 9)), Instant::now());
    assert_eq!((has_more, known(&mirrors, 1).len()), (true, 0));
}

#[tokio::test(start_paused = true)]
async fn time_makes_questions_older_and_takes_them_away() {
    let mut mirrors = Mirrors::new(1 << 20, 9);
    mirrors.learn(key(1), Some(news(1, 1..=1, (0, 0), 9)), Instant::now());
    tokio::time::advance(LONG / 2).await;
    assert_eq!(nearest(&mirrors, 1).map(|it| it.age), Some(LONG / 2));
    let threshold = Threshold::new(0.9).expect("is one");
    let young = |age| {
        let questions = mirrors.questions(&key(1)).expect("is known");
        let found = questions.nearest(&east(), threshold, Some(age), Instant::now());
        found.is_some()
    };
    assert!(young(LONG / 2) && !young(LONG / 3));
    tokio::time::advance(LONG / 2).await;
    assert!(nearest(&mirrors, 1).is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8),
    Trim(u8),
    Lose(u8),
    Learn(u8, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let partition = || 0_u8..4;
    let step = prop_oneof![
        4 => partition().prop_map(Step::Put),
        1 => partition().prop_map(Step::Trim),
        1 => partition().prop_map(Step::Lose),
        4 => (partition(), 1_u64..5).prop_map(|(partition, most)| Step::Learn(partition, most)),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// The model: what the server holds, of which this instance knows the beginning, or, when there is
    /// no more to learn, all.
    #[test]
    fn it_knows_what_the_server_holds_and_never_more_than_it_may(
        steps in steps(), max_bytes in 200_usize..4_000, max_partitions in 1_usize..5,
    ) {
        let mut mirrors = Mirrors::new(max_bytes, max_partitions);
        // Epoch, first and last.
        let mut server = [(1_u64, 1_u64, 0_u64); 4];
        for step in steps {
            match step {
                Step::Put(at) => server[usize::from(at)].2 += 1,
                Step::Trim(at) => {
                    let (_, first, last) = &mut server[usize::from(at)];
                    *first = (*first + 1).min((*last).max(1));
                }
                Step::Lose(at) => server[usize::from(at)] = (server[usize::from(at)].0 + 1, 1, 0),
                Step::Learn(at, most) => {
                    let (epoch, first, last) = server[usize::from(at)];
                    let place = mirrors.place(&key(at));
                    let is_there = last > 0;
                    let told = is_there.then(|| news(epoch, first..=last, place, most));
                    let has_more = mirrors.learn(key(at), told, Instant::now());
                    let held: Vec<_> = (first..=last).map(|it| epoch * 1_000 + it).collect();
                    let known = known(&mirrors, at);
                    prop_assert_eq!(&known[..], &held[..known.len()]);
                    let is_kept = mirrors.by_key.contains_key(&key(at));
                    prop_assert!(has_more || !is_kept || known.len() == held.len());
                }
            }
            prop_assert!(mirrors.bytes <= max_bytes && mirrors.by_key.len() <= max_partitions);
            let sizes = mirrors.by_key.values().map(Mirror::size).sum::<usize>();
            prop_assert_eq!(sizes, mirrors.bytes);
        }
    }
}

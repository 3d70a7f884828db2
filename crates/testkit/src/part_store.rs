//! What every [`PartStore`] does, as a suite that runs against one.
//!
//! ```
//! use ziggurat_priority_queue::MemoryPartStore;
//! use ziggurat_testkit::part_store;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let make = async || MemoryPartStore::new();
//! part_store::check(make, async |store: &MemoryPartStore| store.lose()).await;
//! # }
//! ```

use std::time::Duration;

use tokio::time::{Instant, sleep};
use ziggurat_priority_queue::parts::{Answer, Demand, PartStore, Report, Told};

/// A lease that does not end in a test, and one that does.
const LONG: Duration = Duration::from_secs(50);
const SHORT: Duration = Duration::from_millis(150);
/// How long the end of a lease is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the suite. `make` makes an empty store, and `lose` makes it lose all it knows.
///
/// # Panics
///
/// If the store does not do what it has to.
pub async fn check<S: PartStore>(make: impl AsyncFn() -> S, lose: impl AsyncFn(&S)) {
    each_hears_what_the_others_told_last(&make().await).await;
    no_more_is_set_aside_than_there_is(&make().await).await;
    what_runs_is_set_aside_in_any_case(&make().await).await;
    a_whole_that_changes_holds_from_then_on(&make().await).await;
    what_is_given_back_is_free_at_once(&make().await).await;
    the_part_of_the_dead_is_free(&make().await).await;
    gates_know_nothing_of_each_other(&make().await).await;
    what_is_told_grows_older(&make().await).await;
    what_was_lost_is_told_again(&make().await, lose).await;
}

async fn each_hears_what_the_others_told_last<S: PartStore>(store: &S) {
    let demand = |level| Demand {
        level,
        weight: 3,
        head: -70_000,
        fresh: level * 10_000,
        first: 2,
        units: 1 << 40,
    };
    let report = Report {
        in_use: 2,
        ends: 150,
        waiting: 7,
        running: 1,
        demands: vec![demand(0), demand(-3), demand(5)],
    };
    let full = Told {
        whole: 10,
        wants: 4,
        report: report.clone(),
    };
    assert_eq!(tell(store, "one", Told::default()).await.others, []);
    tell(store, "one", full).await;
    let answer = tell(store, "two", told(10, 1, 0)).await;
    let [one] = &answer.others[..] else {
        panic!("there is one other: {answer:?}")
    };
    assert_eq!((&*one.instance, one.held), ("one", 4));
    assert_eq!(one.report, report);
    let answer = tell(store, "one", told(10, 1, 0)).await;
    let [two] = &answer.others[..] else {
        panic!("there is one other: {answer:?}")
    };
    assert_eq!((&*two.instance, two.held), ("two", 1));
    assert_eq!(two.report, Report::default());
}

async fn no_more_is_set_aside_than_there_is<S: PartStore>(store: &S) {
    for (instance, wants, held) in [
        ("one", 4, 4),
        ("two", 9, 6),
        ("three", 1, 0),
        ("one", 2, 2),
        ("three", 3, 2),
        ("two", 9, 6),
        ("two", 1, 1),
        ("three", 9, 7),
    ] {
        let answer = tell(store, instance, told(10, wants, 0)).await;
        assert_eq!(answer.held, held, "{instance} wants {wants}");
    }
}

async fn what_runs_is_set_aside_in_any_case<S: PartStore>(store: &S) {
    assert_eq!(tell(store, "one", told(10, 8, 0)).await.held, 8);
    assert_eq!(tell(store, "two", told(10, 1, 7)).await.held, 7);
    assert_eq!(tell(store, "three", told(10, 1, 0)).await.held, 0);
    assert_eq!(tell(store, "one", told(10, 8, 3)).await.held, 3);
    assert_eq!(tell(store, "two", told(10, 9, 7)).await.held, 7);
}

async fn a_whole_that_changes_holds_from_then_on<S: PartStore>(store: &S) {
    assert_eq!(tell(store, "one", told(10, 8, 0)).await.held, 8);
    assert_eq!(tell(store, "two", told(20, 50, 0)).await.held, 12);
    assert_eq!(tell(store, "one", told(15, 8, 1)).await.held, 3);
    assert_eq!(
        tell(store, "two", told(1 << 40, 1 << 40, 0)).await.held,
        (1 << 40) - 3
    );
}

async fn what_is_given_back_is_free_at_once<S: PartStore>(store: &S) {
    assert_eq!(tell(store, "one", told(10, 10, 4)).await.held, 10);
    let gate = Some("gate");
    let gone = store.exchange("one", gate, Told::default(), Duration::ZERO);
    gone.await.expect("the store is there");
    let answer = tell(store, "two", told(10, 10, 0)).await;
    assert_eq!((answer.held, answer.others), (10, vec![]));
}

async fn the_part_of_the_dead_is_free<S: PartStore>(store: &S) {
    let dies = store.exchange("dead", Some("gate"), told(10, 7, 7), SHORT);
    assert_eq!(dies.await.expect("the store is there").held, 7);
    tell(store, "alive", told(10, 1, 0)).await;
    let start = Instant::now();
    while tell(store, "me", told(10, 9, 0)).await.held != 9 {
        assert!(start.elapsed() < PATIENCE, "it is held still");
        sleep(Duration::from_millis(10)).await;
    }
    let others = tell(store, "me", told(10, 9, 0)).await.others;
    assert_eq!(others.len(), 1);
    // It was not dead.
    assert_eq!(tell(store, "dead", told(10, 7, 7)).await.held, 7);
}

async fn gates_know_nothing_of_each_other<S: PartStore>(store: &S) {
    let long = "x".repeat(250);
    let names = ["", "a b", "a\0b\n", "{a}", "}", "äöü 🦀", &long];
    for instance in names {
        for gate in names.map(Some).into_iter().chain([None]) {
            let answer = store.exchange(instance, gate, told(70, 10, 0), LONG);
            let answer = answer.await.expect("the store is there");
            assert_eq!(answer.held, 10);
        }
    }
    for gate in names.map(Some).into_iter().chain([None]) {
        let answer = store.exchange("", gate, told(70, 10, 0), LONG).await;
        let others = answer.expect("the store is there").others;
        let mut others: Vec<_> = others.iter().map(|it| &*it.instance).collect();
        others.sort_unstable();
        let mut expected = names[1..].to_vec();
        expected.sort_unstable();
        assert_eq!(others, expected);
    }
}

async fn what_is_told_grows_older<S: PartStore>(store: &S) {
    let first = tell(store, "one", told(10, 1, 0)).await;
    sleep(Duration::from_millis(30)).await;
    let answer = tell(store, "two", told(10, 1, 0)).await;
    assert!(answer.now >= first.now + 29);
    let [one] = &answer.others[..] else {
        panic!("there is one other")
    };
    assert!((29..20_000).contains(&one.age.as_millis()), "{one:?}");
}

async fn what_was_lost_is_told_again<S: PartStore>(store: &S, lose: impl AsyncFn(&S)) {
    tell(store, "one", told(10, 9, 2)).await;
    lose(store).await;
    let answer = tell(store, "two", told(10, 9, 1)).await;
    assert_eq!((answer.held, answer.others), (9, vec![]));
    let answer = tell(store, "one", told(10, 9, 2)).await;
    assert_eq!((answer.held, answer.others.len()), (2, 1));
}

fn told(whole: u64, wants: u64, in_use: u64) -> Told {
    let mut told = Told {
        whole,
        wants,
        report: Report::default(),
    };
    told.report.in_use = in_use;
    told
}

async fn tell<S: PartStore>(store: &S, instance: &str, told: Told) -> Answer {
    let answer = store.exchange(instance, Some("gate"), told, LONG).await;
    answer.expect("the store is there")
}

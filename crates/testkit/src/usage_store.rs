//! What every [`UsageStore`] does, as a suite that runs against one.
//!
//! ```
//! use ziggurat_testkit::usage_store;
//! use ziggurat_usage::MemoryUsageStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let make = async || MemoryUsageStore::new();
//! usage_store::check(make, async |store: &MemoryUsageStore| store.lose()).await;
//! # }
//! ```

use std::{ops::RangeInclusive, sync::Arc};

use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use ziggurat_core::{BoxError, Deployment, Error, LlmRequest, LlmResponse, Routed, Usage};
use ziggurat_settle::SettleLayer;
use ziggurat_usage::{Minute, Row, Subject, Tally, UsageBook, UsageStore};

/// A minute that is not the first of an hour, nor the last.
const MINUTE: u64 = 29_000_015;

/// Runs the suite. `make` makes an empty store, and `lose` makes it lose all it knows.
///
/// # Panics
///
/// If the store does not do what it has to.
pub async fn check<S: UsageStore>(make: impl AsyncFn() -> S, lose: impl AsyncFn(&S)) {
    a_row_that_is_written_again_takes_the_place_of_the_first(&make().await).await;
    rows_of_instances_add_up_and_one_may_be_left_out(&make().await).await;
    only_the_minutes_that_are_asked_for_are_told(&make().await).await;
    any_name_is_one(&make().await).await;
    an_hour_of_many_groups_is_kept_whole(&make().await).await;
    a_store_that_lost_all_it_knew_says_so_to_each(&make().await, lose).await;
}

async fn a_row_that_is_written_again_takes_the_place_of_the_first<S: UsageStore>(store: &S) {
    for n in [1, 2, 2, 7] {
        push(store, "one", &[("gpt", MINUTE, n)]).await;
        assert_eq!(all(store).await, [("gpt".into(), MINUTE, n)]);
    }
    // One row is written, and the others stay.
    push(store, "one", &[("claude", MINUTE, 3)]).await;
    let both = [("claude".into(), MINUTE, 3), ("gpt".into(), MINUTE, 7)];
    assert_eq!(all(store).await, both);
}

async fn rows_of_instances_add_up_and_one_may_be_left_out<S: UsageStore>(store: &S) {
    for (instance, n) in [("one", 1), ("two", 2), ("three", 4)] {
        push(store, instance, &[("gpt", MINUTE, n)]).await;
    }
    assert_eq!(all(store).await, [("gpt".into(), MINUTE, 7)]);
    for (but, left) in [("one", 6), ("two", 5), ("three", 3), ("nobody", 7)] {
        let rows = fetch(store, MINUTE..=MINUTE, Some(but)).await;
        assert_eq!(rows, [("gpt".into(), MINUTE, left)], "without {but}");
    }
}

async fn only_the_minutes_that_are_asked_for_are_told<S: UsageStore>(store: &S) {
    // Over the ends of hours, in no order.
    let minutes = [100, 0, 50, 59, 60, 61, 119, 120];
    let rows: Vec<_> = minutes.iter().map(|it| ("gpt", MINUTE + it, 1)).collect();
    push(store, "one", &rows).await;
    for (first, last) in [(0, 0), (0, 120), (50, 60), (51, 58), (61, 119), (121, 130)] {
        let rows = fetch(store, MINUTE + first..=MINUTE + last, None).await;
        let told: Vec<_> = rows.iter().map(|it| it.1 - MINUTE).collect();
        let mut expected: Vec<_> = { minutes.iter() }
            .copied()
            .filter(|it| (first..=last).contains(it))
            .collect();
        expected.sort_unstable();
        assert_eq!(told, expected, "{first} to {last}");
    }
    let (first, last) = (MINUTE + 1, MINUTE);
    let none = fetch(store, first..=last, None).await;
    assert!(none.is_empty(), "nothing is in no minute");
}

async fn any_name_is_one<S: UsageStore>(store: &S) {
    let long = "x".repeat(300);
    let names = ["", "a", "a b", "a\0b\n", "{a}", "}", "äöü 🦀", "1:a", &long];
    let rows: Vec<_> = { (1_u64..).zip(names) }
        .map(|(n, name)| (name, MINUTE, n))
        .collect();
    for instance in ["", "1", "1:", "a\0", "{}", &long] {
        push(store, instance, &rows).await;
    }
    let told = all(store).await;
    assert_eq!(told.len(), names.len());
    for (name, _, n) in told {
        let at = names.iter().position(|it| **it == *name);
        let one = at.expect("is one of those that were written") as u64 + 1;
        assert_eq!(n, 6 * one, "{name:?}");
    }
}

async fn an_hour_of_many_groups_is_kept_whole<S: UsageStore>(store: &S) {
    let names: Vec<_> = (0..20).map(|it| format!("group-{it:02}")).collect();
    let mut rows = Vec::new();
    for minute in MINUTE..MINUTE + 60 {
        rows.extend(names.iter().map(|name| (&**name, minute, 1)));
    }
    for instance in ["one", "two"] {
        push(store, instance, &rows).await;
    }
    let told = all(store).await;
    assert_eq!(told.len(), rows.len());
    assert!(told.iter().all(|(_, _, n)| *n == 2));
}

async fn a_store_that_lost_all_it_knew_says_so_to_each<S: UsageStore>(
    store: &S,
    lose: impl AsyncFn(&S),
) {
    for _ in 0..2 {
        for instance in ["one", "two"] {
            let is_known = push(store, instance, &[("gpt", MINUTE, 1)]).await;
            assert!(!is_known, "{instance} comes for the first time");
            for rows in [&[("gpt", MINUTE, 1)][..], &[]] {
                assert!(push(store, instance, rows).await, "{instance} is known");
            }
        }
        lose(store).await;
        assert!(all(store).await.is_empty());
    }
    assert!(!push(store, "one", &[]).await);
    assert!(push(store, "one", &[]).await);
}

/// A group, a minute and its successes.
type Told = (Arc<str>, u64, u64);

async fn push<S: UsageStore>(store: &S, instance: &str, rows: &[(&str, u64, u64)]) -> bool {
    let mut all = Vec::new();
    for (name, minute, n) in rows {
        let subject = Subject::Group((*name).into());
        all.push(Row::new(subject, Minute::new(*minute), tally(*n).await));
    }
    well(store.push(instance, all).await)
}

async fn all<S: UsageStore>(store: &S) -> Vec<Told> {
    fetch(store, MINUTE - 200..=MINUTE + 200, None).await
}

async fn fetch<S: UsageStore>(
    store: &S,
    minutes: RangeInclusive<u64>,
    but: Option<&str>,
) -> Vec<Told> {
    let minutes = Minute::new(*minutes.start())..=Minute::new(*minutes.end());
    let rows = Row::merge(well(store.fetch(minutes, but).await));
    let told = rows.iter().map(|row| {
        let Subject::Group(name) = row.subject() else {
            panic!("nobody wrote {:?}", row.subject());
        };
        (
            Arc::clone(name),
            row.minute().number(),
            row.tally().successes(),
        )
    });
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    told
}

fn well<T, E: Into<BoxError>>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("the store does not work: {}", error.into()))
}

/// So many successes, as a book counts them.
async fn tally(n: u64) -> Tally {
    let book = UsageBook::new();
    let deployment = Arc::new(Deployment::new("a", "gpt", "gpt-4o"));
    let leaf = service_fn(|_: Routed<LlmRequest>| async {
        Ok::<_, Error>(LlmResponse::complete("{}", Some(Usage::new(10, 2))))
    });
    let service = SettleLayer::new(book.clone()).layer(leaf);
    for _ in 0..n {
        let request = Routed::new(LlmRequest::chat("gpt", "hi"), Arc::clone(&deployment));
        let answer = service.clone().oneshot(request).await;
        answer.expect("is answered");
    }
    book.group("gpt").expect("was asked").totals()
}

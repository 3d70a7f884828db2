use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use ziggurat_core::{ErrorKind, Money, Usage};
use ziggurat_settle::Outcome;

use super::*;
use crate::Histogram;

const HOUR: NonZeroUsize = NonZeroUsize::new(60).expect("is not zero");

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn sample(outcome: Outcome) -> Sample {
    Sample {
        outcome,
        took: Duration::from_millis(300),
        first_token: Some(Duration::from_millis(40)),
        usage: Usage::new(10, 2),
        cost: Money::from_dollars(0.5),
        in_flight: 0,
    }
}

fn deployment(id: &str, group: &str) -> Arc<Deployment> {
    Arc::new(Deployment::new(id, group, "m"))
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Served),
        Just(Outcome::Cancelled),
        Just(Outcome::Cached),
        Just(Outcome::Mocked),
        prop::sample::select(ErrorKind::ALL.to_vec()).prop_map(Outcome::Failed),
    ]
}

/// An attempt as the list of the model keeps it.
#[derive(Clone, Debug)]
struct Noted {
    deployment: usize,
    second: u64,
    outcome: Outcome,
    took: u64,
    tokens: u64,
    cost: Option<u32>,
}

prop_compose! {
    /// The clock goes on, and a little back now and then.
    fn noted()(
        deployment in 0_usize..4, step in 0_u64..200, outcome in outcomes(), took in 0_u64..700_000,
        tokens in 0_u64..1_000, cost in prop::option::of(any::<u32>()),
    ) -> Noted {
        Noted { deployment, second: step, outcome, took, tokens, cost }
    }
}

fn tally<'a>(of: impl Iterator<Item = &'a Noted>) -> Tally {
    let mut tally = Tally::default();
    for noted in of {
        match noted.outcome {
            Outcome::Served => tally.served += 1,
            Outcome::Cached => tally.cached += 1,
            Outcome::Mocked => tally.mocked += 1,
            Outcome::Failed(kind) => tally.add_failed(kind, 1),
            _ => tally.cancelled += 1,
        }
        tally.input += noted.tokens;
        tally.output += noted.tokens / 2;
        match noted.cost {
            Some(cost) => tally.cost += Money::from_picodollars(cost.into()),
            None => tally.unpriced += 1,
        }
        let took = Duration::from_millis(noted.took);
        if noted.outcome == Outcome::Served {
            tally.latency.record(took);
        }
        if !matches!(noted.outcome, Outcome::Cached | Outcome::Mocked) {
            tally.first_token.record(took / 2);
        }
    }
    tally
}

proptest! {
    #[test]
    fn it_knows_what_a_list_of_all_attempts_knows(
        mut list in prop::collection::vec(noted(), 1..200),
        last in 1_usize..12,
    ) {
        const KEPT: u64 = 10;
        let kept = NonZeroUsize::new(KEPT as usize).expect("is not zero");
        let book = UsageBook::with_bounds(kept, HOUR);
        let deployments = [("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")];
        let deployments = deployments.map(|(id, group)| deployment(id, group));
        let mut clock = 1_000_000;
        for noted in &mut list {
            clock += noted.second;
            // What ended a little before may come a little after.
            noted.second = clock - noted.tokens % 60;
            let took = Duration::from_millis(noted.took);
            let sample = Sample {
                outcome: noted.outcome,
                took,
                first_token: Some(took / 2),
                usage: Usage::new(noted.tokens, noted.tokens / 2),
                cost: noted.cost.map(|cost| Money::from_picodollars(cost.into())),
                in_flight: 0,
            };
            book.note(&deployments[noted.deployment], at(noted.second), &sample);
        }
        let now = clock / 60;
        for minute in now + 1 - KEPT..=now {
            for (place, deployment) in deployments.iter().enumerate() {
                let is_its = |it: &&Noted| it.deployment == place && it.second / 60 == minute;
                let page = book.deployment(deployment.id());
                let known = page.map(|page| page.minute(at(minute * 60))).unwrap_or_default();
                prop_assert_eq!(known, tally(list.iter().filter(is_its)));
            }
        }
        for (half, group) in ["x", "y"].into_iter().enumerate() {
            let of_group = || list.iter().filter(move |it| it.deployment / 2 == half);
            let page = book.group(group);
            let known = page.as_ref().map(Page::totals).unwrap_or_default();
            prop_assert_eq!(known, tally(of_group()));
            let since = now + 1 - last.min(KEPT as usize) as u64;
            let lately = tally(of_group().filter(|it| it.second / 60 >= since));
            let known = page.as_ref().map(|page| page.last(at(clock), last)).unwrap_or_default();
            prop_assert_eq!(known, lately);
            let rows = book.rows(&(Minute::new(since)..=Minute::new(now)));
            let is_its = |row: &&Row| *row.subject() == Subject::Group(group.into());
            let mut sum = Tally::default();
            rows.iter().filter(is_its).for_each(|row| sum.merge(row.tally()));
            prop_assert_eq!(sum, lately);
        }
    }
}

#[test]
fn a_history_has_all_its_minutes_the_oldest_first() {
    let book = UsageBook::new();
    let deployment = deployment("a", "gpt");
    book.note(&deployment, at(60), &sample(Outcome::Served));
    book.note(&deployment, at(180), &sample(Outcome::Served));
    let page = book.group("gpt").expect("is known");
    let told: Vec<_> = page
        .history(at(185), 3)
        .iter()
        .map(|(minute, tally)| (minute.number(), tally.successes()))
        .collect();
    assert_eq!(told, [(1, 1), (2, 0), (3, 1)]);
    assert_eq!(page.history(at(9_999_999), 1_000).len(), 60);
}

#[test]
fn what_the_router_answers_itself_says_nothing_of_latencies() {
    let book = UsageBook::new();
    let deployment = deployment("a", "gpt");
    for outcome in [Outcome::Cached, Outcome::Mocked] {
        book.note(&deployment, at(0), &sample(outcome));
    }
    let totals = book.group("gpt").expect("is known").totals();
    assert_eq!((totals.requests(), totals.successes()), (2, 0));
    let times = [totals.latency(), totals.first_token()];
    assert_eq!(times.map(Histogram::count), [0, 0]);
}

#[test]
fn an_answer_that_is_given_again_is_a_request_of_its_group_and_nothing_else() {
    let book = UsageBook::new();
    book.record_hit("gpt", at(0));
    let totals = book.group("gpt").expect("is known").totals();
    let expected = Tally {
        cached: 1,
        ..Tally::default()
    };
    assert_eq!(totals, expected);
    assert_eq!(totals.requests(), 1);
}

#[test]
fn ten_thousand_models_and_clients_of_a_wildcard_are_one_deployment_and_one_group() {
    let book = UsageBook::new();
    let wild = deployment("wild", "any/*");
    for i in 0..10_000 {
        let made = Arc::new(wild.for_model(&format!("model-{i}")));
        book.note(&made, at(i), &sample(Outcome::Served));
    }
    assert_eq!((book.0.deployments.len(), book.0.groups.len()), (1, 1));
    let totals = book.group("any/*").expect("is known").totals();
    assert_eq!(totals.successes(), 10_000);
}

#[test]
fn deployments_that_come_and_go_do_not_make_it_grow_past_its_bound() {
    let keys = NonZeroUsize::new(32).expect("is not zero");
    let book = UsageBook::with_bounds(NonZeroUsize::MIN, keys);
    for i in 0..1_000 {
        let name = i.to_string();
        book.note(&deployment(&name, &name), at(i), &sample(Outcome::Served));
    }
    assert!(book.0.deployments.len() <= 32);
    assert!(book.0.groups.len() <= 32);
}

#[test]
fn after_the_first_attempt_nothing_is_allocated() {
    let book = UsageBook::new();
    let deployment = deployment("a", "gpt");
    let sample = sample(Outcome::Failed(ErrorKind::Cancelled));
    book.note(&deployment, at(0), &sample);
    let counted = allocation_counter::measure(|| {
        for i in 0..10_000 {
            book.note(&deployment, at(i), &sample);
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_clock_that_is_set_back_is_followed() {
    let book = UsageBook::new();
    let deployment = deployment("a", "gpt");
    book.note(&deployment, at(1_000_000), &sample(Outcome::Served));
    book.note(&deployment, at(60), &sample(Outcome::Served));
    let page = book.deployment(deployment.id()).expect("is known");
    assert_eq!(page.last(at(60), 60).successes(), 1);
    assert_eq!(page.totals().successes(), 2);
}

#[test]
fn the_most_in_flight_is_kept_for_each_minute() {
    let book = UsageBook::new();
    let deployment = deployment("a", "gpt");
    for (second, in_flight) in [(0, 1), (1, 3), (2, 9), (3, 1), (60, 2)] {
        let sample = Sample {
            in_flight,
            ..sample(Outcome::Served)
        };
        book.note(&deployment, at(second), &sample);
    }
    for page in [book.deployment(deployment.id()), book.group("gpt")] {
        let page = page.expect("is known");
        let most = |second| page.minute(at(second)).most_in_flight();
        assert_eq!(
            (most(0), most(60), page.totals().most_in_flight()),
            (9, 2, 9)
        );
    }
}

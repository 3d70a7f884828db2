use std::time::Duration;

use proptest::prelude::*;

use super::*;

prop_compose! {
    fn histograms()(times in prop::collection::vec(0_u64..900_000, 0..9)) -> Histogram {
        let mut histogram = Histogram::default();
        times.iter().for_each(|time| histogram.record(Duration::from_millis(*time)));
        histogram
    }
}

prop_compose! {
    fn tallies()(
        counts in any::<[u64; 7]>(), cost in any::<u128>(), most_in_flight in any::<u32>(),
        failed in prop::collection::vec((prop::sample::select(ErrorKind::ALL.to_vec()), any::<u32>()), 0..5),
        latency in histograms(), first_token in histograms(),
    ) -> Tally {
        let [served, cached, mocked, cancelled, input, output, unpriced] = counts;
        let cost = Money::from_picodollars(cost);
        let mut tally = Tally {
            served, cached, mocked, cancelled, input, output, unpriced, most_in_flight, cost,
            latency, first_token, ..Tally::default()
        };
        failed.iter().for_each(|(kind, n)| tally.add_failed(*kind, (*n).into()));
        tally
    }
}

fn subjects() -> impl Strategy<Value = Subject> {
    prop_oneof![
        ".{0,20}".prop_map(|name| Subject::Deployment(name.as_str().into())),
        ".{0,20}".prop_map(|name| Subject::Group(name.into())),
    ]
}

proptest! {
    #[test]
    fn a_row_comes_back_from_its_bytes(
        subject in subjects(), minute in any::<u64>(), tally in tallies(),
    ) {
        let row = Row::new(subject, Minute::new(minute), tally);
        prop_assert_eq!(Row::from_bytes(&row.to_bytes()), Ok(row));
    }

    #[test]
    fn bytes_that_are_cut_or_go_on_are_no_row(tally in tallies(), cut in 0_usize..1_000) {
        let row = Row::new(Subject::Group("g".into()), Minute::new(7), tally);
        let mut bytes = row.to_bytes();
        prop_assert!(Row::from_bytes(&bytes[..cut % bytes.len()]).is_err());
        bytes.push(0);
        prop_assert!(Row::from_bytes(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_a_row_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        // What a row is read as can be written and read again.
        if let Ok(row) = Row::from_bytes(&bytes) {
            prop_assert_eq!(Row::from_bytes(&row.to_bytes()), Ok(row));
        }
    }

    #[test]
    fn rows_are_added_up_in_any_order_and_any_grouping(
        parts in prop::collection::vec((0_u64..3, any::<bool>(), tallies()), 0..8),
        split in 0_usize..8,
        turn in 0_usize..8,
    ) {
        let mut rows: Vec<_> = parts
            .into_iter()
            .map(|(minute, is_a, tally)| {
                let name = if is_a { "a" } else { "b" };
                Row::new(Subject::Group(name.into()), Minute::new(minute), tally)
            })
            .collect();
        let all = Row::merge(rows.clone());
        let (one, other) = rows.split_at(split.min(rows.len()));
        let halves = [one, other].map(|half| Row::merge(half.to_vec()));
        prop_assert_eq!(&Row::merge(halves.concat()), &all);
        let turns = turn % rows.len().max(1);
        rows.rotate_left(turns);
        prop_assert_eq!(Row::merge(rows), all);
    }
}

#[test]
fn a_usual_row_is_small() {
    let mut tally = Tally {
        served: 120,
        input: 90_000,
        output: 24_000,
        cost: Money::from_picodollars(1_234_567_890_123),
        ..Tally::default()
    };
    tally.add_failed(ErrorKind::RateLimited, 3);
    for time in [300, 400, 900, 1_200] {
        tally.latency.record(Duration::from_millis(time));
    }
    let row = Row::new(
        Subject::Deployment("azure-eu".into()),
        Minute::new(29_000_000),
        tally,
    );
    assert!(row.to_bytes().len() < 70, "{}", row.to_bytes().len());
}

#[test]
fn a_failure_of_a_kind_that_is_not_known_is_an_internal_one() {
    let mut tally = Tally::default();
    tally.add_failed(ErrorKind::Overloaded, 3);
    let row = Row::new(Subject::Group("g".into()), Minute::new(7), tally);
    let bytes = row.to_bytes();
    let at = bytes.windows(10).position(|it| it == b"overloaded");
    let mut bytes = bytes;
    bytes[at.expect("is written by name")] = b'X';
    let row = Row::from_bytes(&bytes).expect("is a row");
    let failures: Vec<_> = row.tally().failures_by_kind().collect();
    assert_eq!(failures, [(ErrorKind::Internal, 3)]);
}

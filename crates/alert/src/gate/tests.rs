use proptest::prelude::*;

use super::*;

const PACE: Pace = Pace {
    interval: Duration::from_secs(300),
    budget_interval: Duration::from_secs(86_400),
    per_minute: 20,
};

fn lost(name: &str) -> Event {
    Event::store_lost(name)
}

fn second(start: Instant, second: u64) -> Instant {
    start + Duration::from_secs(second)
}

/// How many events a message stands for.
fn weight(notice: &Notice) -> u64 {
    match notice {
        Notice::One { times, .. } => *times,
        Notice::Summary(counts) => counts.total(),
    }
}

#[test]
fn the_same_is_told_once_and_then_how_often_it_came_again() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    let first = gate
        .offer(lost("a"), &PACE, start)
        .expect("is told at once");
    assert_eq!(weight(&first), 1);
    for at in 1..=7 {
        assert!(gate.offer(lost("a"), &PACE, second(start, at)).is_none());
    }
    assert!(gate.due(&PACE, second(start, 299)).is_empty());
    let due = gate.due(&PACE, second(start, 300));
    assert_eq!(due.iter().map(weight).collect::<Vec<_>>(), [7]);
    assert!(gate.due(&PACE, second(start, 900)).is_empty());
    assert!(gate.seen.is_empty(), "it is forgotten");
}

#[test]
fn another_subject_and_another_kind_are_told_at_once() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    let back = Event::store_back("a", Duration::ZERO);
    for event in [lost("a"), lost("b"), back] {
        assert!(gate.offer(event, &PACE, start).is_some());
    }
}

#[test]
fn a_budget_is_told_once_a_day() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    let near = || Event::budget_near("a", Default::default(), Default::default());
    assert!(gate.offer(near(), &PACE, start).is_some());
    assert!(gate.offer(near(), &PACE, second(start, 86_399)).is_none());
    assert_eq!(gate.due(&PACE, second(start, 86_400)).len(), 1);
}

#[test]
fn repetitions_are_told_in_the_order_in_which_they_came_last() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    let back = || Event::store_back("a", Duration::ZERO);
    for at in 0..5 {
        gate.offer(lost("a"), &PACE, second(start, 2 * at));
        gate.offer(back(), &PACE, second(start, 2 * at + 1));
    }
    let due = gate.due(&PACE, second(start, 400));
    let told: Vec<_> = due
        .iter()
        .map(|notice| match notice {
            Notice::One { event, times } => (event.kind(), *times),
            Notice::Summary(_) => panic!("nothing was held"),
        })
        .collect();
    assert_eq!(told, [(Kind::StoreLost, 4), (Kind::StoreBack, 4)]);
}

#[test]
fn more_than_the_limit_is_summed_up_in_one_message() {
    let (mut gate, start) = (Gate::default(), Instant::now());
    let offered = (0..1_000).filter_map(|n| gate.offer(lost(&n.to_string()), &PACE, start));
    assert_eq!(offered.count(), 20);
    assert!(gate.due(&PACE, second(start, 59)).is_empty());
    let due = gate.due(&PACE, second(start, 60));
    let [Notice::Summary(counts)] = &due[..] else {
        panic!("one message: {due:?}");
    };
    assert_eq!(counts.iter().collect::<Vec<_>>(), [(Kind::StoreLost, 980)]);
    assert!(gate.seen.len() <= SUBJECTS);
}

proptest! {
    #[test]
    fn no_minute_has_more_messages_than_the_limit_and_no_event_is_lost(
        // How long until the next event, and whom it is about; no event, only time that passes.
        steps in prop::collection::vec((0_u64..40, prop::option::of(0_u32..12)), 1..300),
        per_minute in 1_usize..8,
        interval in 1_u64..200,
    ) {
        let pace = Pace { per_minute, interval: Duration::from_secs(interval), ..PACE };
        let (mut gate, start) = (Gate::default(), Instant::now());
        let mut now = 0;
        let mut sent: Vec<u64> = Vec::new();
        let (mut offered, mut told) = (0, 0);
        let mut last: HashMap<String, u64> = HashMap::new();
        for (pause, subject) in steps {
            now += pause;
            let mut notices = gate.due(&pace, second(start, now));
            if let Some(subject) = subject {
                offered += 1;
                let event = lost(&subject.to_string());
                notices.extend(gate.offer(event, &pace, second(start, now)));
            }
            for notice in &notices {
                told += weight(notice);
                sent.push(now);
                if let Notice::One { event, .. } = notice {
                    let name = event.store().expect("is about a store").to_owned();
                    let before = last.insert(name, now);
                    prop_assert!(before.is_none_or(|before| before + interval <= now));
                }
            }
            let lately = sent.iter().filter(|at| *at + 60 > now).count();
            prop_assert!(lately <= per_minute);
        }
        // When all is quiet, what was counted is told.
        for _ in 0..100 {
            now += interval.max(60);
            told += gate.due(&pace, second(start, now)).iter().map(weight).sum::<u64>();
        }
        prop_assert_eq!(told, offered);
        prop_assert!(gate.seen.is_empty() && gate.held == Counts::default());
    }
}

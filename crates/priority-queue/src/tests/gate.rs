//! The hand-over of turns.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use proptest::prelude::*;

use ziggurat_core::Priority;

use crate::{
    Claim, Rules,
    gate::{Entry, Gate, Permit, Wakers},
};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A request somewhere on its way, with what its waker has counted.
struct Waiter {
    entry: Option<Entry>,
    permit: Option<Permit>,
    wakes: Arc<Wakes>,
}

impl Waiter {
    fn new(gate: &Arc<Gate>, priority: i64) -> Self {
        Self {
            entry: Some(Entry::new(
                Arc::clone(gate),
                Claim::new(Priority(priority)),
                None,
            )),
            permit: None,
            wakes: Arc::default(),
        }
    }

    fn poll(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.wakes));
        if let Some(entry) = &mut self.entry
            && let Poll::Ready(permit) = entry.poll(&Context::from_waker(&waker))
        {
            self.permit = Some(permit.expect("has room"));
            self.entry = None;
        }
        self.permit.is_some()
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Relaxed)
    }
}

fn in_flight_and_waiting(gate: &Gate) -> (usize, usize) {
    let stats = gate.stats();
    (stats.in_flight, stats.waiting)
}

#[test]
fn a_turn_that_was_given_and_not_taken_goes_to_the_next() {
    // Whoever is polled or dropped first after the grant, the turn is not lost.
    for dropped_before_polled in [false, true] {
        let gate = Arc::new(Gate::new(1, Rules::new()));
        let [mut holder, mut first, mut second] = [0; 3].map(|_| Waiter::new(&gate, 0));
        assert!(holder.poll());
        assert!(!first.poll());
        assert!(!second.poll());
        drop(holder);
        assert_eq!((first.wakes(), second.wakes()), (1, 0));
        if !dropped_before_polled {
            assert!(!second.poll(), "the turn is the first one's");
        }
        drop(first);
        assert_eq!(second.wakes(), 1);
        assert!(second.poll());
        assert_eq!(in_flight_and_waiting(&gate), (1, 0));
        drop(second);
        assert_eq!(in_flight_and_waiting(&gate), (0, 0));
    }
}

#[test]
fn a_waiter_that_moved_to_another_task_is_woken_there() {
    let gate = Arc::new(Gate::new(1, Rules::new()));
    let mut holder = Waiter::new(&gate, 0);
    let mut waiter = Waiter::new(&gate, 0);
    assert!(holder.poll());
    assert!(!waiter.poll());
    let left_behind = std::mem::take(&mut waiter.wakes);
    assert!(!waiter.poll());
    drop(holder);
    assert_eq!((left_behind.0.load(Relaxed), waiter.wakes()), (0, 1));
}

#[test]
fn a_turn_that_is_never_polled_takes_nothing() {
    let gate = Arc::new(Gate::new(1, Rules::new()));
    drop(Entry::new(Arc::clone(&gate), Claim::new(Priority(0)), None));
    assert_eq!(in_flight_and_waiting(&gate), (0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Come(i64),
    Poll(usize),
    Drop(usize),
    Capacity(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (-3..4_i64).prop_map(Step::Come),
        5 => (0..32_usize).prop_map(Step::Poll),
        3 => (0..32_usize).prop_map(Step::Drop),
        1 => (1..4_usize).prop_map(Step::Capacity),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn no_turn_is_lost_and_none_is_made_up(steps in steps()) {
        let gate = Arc::new(Gate::new(1, Rules::new()));
        let mut capacity = 1;
        let mut waiters: Vec<Waiter> = Vec::new();
        for step in steps {
            let wakes = |waiters: &[Waiter]| waiters.iter().map(Waiter::wakes).sum::<usize>();
            let before = wakes(&waiters);
            let mut grown = 0;
            match step {
                Step::Come(priority) => waiters.push(Waiter::new(&gate, priority)),
                Step::Poll(i) if !waiters.is_empty() => {
                    let i = i % waiters.len();
                    waiters[i].poll();
                }
                Step::Drop(i) if !waiters.is_empty() => {
                    let mut dropped = waiters.swap_remove(i % waiters.len());
                    let wakes = Arc::clone(&dropped.wakes);
                    dropped.wakes = Arc::default();
                    drop(dropped);
                    // Its own wakes stay in the sum.
                    waiters.push(Waiter { entry: None, permit: None, wakes });
                }
                Step::Capacity(n) => {
                    grown = n.saturating_sub(capacity);
                    capacity = n;
                    let mut woken = Wakers::default();
                    gate.set_part(n, n, &mut woken);
                    woken.wake();
                }
                Step::Poll(_) | Step::Drop(_) => {}
            }
            let woken = wakes(&waiters) - before;
            prop_assert!(woken <= grown.max(1), "{woken} were woken for one turn");
            let running = waiters.iter().filter(|waiter| waiter.permit.is_some()).count();
            let (in_flight, waiting) = in_flight_and_waiting(&gate);
            prop_assert!(running <= in_flight);
            prop_assert!(waiting == 0 || in_flight >= capacity, "a turn is free and somebody waits");
        }
        // Everybody gets a turn in the end, by wake-ups alone.
        waiters.retain_mut(|waiter| waiter.entry.is_some() && !waiter.poll());
        while !waiters.is_empty() {
            let left = waiters.len();
            waiters.retain_mut(|waiter| waiter.wakes() == 0 || !waiter.poll());
            prop_assert!(waiters.len() < left, "{left} wait for ever");
        }
        prop_assert_eq!(in_flight_and_waiting(&gate), (0, 0));
    }
}

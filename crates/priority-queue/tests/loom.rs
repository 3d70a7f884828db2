//! The hand-over of turns, in every order in which threads can be interleaved.
//!
//! The gate itself is compiled here, with loom's lock in the place of its own.

#![expect(
    dead_code,
    unreachable_pub,
    reason = "a part of the crate is compiled without the rest"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use loom::thread;
use ziggurat_core::Priority;

use self::gate::{Entry, Gate, Wakers};

#[path = "../src/bell.rs"]
mod bell;
#[path = "../src/claim.rs"]
mod claim;
#[path = "../src/gate.rs"]
mod gate;
#[path = "../src/queue/mod.rs"]
mod queue;
#[path = "../src/rules.rs"]
mod rules;
#[path = "../src/splitmix.rs"]
mod splitmix;

use self::{
    claim::{Claim, Tenant},
    rules::{Order, Rules},
};

mod sync {
    /// A lock of loom that is taken as those of the crate are.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no thread panics")
        }
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn entry(gate: &Arc<Gate>) -> Entry {
    Entry::new(Arc::clone(gate), Claim::new(Priority(0)), None)
}

fn poll(entry: &mut Entry, wakes: &Arc<Wakes>) -> bool {
    let waker = Waker::from(Arc::clone(wakes));
    match entry.poll(&Context::from_waker(&waker)) {
        Poll::Ready(permit) => permit.map(drop).is_ok(),
        Poll::Pending => false,
    }
}

/// A gate of capacity one, somebody who has the turn, and two who wait.
struct Scene {
    gate: Arc<Gate>,
    holder: gate::Permit,
    first: Entry,
    second: Entry,
    wakes: Arc<Wakes>,
}

fn scene() -> Scene {
    let gate = Arc::new(Gate::new(1, Rules::new()));
    let [mut holder, mut first, mut second] = [(); 3].map(|()| entry(&gate));
    let wakes = Arc::new(Wakes::default());
    let Poll::Ready(Ok(holder)) = holder.poll(&Context::from_waker(Waker::noop())) else {
        panic!("is free")
    };
    assert!(!poll(&mut first, &Arc::default()));
    assert!(!poll(&mut second, &wakes));
    Scene {
        gate,
        holder,
        first,
        second,
        wakes,
    }
}

#[test]
fn a_permit_granted_to_a_waiter_that_has_just_left_goes_to_the_next() {
    loom::model(|| {
        let mut scene = scene();
        let (holder, first) = (scene.holder, scene.first);
        let ends = thread::spawn(move || drop(holder));
        let leaves = thread::spawn(move || drop(first));
        ends.join().expect("does not panic");
        leaves.join().expect("does not panic");
        assert_eq!(scene.wakes.0.load(Relaxed), 1, "the next one is woken once");
        assert!(poll(&mut scene.second, &scene.wakes));
        let stats = scene.gate.stats();
        assert_eq!((stats.in_flight, stats.waiting), (0, 0));
    });
}

#[test]
fn a_waiter_that_looks_while_the_turn_is_handed_over_takes_it_or_is_woken() {
    loom::model(|| {
        let mut scene = scene();
        let (holder, mut first) = (scene.holder, scene.first);
        let ends = thread::spawn(move || drop(holder));
        let looks = thread::spawn(move || {
            let wakes = Arc::new(Wakes::default());
            let goes = poll(&mut first, &wakes);
            (first, goes, wakes)
        });
        ends.join().expect("does not panic");
        let (mut first, goes, wakes) = looks.join().expect("does not panic");
        if !goes {
            assert_eq!(wakes.0.load(Relaxed), 1, "it is woken by its new waker");
            assert!(poll(&mut first, &wakes));
        }
        assert_eq!(scene.wakes.0.load(Relaxed), 1);
        assert!(poll(&mut scene.second, &scene.wakes));
    });
}

#[test]
fn a_capacity_that_grows_while_a_waiter_leaves_is_not_lost() {
    loom::model(|| {
        let mut scene = scene();
        let (gate, first) = (Arc::clone(&scene.gate), scene.first);
        let grows = thread::spawn(move || {
            let mut woken = Wakers::default();
            gate.set_part(2, 2, &mut woken);
            woken.wake();
        });
        let leaves = thread::spawn(move || drop(first));
        grows.join().expect("does not panic");
        leaves.join().expect("does not panic");
        assert_eq!(scene.wakes.0.load(Relaxed), 1);
        assert!(poll(&mut scene.second, &scene.wakes));
        drop(scene.holder);
        let stats = scene.gate.stats();
        assert_eq!((stats.in_flight, stats.waiting), (0, 0));
    });
}

//! A queue as its waiters share it: a turn as a future, a permit as a guard.

use std::{
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;
use tracing::debug;
use ziggurat_core::{Idle, Observer, Reason};

use crate::{
    Claim, Rules,
    bell::Bell,
    queue::{
        Classes, Elsewhere, Entered, Newcomer, Outline, Place, Queue, Refusal, Seen, Stats, Turn,
        Until, Woken,
    },
    sync::Mutex,
};

/// Who is to be woken, once no lock is held: a waker may run foreign code, which may drop a place.
#[derive(Debug, Default)]
pub(crate) struct Wakers(Woken<Waker>);

impl Wakers {
    pub(crate) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// One queue. No waker is woken or dropped under its lock.
#[derive(Debug)]
pub(crate) struct Gate {
    queue: Mutex<Queue<Waker>>,
    /// Rings when somebody begins to wait, where others have a part of the capacity.
    bell: OnceLock<Arc<Bell>>,
}

impl Gate {
    pub(crate) fn new(capacity: usize, rules: Rules) -> Self {
        Self {
            queue: Mutex::new(Queue::new(capacity, rules, Instant::now())),
            bell: OnceLock::new(),
        }
    }

    pub(crate) fn set_part(&self, part: usize, whole: usize, woken: &mut Wakers) {
        self.queue.lock().set_part(part, whole, &mut woken.0);
    }

    /// Rings from now on when somebody begins to wait, and at once if somebody does.
    pub(crate) fn ring(&self, bell: &Arc<Bell>) {
        let bell = self.bell.get_or_init(|| Arc::clone(bell));
        if !self.is_idle() {
            bell.ring();
        }
    }

    pub(crate) fn set_elsewhere(&self, elsewhere: Option<Elsewhere>) {
        self.queue.lock().set_elsewhere(elsewhere);
    }

    pub(crate) fn outline(&self, now: Instant) -> Outline {
        self.queue.lock().outline(now)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.queue.lock().stats()
    }

    /// What became of the requests of each class.
    pub(crate) fn classes(&self) -> Classes {
        self.queue.lock().classes()
    }

    /// Both, of one moment.
    pub(crate) fn overview(&self) -> (Stats, Classes) {
        let queue = self.queue.lock();
        (queue.stats(), queue.classes())
    }

    /// Changes the queue, then wakes whoever has its turn by that.
    fn with<T>(&self, change: impl FnOnce(&mut Queue<Waker>, &mut Woken<Waker>) -> T) -> T {
        let mut woken = Wakers::default();
        let mut queue = self.queue.lock();
        let before = queue.waiting();
        let result = change(&mut queue, &mut woken.0);
        let after = queue.waiting();
        drop(queue);
        match (before, after) {
            (0, 1..) => {
                debug!("requests begin to wait");
                if let Some(bell) = self.bell.get() {
                    bell.ring();
                }
            }
            (1.., 0) => debug!("nobody waits any more"),
            _ => {}
        }
        woken.wake();
        result
    }
}

impl Idle for Gate {
    fn is_idle(&self) -> bool {
        self.queue.lock().is_idle()
    }
}

/// A request's way to its permit. Dropped, it leaves the queue, and a turn it was given and has not
/// taken goes to the next.
#[derive(Debug)]
pub(crate) struct Entry {
    gate: Arc<Gate>,
    claim: Claim,
    deadline: Option<Instant>,
    place: Option<Place>,
    until: Option<Until>,
}

impl Entry {
    pub(crate) const fn new(gate: Arc<Gate>, claim: Claim, deadline: Option<Instant>) -> Self {
        Self {
            gate,
            claim,
            deadline,
            place: None,
            until: None,
        }
    }

    /// How long it waits at most, once it waits.
    pub(crate) const fn until(&self) -> Option<Until> {
        self.until
    }

    /// Takes the turn when it has come. Not to be polled again after that.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<Permit, Refusal>> {
        let now = Instant::now();
        let turn = match &self.place {
            Some(place) => {
                let waker = cx.waker().clone();
                let seen = self.gate.queue.lock().look(place, now, waker);
                match seen {
                    Seen::Waits(_) => return Poll::Pending,
                    Seen::Goes(turn) => {
                        self.place = None;
                        turn
                    }
                    Seen::Refused(refusal) => {
                        self.place = None;
                        return Poll::Ready(Err(refusal));
                    }
                }
            }
            None => {
                let newcomer = Newcomer {
                    claim: &self.claim,
                    deadline: self.deadline,
                    now,
                };
                let wake = || cx.waker().clone();
                let entered =
                    (self.gate).with(|queue, woken| queue.enter(newcomer, wake, woken))?;
                match entered {
                    Entered::Goes(turn) => turn,
                    Entered::Waits(place, until) => {
                        self.place = Some(place);
                        self.until = until;
                        return Poll::Pending;
                    }
                }
            }
        };
        Poll::Ready(Ok(Permit {
            _held: Some(Held {
                gate: Arc::clone(&self.gate),
                since: now,
                turn,
            }),
        }))
    }

    /// Leaves since it has waited for as long as it may.
    pub(crate) fn give_up(&mut self) -> Refusal {
        let now = Instant::now();
        let place = self.place.take();
        let (turn_at, left) = self.gate.with(|queue, woken| {
            let Some(place) = place else {
                return (None, None);
            };
            let turn_at = queue.turn_at(&place, now);
            (turn_at, queue.leave(&place, true, woken))
        });
        drop(left);
        let reason = Reason::Busy;
        Refusal { reason, turn_at }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let left = (self.gate).with(|queue, woken| queue.leave(&place, false, woken));
            drop(left);
        }
    }
}

/// Capacity for one request, given back when this is dropped: at the settlement of the response it
/// is attached to.
#[derive(Debug)]
pub struct Permit {
    _held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    gate: Arc<Gate>,
    since: Instant,
    turn: Turn,
}

impl Permit {
    /// For a request that no gate holds up.
    pub(crate) const fn ungated() -> Self {
        Self { _held: None }
    }
}

impl Observer for Permit {}

impl Drop for Held {
    fn drop(&mut self) {
        let held: Duration = self.since.elapsed();
        self.gate
            .with(|queue, woken| queue.finish(self.turn, held, woken));
    }
}

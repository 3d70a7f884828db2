//! One call for all who ask the same at the same time.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use ziggurat_core::{Idle, Keyed};

use crate::{CacheKey, Entry};

/// How many calls may be shared at the same time.
const AT_ONCE: usize = 1 << 16;

/// The calls that are under way.
#[derive(Clone, Debug)]
pub(crate) struct Flights(Arc<Keyed<CacheKey, Flight>>);

impl Flights {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Keyed::new(AT_ONCE)))
    }

    /// Joins those who ask for the same.
    pub(crate) fn join(&self, key: &CacheKey) -> Seat {
        let flight = self.0.get_or_default(key);
        let mut round = flight.0.lock();
        // One that is over is not joined: its answer is in the store, or it is of no use.
        if round.upgrade().is_none_or(|round| round.is_over()) {
            let new = Arc::new(Round::default());
            *round = Arc::downgrade(&new);
            return Seat::new(new);
        }
        Seat::new(round.upgrade().expect("it was there"))
    }
}

/// The latest round of a key. It lives as long as somebody sits in it.
#[derive(Default)]
struct Flight(Mutex<std::sync::Weak<Round>>);

impl Idle for Flight {
    fn is_idle(&self) -> bool {
        self.0.lock().strong_count() == 0
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").finish_non_exhaustive()
    }
}

/// One call and those who wait for it.
#[derive(Debug, Default)]
struct Round(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    waiting: Vec<(u64, Waker)>,
    last: u64,
}

#[derive(Debug, Default)]
enum Stage {
    /// Nobody calls.
    #[default]
    Free,
    Led,
    /// With the answer, if there is one that serves all.
    Over(Option<Arc<Entry>>),
}

impl Round {
    fn is_over(&self) -> bool {
        matches!(self.0.lock().stage, Stage::Over(_))
    }

    /// Wakes all: whoever is first does what there is to do.
    fn set(&self, stage: Stage) {
        let waiting = {
            let mut state = self.0.lock();
            state.stage = stage;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// A place among those who ask for the same.
#[derive(Debug)]
pub(crate) struct Seat {
    round: Arc<Round>,
    id: u64,
}

/// What becomes of who waited.
#[derive(Debug)]
pub(crate) enum Turn {
    /// To make the call, for all.
    Lead(Lead),
    /// To take the answer of who did.
    Take(Arc<Entry>),
    /// To make a call of one's own: it did not work out.
    Alone,
}

impl Seat {
    fn new(round: Arc<Round>) -> Self {
        let id = {
            let mut state = round.0.lock();
            state.last += 1;
            state.last
        };
        Self { round, id }
    }

    /// Waits for one's turn. *Cancel safe*: who leaves is not waited for.
    pub(crate) fn poll_turn(&self, cx: &Context<'_>) -> Poll<Turn> {
        let mut state = self.round.0.lock();
        match &state.stage {
            Stage::Free => {
                state.stage = Stage::Led;
                let round = Arc::clone(&self.round);
                Poll::Ready(Turn::Lead(Lead(Some(round))))
            }
            Stage::Over(Some(entry)) => Poll::Ready(Turn::Take(Arc::clone(entry))),
            Stage::Over(None) => Poll::Ready(Turn::Alone),
            Stage::Led => {
                let id = self.id;
                match state.waiting.iter_mut().find(|(it, _)| *it == id) {
                    Some((_, waker)) => waker.clone_from(cx.waker()),
                    None => state.waiting.push((id, cx.waker().clone())),
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.round.0.lock();
        state.waiting.retain(|(id, _)| *id != self.id);
    }
}

/// The duty to make the call. Dropped without a word, it goes to the next who waits.
#[derive(Debug)]
pub(crate) struct Lead(Option<Arc<Round>>);

impl Lead {
    /// Says how the call ended: with an answer for all, or with none.
    pub(crate) fn land(mut self, entry: Option<Arc<Entry>>) {
        if let Some(round) = self.0.take() {
            round.set(Stage::Over(entry));
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if let Some(round) = self.0.take() {
            round.set(Stage::Free);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn turn(seat: &Seat) -> Poll<Turn> {
        seat.poll_turn(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_first_leads_and_the_others_take_what_it_got() {
        let flights = Flights::new();
        let key = CacheKey::from_bytes([1; 32]);
        let seats: Vec<_> = (0..3).map(|_| flights.join(&key)).collect();
        let Poll::Ready(Turn::Lead(lead)) = turn(&seats[0]) else {
            panic!("leads")
        };
        assert!(turn(&seats[1]).is_pending() && turn(&seats[2]).is_pending());
        lead.land(Some(Arc::new(Entry::whole("x"))));
        for seat in &seats[1..] {
            assert!(matches!(turn(seat), Poll::Ready(Turn::Take(_))));
        }
        // Who comes later finds it in the store, and begins anew if not.
        assert!(matches!(
            turn(&flights.join(&key)),
            Poll::Ready(Turn::Lead(_))
        ));
    }

    #[test]
    fn a_leader_that_leaves_hands_over_and_one_that_fails_lets_all_go() {
        let flights = Flights::new();
        let key = CacheKey::from_bytes([1; 32]);
        let (one, two) = (flights.join(&key), flights.join(&key));
        let Poll::Ready(Turn::Lead(lead)) = turn(&one) else {
            panic!("leads")
        };
        assert!(turn(&two).is_pending());
        drop(lead);
        let Poll::Ready(Turn::Lead(lead)) = turn(&two) else {
            panic!("leads now")
        };
        let three = flights.join(&key);
        assert!(turn(&three).is_pending());
        lead.land(None);
        assert!(matches!(turn(&three), Poll::Ready(Turn::Alone)));
    }

    #[test]
    fn who_waits_and_leaves_is_forgotten_and_so_is_a_round_without_anybody() {
        let flights = Flights::new();
        let key = CacheKey::from_bytes([1; 32]);
        let one = flights.join(&key);
        let Poll::Ready(Turn::Lead(lead)) = turn(&one) else {
            panic!("leads")
        };
        let two = flights.join(&key);
        assert!(turn(&two).is_pending());
        drop(two);
        assert!(one.round.0.lock().waiting.is_empty());
        drop((one, lead));
        assert!(flights.0.get(&key).is_none_or(|flight| flight.is_idle()));
    }
}

//! Who goes next: capacity, order of the waiting, and how long a wait will be.

use std::time::Duration;

use tokio::time::Instant;
use ziggurat_core::{Priority, Reason, Rejection, Scope};

use crate::ranked::Ranked;

/// How much the newest completion weighs in the mean time of service.
const GAIN: f64 = 1.0 / 8.0;

/// Hands out `capacity` turns, to the waiting in the order of their keys.
///
/// # Order
///
/// A waiter's effective priority is `priority − waited / aging`: it gains one step with each
/// `aging` spent waiting. All waiters gain at the same rate, so two of them never change places,
/// and multiplying by `aging` and leaving out the time that is the same for all gives a key that
/// stays as it is: `arrival + priority × aging`. The queue is sorted once, on arrival.
///
/// # Turns
///
/// While anybody waits, every turn is taken. A turn that ends goes to the first in line by removing
/// it from the queue: a waiter that finds itself gone *has* its turn, whether it has looked or not,
/// and one that leaves then passes the turn on.
///
/// # Prediction
///
/// By Little's law (1961) a system of `capacity` turns that are held for `mean` each frees one every
/// `mean / capacity`. `mean` is an exponentially weighted average over completions.
///
/// `W` wakes a waiter. Those that come back from a method belong to waiters whose turn has come, if
/// it does not say otherwise, and are woken or dropped by the caller, after letting go of its lock.
#[derive(Debug)]
pub(crate) struct Queue<W> {
    capacity: usize,
    in_flight: usize,
    max_waiting: usize,
    aging: Duration,
    epoch: Instant,
    arrivals: u64,
    waiting: Ranked<Place, W>,
    mean_held: Option<f64>,
    waits: u64,
    waited: Duration,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    key: i128,
    number: u64,
    arrival: Instant,
}

/// A queue at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many requests may be in flight.
    pub capacity: usize,
    /// How many are.
    pub in_flight: usize,
    /// How many wait.
    pub waiting: usize,
    /// How many have waited, and got their turn.
    pub waits: u64,
    /// How long those have waited, all together.
    pub waited: Duration,
    /// How long a request holds its turn, on average of late; `None` before the first has ended.
    pub mean_held: Option<Duration>,
}

impl<W> Queue<W> {
    pub(crate) fn new(capacity: usize, now: Instant) -> Self {
        Self {
            capacity,
            in_flight: 0,
            max_waiting: 1_000,
            aging: Duration::from_secs(10),
            epoch: now,
            arrivals: 0,
            waiting: Ranked::new(),
            mean_held: None,
            waits: 0,
            waited: Duration::ZERO,
        }
    }

    pub(crate) fn set_max_waiting(&mut self, requests: usize) {
        self.max_waiting = requests;
    }

    pub(crate) fn set_aging(&mut self, aging: Duration) {
        self.aging = aging;
    }

    /// Takes a turn, or a place in the queue.
    pub(crate) fn enter(
        &mut self,
        priority: Priority,
        deadline: Option<Instant>,
        now: Instant,
        wake: impl FnOnce() -> W,
    ) -> Result<Option<Place>, Rejection> {
        if self.in_flight < self.capacity {
            self.in_flight += 1;
            return Ok(None);
        }
        let place = self.place(priority, now);
        let turn_at = self.predict(&place, now);
        let refuse = |reason| {
            let rejection = Rejection::new(reason, Scope::Request);
            Err(turn_at.map_or(rejection.clone(), |at| rejection.retry_at(at)))
        };
        if self.waiting.len() >= self.max_waiting {
            return refuse(Reason::QueueFull);
        }
        if deadline.is_some_and(|deadline| turn_at.unwrap_or(now) >= deadline) {
            return refuse(Reason::Deadline);
        }
        self.arrivals += 1;
        self.waiting.insert(place, wake());
        Ok(Some(place))
    }

    fn place(&self, priority: Priority, now: Instant) -> Place {
        let nanos = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        let head_start = i128::from(priority.0).saturating_mul(nanos(self.aging));
        let arrival = nanos(now.saturating_duration_since(self.epoch));
        Place {
            key: head_start.saturating_add(arrival),
            number: self.arrivals,
            arrival: now,
        }
    }

    /// When a newcomer at this place would have its turn, if nobody overtook it.
    fn predict(&self, place: &Place, now: Instant) -> Option<Instant> {
        let too_many = self.in_flight.saturating_sub(self.capacity);
        let ends = self.waiting.rank(place) + too_many + 1;
        let wait = self.mean_held? * ends as f64 / self.capacity as f64;
        now.checked_add(Duration::try_from_secs_f64(wait).ok()?)
    }

    /// Lets a waiter be woken by `wake` from now on, instead of by what is returned; `None` if it
    /// has its turn.
    pub(crate) fn wait(&mut self, place: &Place, now: Instant, wake: W) -> Option<W> {
        if let Some(waiting) = self.waiting.get_mut(place) {
            return Some(std::mem::replace(waiting, wake));
        }
        self.waits += 1;
        self.waited += now.saturating_duration_since(place.arrival);
        None
    }

    /// Takes a waiter out of the queue; `None` if it has its turn.
    pub(crate) fn leave(&mut self, place: &Place) -> Option<W> {
        self.waiting.remove(place)
    }

    /// Ends a turn that was held for that long.
    pub(crate) fn finish(&mut self, held: Duration) -> Option<W> {
        let held = held.as_secs_f64();
        let mean = self.mean_held.get_or_insert(held);
        *mean += (held - *mean) * GAIN;
        self.pass_on()
    }

    /// Ends a turn that was not made use of.
    pub(crate) fn pass_on(&mut self) -> Option<W> {
        self.in_flight -= 1;
        self.admit()
    }

    fn admit(&mut self) -> Option<W> {
        if self.in_flight >= self.capacity {
            return None;
        }
        let next = self.waiting.pop_first()?;
        self.in_flight += 1;
        Some(next)
    }

    /// Changes the capacity. If it shrinks, turns that are taken are not cut short.
    pub(crate) fn set_capacity(&mut self, capacity: usize) -> Vec<W> {
        self.capacity = capacity;
        std::iter::from_fn(|| self.admit()).collect()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            capacity: self.capacity,
            in_flight: self.in_flight,
            waiting: self.waiting.len(),
            waits: self.waits,
            waited: self.waited,
            mean_held: self.mean_held.map(Duration::from_secs_f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AGING: Duration = Duration::from_millis(10);

    fn queue(capacity: usize) -> (Queue<u32>, Instant) {
        let now = Instant::now();
        let mut queue = Queue::new(capacity, now);
        queue.set_aging(AGING);
        (queue, now)
    }

    fn rejection(queue: &mut Queue<u32>, deadline: Option<Instant>, now: Instant) -> Rejection {
        queue
            .enter(Priority(0), deadline, now, || 0)
            .expect_err("is refused")
    }

    #[test]
    fn a_low_priority_is_not_starved_by_a_flood_of_high_ones() {
        let (mut queue, start) = queue(1);
        let enter = |queue: &mut Queue<u32>, priority, at, id| {
            let now = start + Duration::from_millis(at);
            queue
                .enter(Priority(priority), None, now, || id)
                .expect("has room")
        };
        assert_eq!(enter(&mut queue, 0, 0, 0), None);
        enter(&mut queue, 5, 0, 1);
        // Two high ones come for each that goes, for ever; after five steps the low one is due.
        for at in (1..).take(200) {
            enter(&mut queue, 0, at, 2);
            enter(&mut queue, 0, at, 2);
            if queue.finish(Duration::from_millis(1)) == Some(1) {
                assert!((50..=101).contains(&at), "its turn came at {at} ms");
                return;
            }
        }
        panic!("it starved");
    }

    #[test]
    fn extremes_of_priority_and_aging_keep_an_order() {
        let (mut queue, now) = queue(1);
        queue.set_aging(Duration::MAX);
        for (id, priority) in [0, i64::MAX, i64::MIN, 1, -1, i64::MAX]
            .into_iter()
            .enumerate()
        {
            queue
                .enter(Priority(priority), None, now, || id as u32)
                .expect("has room");
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.finish(AGING)).collect();
        assert_eq!(order, [2, 4, 3, 1, 5]);
    }

    #[test]
    fn a_full_queue_says_when_a_turn_would_have_come() {
        let (mut queue, now) = queue(2);
        queue.set_max_waiting(3);
        for _ in 0..2 {
            assert_eq!(queue.enter(Priority(0), None, now, || 0), Ok(None));
        }
        for _ in 0..3 {
            assert!(matches!(
                queue.enter(Priority(0), None, now, || 0),
                Ok(Some(_))
            ));
        }
        let unknown = rejection(&mut queue, None, now);
        assert_eq!(
            (unknown.reason(), unknown.ends_at()),
            (Reason::QueueFull, None)
        );

        queue.finish(Duration::from_secs(4));
        assert!(matches!(
            queue.enter(Priority(0), None, now, || 0),
            Ok(Some(_))
        ));
        let full = rejection(&mut queue, None, now);
        // Four turns of four seconds have to end, and two end at a time.
        assert_eq!(full.ends_at(), Some(now + Duration::from_secs(8)));
        assert_eq!(full.scope(), Scope::Request);
    }

    #[test]
    fn the_prediction_follows_the_capacity_and_how_long_turns_are_of_late() {
        let (mut queue, now) = queue(2);
        queue.set_max_waiting(0);
        for _ in 0..2 {
            assert_eq!(queue.enter(Priority(0), None, now, || 0), Ok(None));
        }
        let mut wait_after = |capacity, held| {
            queue.finish(Duration::from_secs(held));
            queue
                .enter(Priority(0), None, now, || 0)
                .expect("one is free");
            queue.set_capacity(capacity);
            let refused = rejection(&mut queue, None, now);
            queue.set_capacity(2);
            refused.ends_at().map(|at| (at - now).as_secs_f64())
        };
        assert_eq!(wait_after(2, 8), Some(4.0));
        assert_eq!(wait_after(1, 8), Some(16.0), "two turns have to end");
        assert_eq!(wait_after(2, 16), Some(4.5), "an eighth of the way to 16 s");
    }

    #[test]
    fn who_would_wait_past_the_deadline_is_refused_and_who_goes_before_the_others_is_not() {
        let (mut queue, now) = queue(1);
        queue.enter(Priority(0), None, now, || 0).expect("is free");
        queue.finish(Duration::from_secs(1));
        for _ in 0..4 {
            queue.enter(Priority(0), None, now, || 0).expect("has room");
        }
        let deadline = now + Duration::from_secs(3);
        let late = rejection(&mut queue, Some(deadline), now);
        assert_eq!(late.reason(), Reason::Deadline);
        assert_eq!(late.ends_at(), Some(now + Duration::from_secs(4)));
        queue
            .enter(Priority(-1), Some(deadline), now, || 0)
            .expect("is first in line");
        let passed = rejection(&mut queue, Some(now), now);
        assert_eq!(passed.reason(), Reason::Deadline);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Enter(i64),
        Advance(u64),
        /// A turn ends, or a waiter leaves.
        Go(usize),
        Capacity(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (-3..4_i64).prop_map(Step::Enter),
            2 => (0..30_u64).prop_map(Step::Advance),
            4 => (0..32_usize).prop_map(Step::Go),
            1 => (1..5_usize).prop_map(Step::Capacity),
        ];
        prop::collection::vec(step, 0..300)
    }

    /// A list that is searched for the lowest effective priority whenever a turn is free.
    #[derive(Default)]
    struct Model {
        capacity: usize,
        in_flight: Vec<u32>,
        waiting: Vec<(u32, i64, Instant)>,
    }

    impl Model {
        fn admit(&mut self, now: Instant) -> Vec<u32> {
            let aging = AGING.as_millis() as i64;
            let effective = |(_, priority, arrival): &(u32, i64, Instant)| {
                priority * aging - (now - *arrival).as_millis() as i64
            };
            let mut woken = Vec::new();
            while self.in_flight.len() < self.capacity && !self.waiting.is_empty() {
                let lowest = self.waiting.iter().map(effective).min();
                let next = self
                    .waiting
                    .iter()
                    .position(|w| Some(effective(w)) == lowest);
                let (id, ..) = self.waiting.remove(next.expect("one is the lowest"));
                self.in_flight.push(id);
                woken.push(id);
            }
            woken
        }
    }

    proptest! {
        #[test]
        fn it_serves_as_a_list_that_is_searched_each_time(steps in steps()) {
            let (mut queue, mut now) = queue(2);
            let mut model = Model { capacity: 2, ..Model::default() };
            let mut places = std::collections::HashMap::new();
            for (id, step) in (0_u32..).zip(steps) {
                let mut woken: Vec<u32> = Vec::new();
                match step {
                    Step::Enter(priority) => {
                        model.waiting.push((id, priority, now));
                        match queue.enter(Priority(priority), None, now, || id).expect("has room") {
                            Some(place) => drop(places.insert(id, place)),
                            None => woken.push(id),
                        }
                    }
                    Step::Advance(millis) => now += Duration::from_millis(millis),
                    Step::Go(i) => {
                        let all = model.in_flight.len() + model.waiting.len();
                        if all == 0 {
                            continue;
                        }
                        let i = i % all;
                        if i < model.in_flight.len() {
                            model.in_flight.remove(i);
                            woken.extend(queue.finish(AGING));
                        } else {
                            let (id, ..) = model.waiting.remove(i - model.in_flight.len());
                            prop_assert_eq!(queue.leave(&places[&id]), Some(id));
                        }
                    }
                    Step::Capacity(n) => {
                        model.capacity = n;
                        woken.extend(queue.set_capacity(n));
                    }
                }
                prop_assert_eq!(woken, model.admit(now));
                let stats = queue.stats();
                prop_assert_eq!(stats.in_flight, model.in_flight.len());
                prop_assert_eq!(stats.waiting, model.waiting.len());
            }
        }
    }
}

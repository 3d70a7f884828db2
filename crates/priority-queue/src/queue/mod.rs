//! Who goes next: capacity, order of the waiting, and how long a wait will be.

mod admit;
mod demand;
mod elsewhere;
mod fair;
mod level;
mod levels;
mod pace;
mod part;
mod predict;
mod ranked;
mod stand;
mod stats;
mod tenants;

use std::{sync::Arc, time::Duration};

use slab::Slab;
use smallvec::SmallVec;
use tokio::time::Instant;
use ziggurat_core::Reason;

pub use self::{
    demand::Demand,
    stats::{ClassStats, Stats},
};
pub(crate) use self::{demand::Outline, elsewhere::Elsewhere};
use self::{
    level::{Entry, Lane, PATIENCE},
    levels::{At, Levels},
    pace::Pace,
    stand::Stand,
    stats::Book,
    tenants::{TenantId, Tenants},
};
use crate::{Claim, Rules};

/// What wakes those whose wait is over: their turn has come, or they were pushed out. To be woken,
/// or dropped, after letting go of the lock.
pub(crate) type Woken<W> = SmallVec<[W; 4]>;

/// Hands out a capacity in turns.
///
/// # Turns
///
/// While anybody waits who may go, every unit is taken. What a turn gives back goes to the next in
/// line by taking them out of it: a waiter that is found to have its turn *has* it, whether it has
/// looked or not, and one that leaves then passes the turn on.
///
/// # Large ones
///
/// Who is next and costs more than is free *gathers*: it leaves the line, and of what comes free from
/// then on every second unit is kept for it, while the others are handed out as usual; all of it
/// where nobody else could use it. So it has its turn after twice its cost has come free, at the
/// latest, and takes no more than half of the capacity from the others until then. One gathers at a
/// time.
///
/// # Prediction
///
/// What stands before a newcomer, in units, by the [pace](Pace) at which units come free. Nobody is
/// expected to come after it and overtake it.
///
/// `W` wakes a waiter.
#[derive(Debug)]
pub(crate) struct Queue<W> {
    rules: Rules,
    capacity: usize,
    /// What this capacity is a part of, and itself if of nothing.
    whole: usize,
    elsewhere: Option<Elsewhere>,
    in_use: usize,
    in_flight: usize,
    waiters: Slab<Waiter<W>>,
    levels: Levels,
    tenants: Tenants,
    gathers: Option<Gathers>,
    pace: Pace,
    arrivals: u64,
    books: Box<[Book]>,
}

#[derive(Debug)]
struct Waiter<W> {
    state: State<W>,
    at: At,
    tenant: TenantId,
    class: usize,
    arrival: Instant,
    cost: usize,
    bytes: usize,
}

#[derive(Debug)]
enum State<W> {
    Waiting(W),
    Granted(Turn),
    Shed(Option<Instant>),
}

/// Who waits for more units than are free, and what it has of them.
#[derive(Debug)]
struct Gathers {
    slot: usize,
    has: usize,
    /// What was handed out to others meanwhile.
    others: usize,
}

/// Units that are taken. To be given back by [`Queue::finish`] or [`Queue::pass_on`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    units: usize,
    /// Whose it is, where that is counted.
    tenant: Option<TenantId>,
}

/// A place in the queue. Its owner gives it up by [`Queue::leave`], or by [`Queue::look`] telling
/// that the wait is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// What became of somebody who came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    Goes(Turn),
    /// It waits, until that time at most.
    Waits(Place, Option<Until>),
}

/// How long somebody waits at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Until {
    pub(crate) at: Instant,
    /// Whether that is the end of its own time, and not of what may be waited.
    pub(crate) is_deadline: bool,
}

/// What has become of somebody who waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen<W> {
    /// It waits on, woken by the new waker in the place of this one.
    Waits(W),
    Goes(Turn),
    Refused(Refusal),
}

/// Why somebody does not wait, and when its turn would have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) turn_at: Option<Instant>,
}

/// The name of each class, if they have some, and what became of its requests.
pub(crate) type Classes = Vec<(Option<Arc<str>>, ClassStats)>;

/// Who comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newcomer<'a> {
    pub(crate) claim: &'a Claim,
    pub(crate) deadline: Option<Instant>,
    pub(crate) now: Instant,
}

impl<W> Queue<W> {
    pub(crate) fn new(capacity: usize, rules: Rules, now: Instant) -> Self {
        let classes = rules.classes.len().max(1);
        Self {
            capacity,
            whole: capacity,
            elsewhere: None,
            in_use: 0,
            in_flight: 0,
            waiters: Slab::new(),
            levels: Levels::new(rules.order, rules.aging, now),
            tenants: Tenants::new(),
            gathers: None,
            pace: Pace::default(),
            arrivals: 0,
            books: std::iter::repeat_with(Book::default)
                .take(classes)
                .collect(),
            rules,
        }
    }

    /// Takes a turn, or a place in the queue.
    pub(crate) fn enter(
        &mut self,
        newcomer: Newcomer<'_>,
        wake: impl FnOnce() -> W,
        woken: &mut Woken<W>,
    ) -> Result<Entered, Refusal> {
        let cost = newcomer.claim.cost.min(self.rules.max_cost).max(1);
        let units = self.units_of(cost);
        // Units are free only while nobody waits who could use them.
        if self.gathers.is_none() && units <= self.free() {
            let tenant = match self.rules.max_in_flight_per_tenant {
                Some(most) => {
                    let id = self.join(newcomer.claim);
                    (self.tenants.of(id).in_flight < most).then_some(Some(id))
                }
                None => Some(None),
            };
            if let Some(tenant) = tenant {
                return Ok(Entered::Goes(self.take(units, tenant)));
            }
        }
        let stand = self.stand(newcomer, cost);
        if let Err(reason) = self.admissible(newcomer, &stand, woken) {
            self.books[stand.class].refuse(reason);
            let turn_at = stand.turn_at;
            return Err(Refusal { reason, turn_at });
        }
        Ok(self.wait(newcomer, &stand, wake(), woken))
    }

    fn wait(
        &mut self,
        newcomer: Newcomer<'_>,
        stand: &Stand,
        wake: W,
        woken: &mut Woken<W>,
    ) -> Entered {
        let (arrival, bytes, cost) = (newcomer.now, newcomer.claim.bytes, stand.cost);
        let slot = self.waiters.insert(Waiter {
            state: State::Waiting(wake),
            at: At {
                level: stand.of.level,
                lane: stand.of.lane,
                key: stand.key,
            },
            tenant: stand.tenant,
            class: stand.class,
            arrival,
            cost,
            bytes,
        });
        let entry = Entry {
            key: stand.key,
            slot,
            arrival,
            cost,
            units: self.units_of(cost),
            bytes,
        };
        self.arrivals += 1;
        self.tenants.of(stand.tenant).waiting += 1;
        self.books[stand.class].waits(bytes);
        self.levels.add(stand.of, entry);
        if self.has_enough(stand.tenant) {
            self.levels.park(stand.of.level, stand.tenant);
        }
        // It may be large and find some units free.
        self.admit(woken);
        Entered::Waits(Place(slot), stand.until)
    }

    /// Lets a waiter be woken by `wake` from now on, if it still waits.
    pub(crate) fn look(&mut self, place: &Place, now: Instant, wake: W) -> Seen<W> {
        let waiter = &mut self.waiters[place.0];
        if let State::Waiting(before) = &mut waiter.state {
            return Seen::Waits(std::mem::replace(before, wake));
        }
        let waiter = self.waiters.remove(place.0);
        match waiter.state {
            State::Granted(turn) => {
                let waited = now.saturating_duration_since(waiter.arrival);
                self.books[waiter.class].went(waited);
                Seen::Goes(turn)
            }
            State::Shed(turn_at) => Seen::Refused(Refusal {
                reason: Reason::QueueFull,
                turn_at,
            }),
            State::Waiting(_) => unreachable!("was looked at above"),
        }
    }

    /// Takes somebody out of the queue who hangs up, or for whom the wait `is_over`. Returns what
    /// would have woken it.
    pub(crate) fn leave(
        &mut self,
        place: &Place,
        is_over: bool,
        woken: &mut Woken<W>,
    ) -> Option<W> {
        let waiter = self.waiters.remove(place.0);
        match waiter.state {
            State::Waiting(wake) => {
                self.tenants.of(waiter.tenant).waiting -= 1;
                self.books[waiter.class].left(waiter.bytes, is_over);
                match self.gathers.take_if(|gathers| gathers.slot == place.0) {
                    Some(gathers) => {
                        self.in_use -= gathers.has;
                        self.levels.unpark(waiter.tenant);
                        self.admit(woken);
                    }
                    None => drop(self.levels.remove(&waiter.at)),
                }
                Some(wake)
            }
            State::Granted(turn) => {
                self.pass_on(turn, woken);
                None
            }
            State::Shed(_) => None,
        }
    }

    /// When the turn of somebody who waits would come, as far as one knows.
    pub(crate) fn turn_at(&mut self, place: &Place, now: Instant) -> Option<Instant> {
        let waiter = self.waiters.get(place.0)?;
        let (at, tenant, class, cost) = (waiter.at, waiter.tenant, waiter.class, waiter.cost);
        self.predict_for(&at, tenant, class, cost, now)
    }

    /// Ends a turn that was held for that long.
    pub(crate) fn finish(&mut self, turn: Turn, held: Duration, woken: &mut Woken<W>) {
        self.pace.note(held, turn.units);
        self.pass_on(turn, woken);
    }

    /// Ends a turn that was not made use of.
    pub(crate) fn pass_on(&mut self, turn: Turn, woken: &mut Woken<W>) {
        self.in_use -= turn.units;
        self.in_flight -= 1;
        if let Some(id) = turn.tenant {
            self.tenants.of(id).in_flight -= 1;
            self.levels.unpark(id);
        }
        self.admit(woken);
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.levels.load.requests + usize::from(self.gathers.is_some())
    }

    fn bytes(&self) -> usize {
        let gathers = self.gathers.as_ref();
        let gathers = gathers.map_or(0, |gathers| self.waiters[gathers.slot].bytes);
        self.levels.load.bytes.saturating_add(gathers)
    }

    /// Whether nobody is here.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.waiters.is_empty()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mean_held = self.pace.of_turn();
        Stats {
            capacity: self.capacity,
            in_use: self.in_use,
            in_flight: self.in_flight,
            waiting: self.waiting(),
            waiting_bytes: self.bytes(),
            waits: self.books.iter().map(|book| book.0.waits).sum(),
            waited: self.books.iter().map(|book| book.0.waited).sum(),
            mean_held: mean_held.map(Duration::from_secs_f64),
        }
    }

    /// What became of the requests of each class.
    pub(crate) fn classes(&self) -> Classes {
        let name = |class: usize| self.rules.classes.get(class).map(|it| Arc::clone(&it.name));
        let books = self.books.iter().enumerate();
        books.map(|(class, book)| (name(class), book.0)).collect()
    }
}

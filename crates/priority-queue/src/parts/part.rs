//! This instance's part of a capacity.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    Answer, Depth, GRACE, LEAST, MOST, Report, Told,
    report::together,
    split::{Seat, split},
    store::Other,
};
use crate::{Capacity, Order, bell::Bell, gate::Wakers, queue::Elsewhere, splitmix};

/// How long nothing grows after that: until all have told what they have in use.
const SETTLES: Duration = Duration::from_millis(500);

/// How long a part is kept at which nobody is.
const IDLE: Duration = Duration::from_secs(2);

/// How often the store is told while somebody waits, and while nobody does.
const WAITING: Duration = Duration::from_millis(50);
const QUIET: Duration = Duration::from_millis(100);

/// For how long a fraction of a unit is one's, where capacity is shared by weight. In milliseconds.
const TURN: u64 = 500;

/// How many instances are counted on.
const MOST_INSTANCES: usize = 256;

/// This instance's part of a gate's capacity.
pub(crate) struct Part {
    capacity: Capacity,
    bell: Arc<Bell>,
    /// How many instances there are, as far as is known.
    instances: Arc<AtomicUsize>,
    /// What it is a part of, to hold on to it.
    whole: Mutex<Option<Capacity>>,
    state: Mutex<State>,
}

struct State {
    whole: usize,
    /// Whether the store says how much it is.
    is_shared: bool,
    part: usize,
    /// What the store has set aside, as it said last.
    held: usize,
    now: u64,
    others: Vec<Other>,
    heard_at: Instant,
    failing_since: Option<Instant>,
    /// Whether it is alone and was not before.
    was_cut_off: bool,
    /// When it may grow again after that.
    settles_at: Option<Instant>,
    idle_since: Option<Instant>,
}

/// What is to be said to the store.
pub(super) enum Ask {
    Tell(Told),
    /// Nobody is here, and nothing is held any more.
    Forget,
}

impl Part {
    /// The part of one of so many instances, of which the store knows or not.
    pub(super) fn new(bell: Bell, is_shared: bool, instances: Arc<AtomicUsize>) -> Self {
        let bell = Arc::new(bell);
        Self {
            capacity: Capacity::part(Arc::clone(&bell)),
            bell,
            instances,
            whole: Mutex::new(None),
            state: Mutex::new(State {
                whole: 0,
                is_shared,
                part: 0,
                held: 0,
                now: 0,
                others: Vec::new(),
                heard_at: Instant::now(),
                failing_since: None,
                was_cut_off: false,
                settles_at: None,
                idle_since: None,
            }),
        }
    }

    pub(super) const fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// Makes this a part of another capacity.
    pub(super) fn follow(self: &Arc<Self>, whole: &Capacity) {
        let mut woken = Wakers::default();
        let mut current = self.whole.lock();
        if !current.as_ref().is_some_and(|it| it.is_same(whole)) {
            if let Some(before) = current.replace(whole.clone()) {
                before.leave(self);
            }
            whole.tell(self, &mut woken);
        }
        drop(current);
        woken.wake();
    }

    /// Whether anybody goes by it.
    pub(super) fn is_used(&self) -> bool {
        self.capacity.is_used()
    }

    pub(crate) fn set_whole(&self, whole: usize, woken: &mut Wakers) {
        let mut state = self.state.lock();
        if state.is_shared && state.is_unbounded() {
            // Nothing of it is set aside yet.
            state.part = 0;
        }
        state.whole = whole;
        if !state.is_shared {
            state.part = self.alone(&state);
        }
        self.apply(&mut state, woken);
        let is_bounded = !state.is_unbounded();
        drop(state);
        if is_bounded && !self.is_idle() {
            self.bell.ring();
        }
    }

    /// What to say to the store now. The part shrinks before that is said.
    pub(super) fn ask(&self, me: &str, now: Instant, woken: &mut Wakers) -> Ask {
        // What changes from here on is told the next time.
        self.bell.hush();
        let mut state = self.state.lock();
        let (mut report, order) = self.report();
        if report.is_idle() {
            let since = *state.idle_since.get_or_insert(now);
            if state.is_shared && now - since >= IDLE {
                (state.part, state.held) = (0, 0);
                state.others.clear();
                self.apply(&mut state, woken);
                self.tell_gates(None);
                (report, _) = self.report();
                if report.is_idle() {
                    return Ask::Forget;
                }
            }
        } else {
            state.idle_since = None;
        }
        let mut wants = self.target(&state, me, &report, order, now);
        if !state.is_shared {
            // The others are not known, and may have more than they had.
            wants = wants.min(usize::try_from(report.in_use).unwrap_or(usize::MAX));
        } else if state.settles_at.is_some_and(|at| now < at) {
            wants = wants.min(state.part);
        }
        if state.is_shared && wants < state.part {
            state.part = wants;
            self.apply(&mut state, woken);
            // Who went before it shrank is told of.
            (report, _) = self.report();
        }
        Ask::Tell(Told {
            whole: (state.whole as u64).min(MOST),
            wants: (wants as u64).min(MOST),
            report,
        })
    }

    /// Takes what the store says. Returns when to ask again.
    pub(super) fn hear(
        &self,
        me: &str,
        asked: (Instant, &Told),
        answer: Option<Answer>,
        now: Instant,
        woken: &mut Wakers,
    ) -> Instant {
        let (asked_at, told) = asked;
        let mut state = self.state.lock();
        let Some(answer) = answer else {
            let since = *state.failing_since.get_or_insert(asked_at);
            if state.is_shared && now - since >= GRACE {
                self.go_on_alone(&mut state, woken);
            }
            return now + QUIET;
        };
        let units = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
        state.failing_since = None;
        state.is_shared_from(now);
        state.held = units(answer.held);
        (state.now, state.others, state.heard_at) = (answer.now, answer.others, now);
        let (report, order) = self.report();
        let wants = self.target(&state, me, &report, order, now);
        let granted = units(answer.held.min(told.wants));
        state.part = granted.min(wants);
        self.apply(&mut state, woken);
        self.tell_gates(Some(&state.elsewhere()));
        let others = &state.others;
        let taken: u64 = others.iter().map(|it| it.held).sum();
        let is_settled = state.settles_at.is_none_or(|at| at <= now);
        let is_more =
            is_settled && wants > granted && told.whole.saturating_sub(taken) > answer.held;
        let waits_elsewhere = others.iter().any(|it| it.report.waiting > 0);
        let is_less = state.part.max(units(report.in_use)) < state.held && waits_elsewhere;
        now + match () {
            () if is_more || is_less => LEAST,
            () if report.waiting > 0 || waits_elsewhere => WAITING,
            () => QUIET,
        }
    }

    /// The store is there again, or for the first time. Who is idle asks for its part when it needs
    /// one.
    pub(super) fn join(&self, woken: &mut Wakers) {
        let mut state = self.state.lock();
        if state.is_shared {
            return;
        }
        let is_idle = self.is_idle();
        if is_idle {
            state.is_shared_from(Instant::now());
            (state.part, state.held) = (0, 0);
            self.apply(&mut state, woken);
        }
        let is_bounded = !state.is_unbounded();
        drop(state);
        // Somebody may have come before it was none.
        if is_bounded && !(is_idle && self.is_idle()) {
            // A driver that is no more may have heard it, and not asked.
            self.bell.hush();
            self.bell.ring();
        }
    }

    /// The store is gone.
    pub(super) fn leave(&self, woken: &mut Wakers) {
        self.go_on_alone(&mut self.state.lock(), woken);
    }

    fn go_on_alone(&self, state: &mut State, woken: &mut Wakers) {
        state.is_shared = false;
        state.was_cut_off = true;
        state.part = self.alone(state);
        state.others.clear();
        self.apply(state, woken);
        self.tell_gates(None);
    }

    /// Whether the store says how much it is.
    pub(super) fn is_shared(&self) -> bool {
        self.state.lock().is_shared
    }

    /// Whether nobody is here.
    pub(super) fn is_idle(&self) -> bool {
        self.report().0.is_idle()
    }

    /// Who waits and runs at all instances, as they told of late.
    pub(super) fn depth(&self) -> Depth {
        let (own, _) = self.report();
        let state = self.state.lock();
        let is_fresh = state.is_shared && state.heard_at.elapsed() < IDLE;
        let others = state.others.iter().filter(|_| is_fresh);
        let all = others.map(|it| &it.report).chain([&own]);
        let mut depth = Depth::default();
        for report in all {
            depth.instances += 1;
            depth.waiting += report.waiting;
            depth.running += report.running;
        }
        depth
    }

    fn apply(&self, state: &mut State, woken: &mut Wakers) {
        if state.is_unbounded() {
            state.part = state.whole;
        }
        state.part = state.part.min(state.whole);
        // By itself an instance cannot wait for more than its part.
        let whole = if state.is_shared {
            state.whole
        } else {
            state.part
        };
        self.capacity.set_part(state.part, whole, woken);
    }

    fn tell_gates(&self, elsewhere: Option<&Elsewhere>) {
        for gate in self.capacity.gates() {
            gate.set_elsewhere(elsewhere.cloned());
        }
    }

    fn report(&self) -> (Report, Order) {
        let now = Instant::now();
        let (mut report, mut order) = (Report::default(), Order::Strict);
        for gate in self.capacity.gates() {
            let outline = gate.outline(now);
            if outline.order == Order::Weighted {
                order = Order::Weighted;
            }
            report.add(outline);
        }
        (report, order)
    }

    /// How much it is without the store.
    fn alone(&self, state: &State) -> usize {
        let instances = self.instances.load(Relaxed).max(1);
        state.held.max(state.whole.div_ceil(instances))
    }

    /// How much this instance should have, by what it knows.
    fn target(&self, state: &State, me: &str, own: &Report, order: Order, now: Instant) -> usize {
        let millis = |time: Duration| time.as_millis() as u64;
        let since = now.saturating_duration_since(state.heard_at);
        let own = (me, own, 0);
        let others = state.others.iter().map(|it| {
            let age = millis(it.age.saturating_add(since));
            (&*it.instance, &it.report, age as i64)
        });
        let mut rows: Vec<_> = others.chain([own]).collect();
        rows.sort_unstable_by_key(|(name, ..)| *name);
        let seats = rows.iter().map(|(_, report, age)| Seat {
            in_use: report.in_use,
            ends: report.ends,
            demands: report.demands.iter().map(|it| it.later(*age)).collect(),
        });
        let mut seats: Vec<_> = seats.collect();
        // What is free is theirs too who have nothing here now.
        let instances = self.instances.load(Relaxed).min(MOST_INSTANCES);
        seats.resize_with(instances.max(seats.len()), Seat::default);
        let at = rows.iter().position(|(name, ..)| *name == me);
        let turn = state.now.saturating_add(millis(since)) / TURN;
        let turn = random(turn);
        let whole = (state.whole as u64).min(MOST);
        let targets = split(whole, order, turn, &seats);
        let target = at.map_or(0, |at| targets[at]);
        usize::try_from(target).unwrap_or(usize::MAX)
    }
}

/// A number from 0 to 1 for each.
fn random(n: u64) -> f64 {
    (splitmix::nth(n.wrapping_add(1)) >> 11) as f64 / (1_u64 << 53) as f64
}

impl State {
    /// Whether there is nothing to share.
    const fn is_unbounded(&self) -> bool {
        self.whole as u64 >= MOST
    }

    /// The store says how much it is.
    fn is_shared_from(&mut self, now: Instant) {
        self.is_shared = true;
        if std::mem::take(&mut self.was_cut_off) {
            self.settles_at = Some(now + SETTLES);
        }
    }

    /// What runs and waits at the others.
    fn elsewhere(&self) -> Elsewhere {
        let reports = || self.others.iter().map(|it| (&it.report, it.age));
        let in_use: u64 = reports().map(|(it, _)| it.in_use).sum();
        let demands = reports().flat_map(|(report, age)| {
            let age = age.as_millis() as i64;
            report.demands.iter().map(move |it| it.later(age))
        });
        Elsewhere {
            in_use: usize::try_from(in_use).unwrap_or(usize::MAX),
            demands: together(demands),
            at: self.heard_at,
        }
    }
}

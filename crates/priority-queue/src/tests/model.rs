//! The queue against a list that is searched each time.

use std::{cmp::Reverse, collections::HashMap, num::NonZeroU32, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;
use ziggurat_core::Priority;

use super::crowd::Crowd;
use crate::{Claim, Rules, Tenant};

const AGING: Duration = Duration::from_millis(10);
const TENANTS: [(&str, u32); 3] = [("a", 1), ("b", 2), ("c", 5)];
const MAX_WAITING: usize = 12;
const MAX_BYTES: usize = 40;

#[derive(Clone, Copy, Debug)]
struct Comer {
    priority: i64,
    tenant: usize,
    cost: usize,
    bytes: usize,
    patience: u64,
    again: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Comes(Comer),
    Ends(usize),
    Leaves(usize),
    Passes(u64),
    Capacity(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let comer = (
        0..3_i64,
        0..3_usize,
        1..5_usize,
        0..10_usize,
        0..3_u64,
        0..9_u8,
    );
    let comer = comer.prop_map(|(priority, tenant, cost, bytes, patience, again)| Comer {
        priority,
        tenant,
        cost,
        bytes,
        patience: 1_000_000 + patience,
        again: again == 0,
    });
    let step = prop_oneof![
        5 => comer.prop_map(Step::Comes),
        4 => (0..32_usize).prop_map(Step::Ends),
        2 => (0..32_usize).prop_map(Step::Leaves),
        2 => (0..30_u64).prop_map(Step::Passes),
        1 => (0..8_usize).prop_map(Step::Capacity),
    ];
    prop::collection::vec(step, 0..200)
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    number: usize,
    came: Comer,
    /// What it would have taken when it came.
    units: usize,
    arrival: Instant,
    deadline: Instant,
}

impl Waiter {
    fn key(&self) -> (Instant, usize) {
        (self.deadline, self.number)
    }
}

/// The rules, said as plainly as they can be.
struct Model {
    start: Instant,
    capacity: usize,
    running: Vec<(usize, usize)>,
    waiting: Vec<Waiter>,
    /// Who gathers, what it has, and what the others got meanwhile.
    gathers: Option<(Waiter, usize, usize)>,
    /// The virtual time of each level, and of each tenant in it.
    now: HashMap<i64, u128>,
    starts: HashMap<(i64, usize), u128>,
    went: Vec<usize>,
    shed: Vec<usize>,
}

impl Model {
    fn in_use(&self) -> usize {
        let gathered = self.gathers.as_ref().map_or(0, |(_, has, _)| *has);
        gathered + self.running.iter().map(|(_, units)| units).sum::<usize>()
    }

    fn free(&self) -> usize {
        self.capacity.saturating_sub(self.in_use())
    }

    fn units(&self, cost: usize) -> usize {
        cost.min(self.capacity).max(1)
    }

    fn start_of(&self, level: i64, tenant: usize) -> u128 {
        let now = self.now.get(&level).copied().unwrap_or_default();
        let start = self.starts.get(&(level, tenant)).copied();
        start.unwrap_or_default().max(now)
    }

    fn end_of(&self, level: i64, tenant: usize, more: usize) -> u128 {
        let waiting = self.waiting.iter().filter(|it| !it.came.again);
        let own = waiting.filter(|it| (it.came.priority, it.came.tenant) == (level, tenant));
        let units = more + own.map(|it| it.units).sum::<usize>();
        self.start_of(level, tenant) + ((units as u128) << 20) / u128::from(TENANTS[tenant].1)
    }

    /// The first of each tenant's line in a level.
    fn heads(&self, level: i64) -> Vec<Waiter> {
        let line = |tenant| {
            let waiting = self.waiting.iter().filter(|it| !it.came.again);
            let own =
                waiting.filter(move |it| (it.came.priority, it.came.tenant) == (level, tenant));
            own.min_by_key(|it| it.key()).copied()
        };
        (0..TENANTS.len()).filter_map(line).collect()
    }

    fn next(&self) -> Option<Waiter> {
        let again = |level| {
            let again = self
                .waiting
                .iter()
                .filter(move |it| it.came.again && it.came.priority == level);
            again.min_by_key(|it| it.key()).copied()
        };
        let age = |level: i64| {
            let firsts = self.heads(level).into_iter().chain(again(level));
            let oldest = firsts.map(|it| it.arrival).min()?;
            Some((
                level * AGING.as_millis() as i64 + (oldest - self.start).as_millis() as i64,
                level,
            ))
        };
        let best = self.waiting.iter().map(|it| it.came.priority).min()?;
        let (_, level) = (0..3).filter_map(age).min()?;
        if let Some(again) = again(level) {
            return Some(again);
        }
        let heads = self.heads(level).into_iter();
        if level == best {
            heads.min_by_key(|it| (self.start_of(level, it.came.tenant), it.came.tenant))
        } else {
            heads.min_by_key(|it| (it.arrival, it.number))
        }
    }

    fn last(&self) -> Option<Waiter> {
        let may_go = self.waiting.iter().filter(|it| !it.came.again);
        may_go
            .max_by_key(|it| {
                let (level, tenant) = (it.came.priority, it.came.tenant);
                (level, self.end_of(level, tenant, 0), tenant, it.key())
            })
            .copied()
    }

    fn remove(&mut self, waiter: &Waiter) {
        self.waiting.retain(|it| it.number != waiter.number);
        let level = waiter.came.priority;
        let lines = self.waiting.iter().filter(|it| !it.came.again);
        if lines.clone().all(|it| it.came.priority != level) {
            self.now.remove(&level);
            self.starts.retain(|(of, _), _| *of != level);
        }
    }

    fn serve(&mut self, waiter: &Waiter) {
        if !waiter.came.again {
            let (level, tenant) = (waiter.came.priority, waiter.came.tenant);
            let start = self.start_of(level, tenant);
            let others = self.heads(level).into_iter();
            let least = others.map(|it| self.start_of(level, it.came.tenant)).min();
            self.now.insert(level, least.expect("its own is one"));
            let units = self.units(waiter.came.cost);
            let time = ((units as u128) << 20) / u128::from(TENANTS[tenant].1);
            self.starts.insert((level, tenant), start + time);
        }
        self.remove(waiter);
    }

    fn goes(&mut self, number: usize, units: usize) {
        self.running.push((number, units));
        self.went.push(number);
    }

    /// Whether that was the turn of whoever gathers.
    fn gather(&mut self, all: bool) -> bool {
        let free = self.free();
        let Some((waiter, has, others)) = self.gathers else {
            return false;
        };
        let units = self.units(waiter.came.cost);
        let part = if all {
            free
        } else {
            (others + 1).saturating_sub(has).min(free)
        };
        let has = has + part.min(units.saturating_sub(has));
        self.gathers = Some((waiter, has, others));
        if has >= units {
            self.gathers = None;
            self.goes(waiter.number, has);
            return true;
        }
        false
    }

    fn admit(&mut self) {
        loop {
            if self.gather(false) {
                continue;
            }
            if self.free() == 0 {
                return;
            }
            let next = self.next();
            let fits = |next: &Waiter| self.units(next.came.cost) <= self.free();
            match (next, self.gathers) {
                (Some(next), _) if fits(&next) => {
                    let units = self.units(next.came.cost);
                    self.serve(&next);
                    if let Some((_, _, others)) = &mut self.gathers {
                        *others += units;
                    }
                    self.goes(next.number, units);
                }
                (Some(next), None) => {
                    self.serve(&next);
                    self.gathers = Some((next, 0, 0));
                }
                (_, Some(_)) if self.gather(true) => {}
                _ => return,
            }
        }
    }

    /// Whether it came in.
    fn comes(&mut self, number: usize, came: Comer, now: Instant) -> bool {
        let units = self.units(came.cost);
        if self.gathers.is_none() && units <= self.free() {
            self.goes(number, units);
            return true;
        }
        let waiter = Waiter {
            number,
            came,
            units,
            arrival: now,
            deadline: now + Duration::from_secs(came.patience),
        };
        let mut gone: Vec<Waiter> = Vec::new();
        let all = self.waiting.clone();
        let gathers = self.gathers.map(|(it, ..)| it);
        let fits = |waiting: &[Waiter]| {
            let waiting = waiting.iter().chain(&gathers);
            let bytes: usize = waiting.clone().map(|it| it.came.bytes).sum();
            waiting.count() < MAX_WAITING && bytes + came.bytes <= MAX_BYTES
        };
        let bytes = self
            .waiting
            .iter()
            .chain(&gathers)
            .map(|it| it.came.bytes)
            .sum::<usize>();
        let over = (bytes + came.bytes).saturating_sub(MAX_BYTES);
        let worse = self
            .waiting
            .iter()
            .filter(|it| !it.came.again && it.came.priority > came.priority);
        if over > worse.map(|it| it.came.bytes).sum() {
            return false;
        }
        while !fits(&self.waiting) {
            let behind = self.last().filter(|last| {
                let (level, tenant) = (last.came.priority, last.came.tenant);
                let own = self.end_of(level, came.tenant, units);
                let is_sooner = tenant != came.tenant && own < self.end_of(level, tenant, 0);
                level > came.priority || level == came.priority && (came.again || is_sooner)
            });
            let Some(last) = behind else {
                self.waiting = all;
                return false;
            };
            gone.push(last);
            self.remove(&last);
        }
        self.shed.extend(gone.iter().map(|it| it.number));
        self.waiting.push(waiter);
        self.admit();
        true
    }

    fn leaves(&mut self, number: usize) {
        if self.gathers.is_some_and(|(it, ..)| it.number == number) {
            self.gathers = None;
            self.admit();
        } else if let Some(waiter) = self.waiting.iter().find(|it| it.number == number).copied() {
            self.remove(&waiter);
        }
    }
}

fn claim(came: Comer) -> Claim {
    let (name, weight) = TENANTS[came.tenant];
    let weight = NonZeroU32::new(weight).expect("is not zero");
    Claim::new(Priority(came.priority))
        .with_tenant(Tenant::new(name).with_weight(weight))
        .with_cost(came.cost)
        .with_bytes(came.bytes)
        .with_again(came.again)
}

/// A queue without capacity that has met all tenants, in their order.
fn crowd(rules: Rules) -> Crowd {
    let mut crowd = Crowd::new(0, rules);
    for (name, _) in TENANTS {
        let number = crowd.comes(&super::crowd::of(name)).expect("has room");
        crowd.leaves(number);
    }
    crowd
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn it_serves_and_pushes_out_as_a_list_that_is_searched_each_time(steps in steps()) {
        let rules = Rules::new()
            .aging(AGING)
            .max_waiting(MAX_WAITING)
            .max_waiting_bytes(MAX_BYTES);
        let mut crowd = crowd(rules);
        crowd.set_capacity(3);
        let mut model = Model {
            start: crowd.start,
            capacity: 3,
            running: Vec::new(),
            waiting: Vec::new(),
            gathers: None,
            now: HashMap::new(),
            starts: HashMap::new(),
            went: Vec::new(),
            shed: Vec::new(),
        };
        for step in steps {
            match step {
                Step::Comes(came) => {
                    let number = crowd.expected();
                    let patience = Some(Duration::from_secs(came.patience));
                    let in_crowd = crowd.comes_with(&claim(came), patience);
                    let in_model = model.comes(number, came, crowd.now);
                    prop_assert_eq!(in_crowd.is_ok(), in_model);
                }
                Step::Ends(i) if !model.running.is_empty() => {
                    let i = i % model.running.len();
                    let (number, _) = model.running.remove(i);
                    model.admit();
                    crowd.ends_after(number, Duration::ZERO);
                }
                Step::Leaves(i) => {
                    let gathers = model.gathers.map(|(it, ..)| it);
                    let mut all: Vec<usize> =
                        model.waiting.iter().chain(&gathers).map(|it| it.number).collect();
                    all.sort_unstable_by_key(|it| Reverse(*it));
                    if let Some(number) = all.get(i).copied() {
                        model.leaves(number);
                        crowd.leaves(number);
                    }
                }
                Step::Passes(millis) => crowd.now += Duration::from_millis(millis),
                Step::Capacity(units) => {
                    model.capacity = units;
                    model.admit();
                    crowd.set_capacity(units);
                }
                Step::Ends(_) => {}
            }
            prop_assert_eq!(&crowd.went, &model.went);
            let shed: Vec<usize> = crowd.shed.iter().map(|(number, _)| *number).collect();
            prop_assert_eq!(&shed, &model.shed);
            let stats = crowd.queue.stats();
            prop_assert_eq!(stats.in_use, model.in_use());
            prop_assert_eq!(stats.in_flight, model.running.len());
            let waiting = model.waiting.len() + usize::from(model.gathers.is_some());
            prop_assert_eq!(stats.waiting, waiting);
        }
    }

    #[test]
    fn with_a_bound_for_each_tenant_it_is_kept_and_no_unit_is_free_that_somebody_could_use(
        steps in steps()
    ) {
        const MOST: usize = 2;
        let rules = Rules::new().aging(AGING).max_in_flight_per_tenant(MOST);
        let mut crowd = crowd(rules);
        crowd.set_capacity(3);
        let mut came: HashMap<usize, Comer> = HashMap::new();
        for step in steps {
            let running = crowd.running();
            let waiting = crowd.all_waiting();
            match step {
                Step::Comes(comer) => {
                    // One unit each: a large one may keep some free.
                    let comer = Comer { cost: 1, again: false, ..comer };
                    let number = crowd.comes(&claim(comer)).expect("has room");
                    came.insert(number, comer);
                }
                Step::Ends(i) if !running.is_empty() => {
                    crowd.ends_after(running[i % running.len()], Duration::ZERO);
                }
                Step::Leaves(i) if !waiting.is_empty() => crowd.leaves(waiting[i % waiting.len()]),
                Step::Passes(millis) => crowd.now += Duration::from_millis(millis),
                Step::Capacity(units) => crowd.set_capacity(units),
                Step::Ends(_) | Step::Leaves(_) => {}
            }
            let of = |all: &[usize], tenant| all.iter().filter(|it| came[it].tenant == tenant).count();
            let (running, waiting) = (crowd.running(), crowd.all_waiting());
            let stats = crowd.queue.stats();
            prop_assert_eq!((stats.in_flight, stats.waiting), (running.len(), waiting.len()));
            for tenant in 0..TENANTS.len() {
                prop_assert!(of(&running, tenant) <= MOST);
                let may_go = of(&running, tenant) < MOST && of(&waiting, tenant) > 0;
                prop_assert!(!may_go || stats.in_use >= stats.capacity, "a unit is free");
            }
        }
        crowd.set_capacity(3);
        crowd.drain();
        prop_assert_eq!(crowd.all_waiting().len(), 0);
    }
}

//! A queue that is driven by hand, and by a clock of its own.

use std::{collections::HashMap, num::NonZeroU32, time::Duration};

use tokio::time::Instant;
use ziggurat_core::Priority;

use crate::{
    Claim, Rules, Tenant,
    queue::{Entered, Newcomer, Place, Queue, Refusal, Seen, Turn, Woken},
};

/// A queue and those who have come to it, by number.
pub(super) struct Crowd {
    pub(super) queue: Queue<usize>,
    pub(super) now: Instant,
    pub(super) start: Instant,
    places: HashMap<usize, Place>,
    turns: HashMap<usize, Turn>,
    began: HashMap<usize, Instant>,
    /// Who went, in order.
    pub(super) went: Vec<usize>,
    /// Who was pushed out, in order.
    pub(super) shed: Vec<(usize, Refusal)>,
    next: usize,
}

impl Crowd {
    pub(super) fn new(capacity: usize, rules: Rules) -> Self {
        let now = Instant::now();
        Self {
            queue: Queue::new(capacity, rules, now),
            now,
            start: now,
            places: HashMap::new(),
            turns: HashMap::new(),
            began: HashMap::new(),
            went: Vec::new(),
            shed: Vec::new(),
            next: 0,
        }
    }

    pub(super) fn comes(&mut self, claim: &Claim) -> Result<usize, Refusal> {
        self.comes_with(claim, None)
    }

    pub(super) fn comes_with(
        &mut self,
        claim: &Claim,
        patience: Option<Duration>,
    ) -> Result<usize, Refusal> {
        let number = self.next;
        self.next += 1;
        let newcomer = Newcomer {
            claim,
            deadline: patience.map(|time| self.now + time),
            now: self.now,
        };
        let mut woken = Woken::new();
        let entered = (self.queue).enter(newcomer, || number, &mut woken);
        let result = match entered {
            Ok(Entered::Goes(turn)) => {
                self.goes(number, turn);
                Ok(number)
            }
            Ok(Entered::Waits(place, _)) => {
                self.places.insert(number, place);
                Ok(number)
            }
            Err(refusal) => Err(refusal),
        };
        self.look(woken);
        result
    }

    fn goes(&mut self, number: usize, turn: Turn) {
        self.turns.insert(number, turn);
        self.began.insert(number, self.now);
        self.went.push(number);
    }

    fn look(&mut self, woken: Woken<usize>) {
        for number in woken {
            let place = self.places.remove(&number).expect("waits");
            match self.queue.look(&place, self.now, number) {
                Seen::Goes(turn) => self.goes(number, turn),
                Seen::Refused(refusal) => self.shed.push((number, refusal)),
                Seen::Waits(_) => panic!("{number} was woken for nothing"),
            }
        }
    }

    pub(super) fn ends(&mut self, number: usize) {
        let began = self.began.remove(&number).expect("has a turn");
        self.ends_after(number, self.now - began);
    }

    pub(super) fn ends_after(&mut self, number: usize, held: Duration) {
        let turn = self.turns.remove(&number).expect("has a turn");
        self.began.remove(&number);
        let mut woken = Woken::new();
        self.queue.finish(turn, held, &mut woken);
        self.look(woken);
    }

    /// When somebody's turn is predicted to come, if it waits.
    pub(super) fn turn_at(&mut self, number: usize) -> Option<Instant> {
        let place = self.places.get(&number)?;
        self.queue.turn_at(place, self.now)
    }

    pub(super) fn leaves(&mut self, number: usize) {
        let place = self.places.remove(&number).expect("waits");
        let mut woken = Woken::new();
        self.queue.leave(&place, false, &mut woken);
        self.look(woken);
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.set_part(capacity, capacity);
    }

    pub(super) fn set_part(&mut self, part: usize, whole: usize) {
        let mut woken = Woken::new();
        self.queue.set_part(part, whole, &mut woken);
        self.look(woken);
    }

    pub(super) fn waits(&self, number: usize) -> bool {
        self.places.contains_key(&number)
    }

    pub(super) fn runs(&self, number: usize) -> bool {
        self.turns.contains_key(&number)
    }

    /// The number of the next one who comes.
    pub(super) const fn expected(&self) -> usize {
        self.next
    }

    pub(super) fn running(&self) -> Vec<usize> {
        sorted(self.turns.keys())
    }

    pub(super) fn all_waiting(&self) -> Vec<usize> {
        sorted(self.places.keys())
    }

    /// Lets each who runs end, one after the other, and tells who went meanwhile.
    pub(super) fn drain(&mut self) -> Vec<usize> {
        let before = self.went.len();
        while let Some(number) = self.running().first() {
            self.ends(*number);
        }
        self.went[before..].to_vec()
    }
}

fn sorted<'a>(numbers: impl Iterator<Item = &'a usize>) -> Vec<usize> {
    let mut numbers: Vec<usize> = numbers.copied().collect();
    numbers.sort_unstable();
    numbers
}

pub(super) fn claim(priority: i64) -> Claim {
    Claim::new(Priority(priority))
}

pub(super) fn of(tenant: &str) -> Claim {
    claim(0).with_tenant(Tenant::new(tenant))
}

pub(super) fn weighing(tenant: &str, weight: u32) -> Claim {
    let weight = NonZeroU32::new(weight).expect("is not zero");
    claim(0).with_tenant(Tenant::new(tenant).with_weight(weight))
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

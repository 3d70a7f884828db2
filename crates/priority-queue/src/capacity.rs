//! How much may be in flight, as a number that can change at any time.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Weak},
};

use crate::{
    bell::Bell,
    gate::{Gate, Wakers},
    parts::Part,
    sync::Mutex,
};

/// How much may be in flight at a time: requests, or the units that they
/// [cost](crate::Claim::with_cost). A handle: clones share the number.
///
/// Whoever knows better changes it at any time by [`set`](Self::set): an operator, or a limit that
/// learns from answers. A group's gate is given the sum over the deployments of the group, set anew
/// whenever one of them changes. Where the number grows, those who wait go on at once; where it
/// shrinks, what is in flight stays, and nothing follows until there is little enough.
///
/// ```
/// use ziggurat_priority_queue::Capacity;
///
/// let capacity = Capacity::new(8);
/// let learns = capacity.clone();
/// learns.set(12);
/// assert_eq!(capacity.get(), 12);
/// ```
#[derive(Clone)]
pub struct Capacity(Arc<Mutex<Shared>>);

struct Shared {
    units: usize,
    /// What that is a part of, or itself.
    whole: usize,
    gates: Vec<Weak<Gate>>,
    /// What rings when somebody begins to wait, if this is a part.
    bell: Option<Arc<Bell>>,
    /// This instance's parts of it.
    parts: Vec<Weak<Part>>,
}

impl Capacity {
    /// That much. With zero nobody goes until it grows.
    #[must_use]
    pub fn new(units: usize) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            units,
            whole: units,
            gates: Vec::new(),
            bell: None,
            parts: Vec::new(),
        })))
    }

    /// Without a bound: nobody waits.
    #[must_use]
    pub fn unbounded() -> Self {
        Self::new(usize::MAX)
    }

    /// How much it is.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.lock().units
    }

    /// Changes it, and wakes whoever can go by that. Cheap where nothing changes.
    ///
    /// Not for a part: what is set there holds until its instance hears of the store. Change the whole
    /// it is [of](crate::Parts::of).
    ///
    /// It wakes tasks, so it is not to be called under a lock that one of them could want.
    pub fn set(&self, units: usize) {
        let mut woken = Wakers::default();
        let mut shared = self.0.lock();
        if shared.units == units {
            return;
        }
        shared.set(units, units, &mut woken);
        shared.parts.retain(|part| {
            let part = part.upgrade();
            part.inspect(|part| part.set_whole(units, &mut woken))
                .is_some()
        });
        drop(shared);
        woken.wake();
    }

    /// A part, whose gates ring the bell.
    pub(crate) fn part(bell: Arc<Bell>) -> Self {
        let part = Self::new(0);
        part.0.lock().bell = Some(bell);
        part
    }

    /// Changes a part, and what it is a part of.
    pub(crate) fn set_part(&self, part: usize, whole: usize, woken: &mut Wakers) {
        let mut shared = self.0.lock();
        if (shared.units, shared.whole) != (part, whole) {
            shared.set(part, whole, woken);
        }
    }

    /// Tells a part how much this is, now and after each change.
    pub(crate) fn tell(&self, part: &Arc<Part>, woken: &mut Wakers) {
        let mut shared = self.0.lock();
        shared.parts.retain(|it| it.strong_count() > 0);
        shared.parts.push(Arc::downgrade(part));
        part.set_whole(shared.units, woken);
    }

    /// Tells a part no longer.
    pub(crate) fn leave(&self, part: &Arc<Part>) {
        let part = Arc::downgrade(part);
        (self.0.lock().parts).retain(|it| !it.ptr_eq(&part));
    }

    /// Those that go by it.
    pub(crate) fn gates(&self) -> Vec<Arc<Gate>> {
        let shared = self.0.lock();
        shared.gates.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether anybody has this, but for whoever asks.
    pub(crate) fn is_used(&self) -> bool {
        let has_gates = || {
            let shared = self.0.lock();
            shared.gates.iter().any(|gate| gate.strong_count() > 0)
        };
        Arc::strong_count(&self.0) > 1 || has_gates()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Lets a new gate go by this from now on.
    pub(crate) fn lead(&self, gate: &Arc<Gate>) {
        let mut woken = Wakers::default();
        let mut shared = self.0.lock();
        shared.gates.retain(|gate| gate.strong_count() > 0);
        shared.gates.push(Arc::downgrade(gate));
        gate.set_part(shared.units, shared.whole, &mut woken);
        let bell = shared.bell.clone();
        drop(shared);
        woken.wake();
        if let Some(bell) = bell {
            gate.ring(&bell);
        }
    }
}

impl Shared {
    fn set(&mut self, units: usize, whole: usize, woken: &mut Wakers) {
        (self.units, self.whole) = (units, whole);
        self.gates.retain(|gate| {
            let gate = gate.upgrade();
            gate.inspect(|gate| gate.set_part(units, whole, woken))
                .is_some()
        });
    }
}

impl From<NonZeroUsize> for Capacity {
    fn from(units: NonZeroUsize) -> Self {
        Self::new(units.get())
    }
}

impl fmt::Debug for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Capacity").field(&self.get()).finish()
    }
}

//! One capacity for several instances.
//!
//! A capacity can be that of all instances together: each has a *part* of it, and goes by that alone,
//! at once. In the background the parts follow who waits: [`Parts::share`] tells a [`PartStore`] what
//! runs and waits here, hears what runs and waits elsewhere, and takes from it what is to be had.
//!
//! ```
//! use ziggurat_priority_queue::{Capacity, MemoryPartStore, Parts, PriorityQueueLayer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! // What all instances together may have in flight.
//! let whole = Capacity::new(64);
//! let parts = Parts::new();
//! let queue = PriorityQueueLayer::new(parts.of("all", &whole));
//! // To be spawned, as long as the queue is used; elsewhere so is a store on Redis.
//! let sharing = parts.share(MemoryPartStore::new(), "this instance");
//! # let _ = queue;
//! # tokio::select! { () = sharing => {}, () = parts.joined() => {} }
//! # assert_eq!(parts.instances(), 1);
//! # }
//! ```
//!
//! # What holds
//!
//! - *The sum.* What the parts are together is never more than the whole. More runs only where the
//!   whole has become less, or where an instance was cut off from the store and came back, until that
//!   much has ended. Where instances do not agree how much the whole is, each goes by its own number.
//! - *Who goes first.* From 0.25 s after it has begun to wait, a request goes before all of a worse
//!   class, wherever they wait, and before those of its own that came more than 0.25 s later. It has the
//!   next unit that comes free anywhere, up to 0.1 s after it did; what else comes free meanwhile goes on
//!   where it was. What runs is left alone. Tenants share an instance's part, and bounds for a tenant
//!   are each instance's own.
//! - *What is not used is the others'.* An instance at which all wait has the whole within 0.25 s. What
//!   is free is split evenly, so that most who come go at once; at a gate at which nobody was for two
//!   seconds nothing is held, and the first one waits for a round trip.
//! - *Who dies.* Its part is free after two seconds.
//! - *Without the store.* After half a second each instance goes on with what it held, or with the
//!   whole divided by the number of instances if that is more: twice the whole at most, all together.
//!   When the store is back, nothing grows for half a second, and the sum is right as soon as that much
//!   has ended. If it comes back without its data, as much may begin as instances held and did not use,
//!   for 0.1 s. Until it has answered for the [first time](Parts::joined), an instance takes itself for
//!   the only one.
//!
//! # What it costs
//!
//! A request costs what it does without. The store is asked every 0.1 s for each gate in use, every
//! 0.05 s while somebody waits at it, and at once when somebody begins to; not for others. What is told
//! of a gate has some hundred bytes.

mod part;
mod report;
mod share;
mod split;
mod store;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::debug;

pub(crate) use self::part::Part;
pub use self::{
    report::{Demand, Report},
    store::{Answer, MemoryPartStore, Other, PartStore, Told},
};
use crate::{Capacity, bell::Bells, gate::Wakers};

/// The most of a capacity that instances share: 2⁴⁰. One of more is no bound.
pub const MOST: u64 = 1 << 40;

/// How long the store may fail until an instance goes on by itself.
const GRACE: Duration = Duration::from_millis(500);

/// The least time between two exchanges of a gate.
const LEAST: Duration = Duration::from_millis(10);

/// This instance's parts of capacities that all instances have together; see the
/// [module](self). A handle: clones share them.
#[derive(Clone)]
pub struct Parts(Arc<Hub>);

struct Hub {
    bells: Arc<Bells>,
    parts: Mutex<Known>,
    joined: watch::Sender<bool>,
    /// How many there are, this one included, as far as is known.
    instances: Arc<AtomicUsize>,
}

struct Known {
    by_name: HashMap<Arc<str>, Arc<Part>>,
    is_up: bool,
}

/// How many requests wait, and how many run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Depth {
    /// How many wait for their turn.
    pub waiting: u64,
    /// How many have it, up to their settlement.
    pub running: u64,
    /// How many instances that is of, this one included.
    pub instances: usize,
}

impl Parts {
    /// Those of an instance that knows of no other. Each is the whole, until they are
    /// [shared](Self::share).
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Hub {
            bells: Arc::default(),
            parts: Mutex::new(Known {
                by_name: HashMap::new(),
                is_up: false,
            }),
            instances: Arc::new(AtomicUsize::new(1)),
            joined: watch::Sender::new(false),
        }))
    }

    /// This instance's part of the capacity of a gate, which has that name at all instances. It follows
    /// the whole, which may change at any time.
    ///
    /// A part is for one gate: what that gate has in use is compared with the whole.
    ///
    /// Who asks again for a name gets the same part, of the new whole.
    #[must_use]
    pub fn of(&self, name: &str, whole: &Capacity) -> Capacity {
        let mut known = self.0.parts.lock();
        let part = match known.by_name.get(name) {
            Some(part) => Arc::clone(part),
            None => {
                let name: Arc<str> = name.into();
                let bell = self.0.bells.bell(Arc::clone(&name));
                let instances = Arc::clone(&self.0.instances);
                let part = Arc::new(Part::new(bell, known.is_up, instances));
                known.by_name.insert(name, Arc::clone(&part));
                part
            }
        };
        // It is in use before it may be forgotten.
        let capacity = part.capacity().clone();
        drop(known);
        part.follow(whole);
        capacity
    }

    /// How many instances there are, this one included, as far as is known.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.0.instances.load(Relaxed)
    }

    /// How many wait and run at a gate at all instances together: here as it is now, elsewhere as it
    /// was told last. What was told more than two seconds ago does not count. `None` if there is no
    /// such gate.
    #[must_use]
    pub fn depth(&self, name: &str) -> Option<Depth> {
        Some(self.get(name)?.depth())
    }

    /// Waits until the store has answered for the first time. *Cancel safe*.
    pub async fn joined(&self) {
        let mut joined = self.0.joined.subscribe();
        // The sender is here.
        _ = joined.wait_for(|it| *it).await;
    }

    fn bells(&self) -> &Bells {
        &self.0.bells
    }

    fn get(&self, name: &str) -> Option<Arc<Part>> {
        self.0.parts.lock().by_name.get(name).cloned()
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.parts.lock().by_name.keys().cloned().collect()
    }

    fn is_up(&self) -> bool {
        self.0.parts.lock().is_up
    }

    /// The store answers, or is gone; and how many instances there are, if that is known.
    fn set_up(&self, is_up: bool, instances: Option<usize>) {
        let mut woken = Wakers::default();
        if let Some(instances) = instances {
            self.0.instances.store(instances, Relaxed);
        }
        let mut known = self.0.parts.lock();
        let was_up = std::mem::replace(&mut known.is_up, is_up);
        if was_up != is_up {
            debug!(is_up, instances, "the store of capacities");
            for part in known.by_name.values() {
                match is_up {
                    true => part.join(&mut woken),
                    false => part.leave(&mut woken),
                }
            }
        }
        drop(known);
        woken.wake();
        self.0.joined.send_if_modified(|joined| {
            let is_new = is_up && !*joined;
            *joined |= is_up;
            is_new
        });
    }

    /// Nobody asks the store any more, not even for parts that it kept while it did not know of the
    /// instances.
    fn leave(&self) {
        self.set_up(false, None);
        let mut woken = Wakers::default();
        let known = self.0.parts.lock();
        let shared = known.by_name.values().filter(|part| part.is_shared());
        shared.for_each(|part| part.leave(&mut woken));
        drop(known);
        woken.wake();
    }

    /// Forgets the parts by which no gate goes any more.
    fn forget_unused(&self) {
        (self.0.parts.lock().by_name).retain(|_, part| part.is_used());
    }
}

impl Default for Parts {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.parts.lock();
        f.debug_struct("Parts")
            .field("gates", &known.by_name.len())
            .field("instances", &self.instances())
            .field("is_up", &known.is_up)
            .finish()
    }
}

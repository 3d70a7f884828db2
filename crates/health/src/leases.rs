//! Which instance makes a check.

use std::{
    collections::HashMap,
    future::{Future, Ready, ready},
    sync::Arc,
    time::Duration,
};

use foldhash::quality::RandomState;
use futures_util::future::Either;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Gives each check to one of several instances.
///
/// `()` gives every check to whoever asks, as is right for one instance.
pub trait CheckLeases: Clone + Send + Sync + 'static {
    /// The answer: whether the check is theirs who ask. `None` if nobody can tell now; then they
    /// make it themselves. It may be dropped at any time.
    type Take: Future<Output = Option<bool>> + Send;

    /// Asks for a check, for so long. Nothing gives it back: it ends by itself.
    fn take(&self, check: &str, time: Duration) -> Self::Take;
}

impl CheckLeases for () {
    type Take = Ready<Option<bool>>;

    fn take(&self, _: &str, _: Duration) -> Self::Take {
        ready(Some(true))
    }
}

/// Some, if there are some: what a configuration turns on or off.
impl<L: CheckLeases> CheckLeases for Option<L> {
    type Take = Either<L::Take, Ready<Option<bool>>>;

    fn take(&self, check: &str, time: Duration) -> Self::Take {
        match self {
            Some(leases) => Either::Left(leases.take(check, time)),
            None => Either::Right(().take(check, time)),
        }
    }
}

/// The leases of several stacks in one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryLeases(Arc<Mutex<HashMap<String, Instant, RandomState>>>);

impl MemoryLeases {
    /// Nothing is taken.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl CheckLeases for MemoryLeases {
    type Take = Ready<Option<bool>>;

    fn take(&self, check: &str, time: Duration) -> Self::Take {
        let now = Instant::now();
        let mut leases = self.0.lock();
        leases.retain(|_, end| *end > now);
        let is_free = !leases.contains_key(check);
        if is_free {
            leases.insert(check.to_owned(), now + time);
        }
        ready(Some(is_free))
    }
}

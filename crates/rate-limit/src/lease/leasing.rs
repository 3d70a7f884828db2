//! How limits are held over several instances.

use std::{sync::Arc, time::Duration};

use ziggurat_core::UniqueId;

use super::{driver::LeaseDriver, limiter::LeasedLimiter, shared::Shared};

/// How limits are held over several instances. It makes a [`LeasedLimiter`] and its
/// [`LeaseDriver`].
#[derive(Clone, Debug)]
pub struct Leasing {
    pub(crate) instance: Arc<str>,
    pub(crate) keys: usize,
    pub(crate) deadline: Duration,
    pub(crate) outage: Outage,
    pub(crate) lease: Duration,
    pub(crate) idle: Duration,
}

/// What becomes of a request for which nothing is leased while the store does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// This instance lets as much pass in a window as its share of the limit: the limit divided by
    /// the number of instances that the store knew last, rounded up. What it used before the outage
    /// counts.
    #[default]
    Share,
    /// All pass.
    Open,
    /// None passes: [`Reason::Unchecked`](ziggurat_core::Reason::Unchecked), which is a 503 with the
    /// code `limit_store_unavailable`. They are told to come again in a second.
    Closed,
}

/// How often what was used is reported, and room is asked for in advance.
pub(crate) const RENEW: Duration = Duration::from_millis(100);

/// How soon what there is little of is reported and given back, and for how long a refusal of the
/// store is repeated without asking again.
pub(crate) const PROMPT: Duration = Duration::from_millis(10);

impl Leasing {
    /// For 65,536 keys, with a deadline of 5 ms, leases of 5 s, and what is not used given back
    /// after 200 ms.
    #[must_use]
    pub fn new() -> Self {
        Self {
            instance: UniqueId::next().to_string().into(),
            keys: 1 << 16,
            deadline: Duration::from_millis(5),
            outage: Outage::Share,
            lease: Duration::from_secs(5),
            idle: Duration::from_millis(200),
        }
    }

    /// Names this instance, rather than by a random number. No other process may have the same name,
    /// not even this one when it is started again.
    #[must_use]
    pub fn named(mut self, instance: impl Into<Arc<str>>) -> Self {
        self.instance = instance.into();
        self
    }

    /// Sets for how many keys counts are kept here. When there are more, those that nothing is
    /// counted for are forgotten first.
    #[must_use]
    pub const fn capacity(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    /// Sets for how long a request waits for the store at most.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Says what becomes of requests while the store does not answer.
    #[must_use]
    pub const fn outage(mut self, outage: Outage) -> Self {
        self.outage = outage;
        self
    }

    /// Sets how long the store believes in an instance that says nothing: so long is a place in
    /// flight taken that an instance held when it died. A second at least.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.clamp(Duration::from_secs(1), Duration::from_secs(3_600));
        self
    }

    /// Sets after what time without any use everything that is leased goes back. It does after a
    /// fifth of the lease at most.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// The limiter, and the driver that has to be spawned with a store.
    pub fn build(mut self) -> (LeasedLimiter, LeaseDriver) {
        self.idle = self.idle.min(self.lease / 5);
        let shared = Arc::new(Shared::new(self));
        (
            LeasedLimiter::new(Arc::clone(&shared)),
            LeaseDriver::new(shared),
        )
    }
}

impl Default for Leasing {
    fn default() -> Self {
        Self::new()
    }
}

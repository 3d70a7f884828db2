//! What a layer keeps of one deployment.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{Blame, Deployment, Idle, Secret};

use crate::breaker::{Admission, Breaker, Effect, Refusal, Rest};

/// A deployment's breaker. Its lock is never held while another is taken.
#[derive(Debug)]
pub(crate) struct Entry(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    breaker: Breaker,
    /// The credential that it had when its rest began.
    credential: Option<Secret>,
}

impl Entry {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Inner {
            breaker: Breaker::new(now),
            credential: None,
        }))
    }

    pub(crate) fn with<T>(&self, ask: impl FnOnce(&mut Breaker) -> T) -> T {
        ask(&mut self.0.lock().breaker)
    }

    pub(crate) fn admit(
        &self,
        deployment: &Deployment,
        time: Duration,
        now: Instant,
    ) -> Result<Admission, Refusal> {
        let inner = &mut *self.0.lock();
        inner.breaker.admit(time, now).or_else(|refusal| {
            // A new key does not inherit the rest of the one it replaces.
            if !inner.is_replaced(refusal.blame, deployment) {
                return Err(refusal);
            }
            inner.breaker.reset(now);
            inner.breaker.admit(time, now)
        })
    }

    /// Begins a rest, or lengthens the one that runs.
    pub(crate) fn rest(&self, deployment: &Deployment, rest: Rest, now: Instant) -> Effect {
        let mut inner = self.0.lock();
        let effect = inner.breaker.rest(rest, now);
        if effect != Effect::Nothing {
            inner.credential = deployment.credential().cloned();
        }
        effect
    }

    /// The rest of this deployment that concerns one that was made of it, too.
    pub(crate) fn rest_of(
        &self,
        configured: &Deployment,
        made: &Deployment,
        now: Instant,
    ) -> Option<Rest> {
        let inner = self.0.lock();
        inner.breaker.runs(now).filter(|rest| {
            made.shares(rest.blame, configured) && !inner.is_replaced(rest.blame, made)
        })
    }
}

impl Inner {
    /// Whether a deployment presents another credential than the one that a rest is about.
    fn is_replaced(&self, blame: Blame, deployment: &Deployment) -> bool {
        matches!(blame, Blame::Credential | Blame::Quota)
            && self.credential.as_ref() != deployment.credential()
    }
}

impl Idle for Entry {
    fn is_idle(&self) -> bool {
        self.0.lock().breaker.is_idle()
    }
}

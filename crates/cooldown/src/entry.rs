//! What a layer keeps of one deployment.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{Blame, Deployment, Idle};

use crate::breaker::{Admission, Breaker, Effect, Refusal, Rest};

/// A deployment's breaker. Its lock is never held while another is taken.
#[derive(Debug)]
pub(crate) struct Entry(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    breaker: Breaker,
    /// The deployment as it was when its rest began.
    rested: Option<Arc<Deployment>>,
}

impl Entry {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Inner {
            breaker: Breaker::new(now),
            rested: None,
        }))
    }

    pub(crate) fn with<T>(&self, ask: impl FnOnce(&mut Breaker) -> T) -> T {
        ask(&mut self.0.lock().breaker)
    }

    /// Lets a request through or not, and says whether its credential ended a rest.
    pub(crate) fn admit(
        &self,
        deployment: &Deployment,
        time: Duration,
        now: Instant,
    ) -> Result<(Admission, bool), Refusal> {
        let inner = &mut *self.0.lock();
        match inner.breaker.admit(time, now) {
            Ok(admission) => Ok((admission, false)),
            // A new key does not inherit the rest of the one it replaces.
            Err(refusal) if inner.is_replaced(refusal.blame, deployment) => {
                inner.breaker.reset(now);
                Ok((inner.breaker.admit(time, now)?, true))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Begins a rest, or lengthens the one that runs.
    pub(crate) fn rest(&self, deployment: &Arc<Deployment>, rest: Rest, now: Instant) -> Effect {
        let mut inner = self.0.lock();
        let effect = inner.breaker.rest(rest, now);
        if effect != Effect::Nothing {
            inner.rested = Some(Arc::clone(deployment));
        }
        effect
    }

    /// The rest that runs, and whose it is.
    pub(crate) fn runs(&self, now: Instant) -> Option<(Arc<Deployment>, Rest)> {
        let inner = self.0.lock();
        let rest = inner.breaker.runs(now)?;
        Some((Arc::clone(inner.rested.as_ref()?), rest))
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
        let rested = self.rested.as_ref().and_then(|it| it.credential());
        is_of_credential(blame) && rested != deployment.credential()
    }
}

/// Whether a rest ends with the credential that it is about.
pub(crate) fn is_of_credential(blame: Blame) -> bool {
    matches!(blame, Blame::Credential | Blame::Quota)
}

impl Idle for Entry {
    fn is_idle(&self) -> bool {
        self.0.lock().breaker.is_idle()
    }
}

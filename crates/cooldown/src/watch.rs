//! The guard of one attempt.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use ziggurat_core::{Blame, Deployment, End, Error, Ledger, Observer};

use crate::{
    breaker::{Admission, Failure},
    entry::Entry,
    news::News,
    shared::Shared,
};

/// Watches how an attempt ends, and settles it: it moves from the response's future into the
/// response. Dropped before the end, it says nothing of the deployment and frees its probe.
#[derive(Debug)]
pub struct Watch(Option<Watched>);

/// What an attempt that has not ended is about.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) shared: Arc<Shared>,
    pub(crate) entry: Arc<Entry>,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) ledger: Option<Ledger>,
    pub(crate) time: Duration,
    pub(crate) admission: Admission,
}

impl Watch {
    pub(crate) const fn new(watched: Watched) -> Self {
        Self(Some(watched))
    }

    /// For a deployment that never rests.
    pub(crate) const fn idle() -> Self {
        Self(None)
    }

    fn complete(&mut self) {
        let Some(watched) = self.0.take() else {
            return;
        };
        let now = Instant::now();
        let policy = watched.shared.policy();
        let back = watched
            .entry
            .with(|breaker| breaker.success(watched.admission, &policy, now));
        if back {
            watched.shared.note_back(now);
            watched.shared.tell(News::back(&watched.deployment));
            tracing::info!(deployment = %watched.deployment.id(), "deployment is back");
            watched.shared.listener.tell(watched.deployment.public_id());
        }
    }

    pub(crate) fn fail(&mut self, error: &Error) {
        let kind = error.kind();
        // The kind speaks against others, and whoever knew more took the blame from them. A kind
        // that blames the request may still count where the owner wants it to.
        if error.scope() == Blame::Request && kind.rule().blame != Blame::Request {
            return self.abandon();
        }
        let Some(watched) = self.0.take() else {
            return;
        };
        let now = Instant::now();
        let policy = watched.shared.policy();
        let failure = Failure {
            kind,
            blame: error.scope(),
            retry_after: error.retry_after(),
            allowance: policy.allowance(&watched.deployment, kind),
        };
        let due = watched.entry.with(|breaker| {
            breaker.failure(failure, watched.admission, &policy, watched.time, now)
        });
        if let Some(rest) = due {
            watched.shared.rest(&watched, rest, now);
        }
    }

    fn abandon(&mut self) {
        if let Some(watched) = self.0.take()
            && let Admission::Probe(_) = watched.admission
        {
            watched
                .entry
                .with(|breaker| breaker.abandon(watched.admission, Instant::now()));
        }
    }
}

impl Observer for Watch {
    fn end(&mut self, end: End<'_>) {
        match end {
            End::Complete { .. } => self.complete(),
            End::Failed(error) => self.fail(error),
            End::Abandoned => self.abandon(),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.abandon();
    }
}

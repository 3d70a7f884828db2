//! What checks have found, as instances share it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use ziggurat_core::DeploymentId;
use ziggurat_shared_log::{Outbox, SharedLog, Shares, share};

use crate::{HealthChecks, Verdict, checks::Shared, news::News};

impl HealthChecks {
    /// Shares verdicts with other instances over a log, for ever: to be spawned once, beside
    /// [`run_shared`](Self::run_shared). A request waits for nothing of it.
    ///
    /// What one instance finds, the others know within a second, and do not look for it themselves.
    /// A verdict on a deployment that is not listed here, or has another address, model or
    /// credential here, is passed over; and so is one that is older than what is known, or than
    /// [routing](crate::HealthPolicy::staleness) goes by.
    pub fn share<L: SharedLog>(&self, log: L) -> impl Future<Output = ()> + Send + use<L> {
        share(Sharing(Arc::clone(&self.0)), log)
    }
}

/// What is known, as the driver sees it.
struct Sharing(Arc<Shared>);

impl Shares for Sharing {
    type Key = DeploymentId;
    type News = Verdict;

    fn outbox(&self) -> &Outbox<DeploymentId, Verdict> {
        &self.0.outbox
    }

    fn write(&self, verdict: &Verdict) -> Option<String> {
        serde_json::to_string(&News::of(verdict, Instant::now())).ok()
    }

    fn read(&self, entry: &str, age: Duration) {
        // Of a later version, or not ours.
        if let Ok(news) = serde_json::from_str(entry) {
            self.0.learn(&news, age, Instant::now());
        }
    }

    fn tell_again(&self) {
        self.0.tell_all(Instant::now());
    }
}

//! A verdict, as one instance tells it to the others.

use std::{borrow::Cow, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use ziggurat_core::{Deployment, DeploymentId, Error, ErrorKind, Snapshot};

use crate::{Verdict, verdict::Found};

/// A verdict as it is written. What a later version adds is passed over.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct News<'a> {
    id: Cow<'a, str>,
    /// What was checked: it may be another here.
    target: u16,
    healthy: bool,
    /// How many microseconds before it was told the check ended.
    age_us: u64,
    took_us: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'a, str>>,
}

impl<'a> News<'a> {
    pub(crate) fn of(verdict: &'a Verdict, now: Instant) -> Self {
        let deployment = verdict.deployment();
        let age = now.saturating_duration_since(verdict.checked_at());
        Self {
            id: deployment.id().as_str().into(),
            target: deployment.target_fingerprint(),
            healthy: verdict.is_healthy(),
            age_us: micros(age),
            took_us: micros(verdict.took()),
            kind: verdict.error_kind().map(|kind| kind.as_str().into()),
            message: verdict.error_message().map(Into::into),
        }
    }

    /// The deployment of a list that was checked, if it is the same here.
    pub(crate) fn find<'l>(&self, list: &'l Snapshot) -> Option<&'l Arc<Deployment>> {
        let deployment = list.get(&DeploymentId::new(&*self.id))?;
        (deployment.target_fingerprint() == self.target).then_some(deployment)
    }

    /// How long ago the check ended, if it was told so long ago.
    pub(crate) fn age(&self, told: Duration) -> Duration {
        Duration::from_micros(self.age_us).saturating_add(told)
    }

    /// What the check found. A kind that this version does not know is some failure.
    pub(crate) fn found(&self) -> Found {
        let known = |name: &str| ErrorKind::ALL.into_iter().find(|it| it.as_str() == name);
        let error = self.kind.as_deref().map(|name| {
            let kind = known(name).unwrap_or(ErrorKind::Unavailable);
            Error::new(kind, self.message.as_deref().unwrap_or_default().to_owned())
        });
        Found {
            healthy: self.healthy,
            error,
            took: Duration::from_micros(self.took_us),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

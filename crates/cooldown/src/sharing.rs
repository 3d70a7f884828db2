//! The health of deployments, as instances share it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use ziggurat_core::{Deployment, DeploymentId};
use ziggurat_shared_log::{Outbox, Shares};

use crate::{
    breaker::{MAX_GROWTH, Rest},
    entry::is_of_credential,
    news::{Entry, News, Remaining, Subject, Target},
    shared::Shared,
};

/// What a layer knows, as the driver sees it.
#[derive(Debug)]
pub(crate) struct Sharing(pub(crate) Arc<Shared>);

impl Shares for Sharing {
    type Key = Subject;
    type News = News;

    fn outbox(&self) -> &Outbox<Subject, News> {
        &self.0.outbox
    }

    fn write(&self, news: &News) -> Option<String> {
        news.write(Instant::now())
    }

    fn read(&self, entry: &str, age: Duration) {
        let now = Instant::now();
        match serde_json::from_str(entry) {
            Ok(Entry::Rests { of, rest }) => self.rest(&of, &rest, age, now),
            Ok(Entry::Back { of }) => self.back(&of, now),
            Ok(Entry::Reset { id }) => self.0.reset(&DeploymentId::new(id), now),
            Ok(Entry::ResetAll) => self.0.reset_all(now),
            // Of a later version, or not ours.
            Err(_) => {}
        }
    }

    fn tell_again(&self) {
        let now = Instant::now();
        let mut running: Vec<(Arc<Deployment>, Rest)> = Vec::new();
        let entries = &self.0.entries;
        entries.for_each(|_, entry| running.extend(entry.runs(now)));
        for (deployment, rest) in running {
            self.0.tell(News::rests(&deployment, rest));
        }
    }
}

impl Sharing {
    fn find(&self, of: &Target<'_>) -> Option<Arc<Deployment>> {
        of.find(&self.0.deployments.as_ref()?.load())
    }

    fn rest(&self, of: &Target<'_>, rest: &Remaining<'_>, age: Duration, now: Instant) {
        let Some(deployment) = self.find(of) else {
            return;
        };
        let policy = self.0.policy();
        let Some(time) = policy.time_of(&deployment) else {
            return;
        };
        // No longer than one that begins here could be.
        let longest = policy.max_retry_after.max(time.saturating_mul(MAX_GROWTH));
        let Some(rest) = rest.rest(age, longest, now) else {
            return;
        };
        // Here it may have been replaced already, or not yet.
        if !is_of_credential(rest.blame) || of.has_credential_of(&deployment) {
            self.0.rest_too(&deployment, rest, now);
        }
    }

    fn back(&self, of: &Target<'_>, now: Instant) {
        let known = self.find(of).filter(|it| of.has_credential_of(it));
        let Some(deployment) = known else {
            return;
        };
        let entry = self.0.entries.get(deployment.id());
        if entry.is_some_and(|entry| entry.with(|breaker| breaker.back(now))) {
            self.0.note_back(now);
            tracing::info!(deployment = %deployment.id(), "deployment is back, as another instance found");
            self.0.listener.tell(deployment.public_id());
        }
    }
}

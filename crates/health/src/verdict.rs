//! What a check found.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use ziggurat_core::{Deployment, Error, ErrorKind};

/// How many characters of an error are kept.
const MOST_CHARS: usize = 500;

/// What stands for a secret.
const BLOT: &str = "…";

/// What the last check of a deployment found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The deployment as it was when it was checked.
    deployment: Arc<Deployment>,
    healthy: bool,
    since: Instant,
    checked_at: Instant,
    took: Duration,
    error: Option<(ErrorKind, Arc<str>)>,
    is_from_elsewhere: bool,
}

impl Verdict {
    /// The verdict on a deployment after a check, which follows on what was known of it.
    pub(crate) fn new(
        deployment: Arc<Deployment>,
        found: &Found,
        before: Option<&Self>,
        now: Instant,
    ) -> Self {
        let same = before.filter(|before| before.healthy == found.healthy);
        let error = found.error.as_ref().map(|error| {
            let message = without_secrets(error.message(), &deployment);
            (error.kind(), Arc::from(message))
        });
        Self {
            healthy: found.healthy,
            since: same.map_or(now, |before| before.since),
            checked_at: now,
            took: found.took,
            error,
            deployment,
            is_from_elsewhere: false,
        }
    }

    /// The same verdict, found by another instance.
    pub(crate) fn made_elsewhere(mut self) -> Self {
        self.is_from_elsewhere = true;
        self
    }

    /// Whether another instance has made the check.
    #[must_use]
    pub fn is_from_elsewhere(&self) -> bool {
        self.is_from_elsewhere
    }

    pub(crate) fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// Whether the deployment is in order.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Since when all checks have said the same.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// When the last check ended.
    #[must_use]
    pub fn checked_at(&self) -> Instant {
        self.checked_at
    }

    /// How long it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// What kind of error the check met. A healthy deployment may have one too, which does not speak
    /// against it.
    #[must_use]
    pub fn error_kind(&self) -> Option<ErrorKind> {
        self.error.as_ref().map(|(kind, _)| *kind)
    }

    /// What that error says, without the deployment's secrets: at most 500 characters.
    #[must_use]
    pub fn error_message(&self) -> Option<&str> {
        self.error.as_ref().map(|(_, message)| &**message)
    }

    /// Whether it is about this deployment, or about one that presents another credential, stands
    /// elsewhere or serves another model: a client's own, or what it was before a reload.
    pub(crate) fn is_about(&self, deployment: &Arc<Deployment>) -> bool {
        let checked = &self.deployment;
        let configured = deployment.configured();
        (Arc::ptr_eq(checked, configured) || checked.model() == configured.model())
            && (Arc::ptr_eq(checked, deployment)
                || checked.provider() == deployment.provider()
                    && checked.base_url() == deployment.base_url()
                    && checked.credential() == deployment.credential())
    }

    /// Whether it is younger than that.
    pub(crate) fn is_fresh(&self, stale_after: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.checked_at) < stale_after
    }
}

/// What a check found out.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) healthy: bool,
    pub(crate) error: Option<Error>,
    pub(crate) took: Duration,
}

/// A message in which no secret of a deployment stands. Who made it should have seen to that; this
/// one is shown to people.
fn without_secrets(message: &str, deployment: &Deployment) -> String {
    let mut message = message.to_owned();
    let credential = deployment.credential().map(|it| it.expose());
    let headers = deployment.headers().iter().map(|(_, value)| &**value);
    for secret in credential.into_iter().chain(headers) {
        if !secret.is_empty() {
            message = message.replace(secret, BLOT);
        }
    }
    if let Some(url) = deployment.base_url() {
        let public = deployment.public_base_url().unwrap_or_default();
        message = message.replace(url, &public);
    }
    message.chars().take(MOST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{ClientCredentials, Secret};

    use super::*;

    fn found(healthy: bool, message: Option<&'static str>) -> Found {
        Found {
            healthy,
            error: message.map(|message| Error::new(ErrorKind::Internal, message)),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn an_error_is_told_without_the_secrets_of_its_deployment() {
        let deployment = Deployment::new("a", "gpt", "m")
            .with_base_url("https://user:pass@host/v1?key=canary-1")
            .with_credential(Secret::new("canary-2"))
            .with_header("x-key", "canary-3");
        let message = "https://user:pass@host/v1?key=canary-1 said canary-2, not canary-3";
        let found = found(false, Some(message));
        let verdict = Verdict::new(Arc::new(deployment), &found, None, Instant::now());
        assert_eq!(
            verdict.error_message(),
            Some("https://host/v1 said …, not …")
        );
        assert!(!format!("{verdict:?}").contains("canary"));
    }

    #[test]
    fn a_message_is_bounded_and_an_empty_credential_blots_nothing() {
        let deployment = Deployment::new("a", "gpt", "m").with_credential(Secret::new(""));
        let message = without_secrets(&"ä".repeat(9_999), &deployment);
        assert_eq!(message, "ä".repeat(MOST_CHARS));
    }

    #[test]
    fn a_verdict_lasts_since_the_first_check_that_said_the_same() {
        let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
        let start = Instant::now();
        let mut verdict: Option<Verdict> = None;
        let mut since = Vec::new();
        for (second, healthy) in [false, false, true, true, false].into_iter().enumerate() {
            let now = start + Duration::from_secs(second as u64);
            let found = found(healthy, None);
            let next = Verdict::new(Arc::clone(&deployment), &found, verdict.as_ref(), now);
            since.push((next.since() - start).as_secs());
            verdict = Some(next);
        }
        assert_eq!(since, [0, 0, 2, 2, 4]);
    }

    #[test]
    fn a_verdict_is_about_who_presents_the_same_credential_at_the_same_place() {
        let of = |key: &str, model: &str| {
            let deployment = Deployment::new("a", "gpt", model);
            Arc::new(deployment.with_credential(Secret::new(key.to_owned())))
        };
        let checked = of("k", "any/*");
        let found = found(false, None);
        let verdict = Verdict::new(Arc::clone(&checked), &found, None, Instant::now());
        let client = ClientCredentials {
            api_key: Some(Secret::new("of the client")),
            ..ClientCredentials::default()
        };
        assert!(verdict.is_about(&checked));
        assert!(
            verdict.is_about(&of("k", "any/*")),
            "a reload changes nothing"
        );
        assert!(verdict.is_about(&Arc::new(checked.for_model("m"))));
        assert!(!verdict.is_about(&Arc::new(checked.for_client(&client))));
        assert!(!verdict.is_about(&of("new", "any/*")));
        assert!(!verdict.is_about(&of("k", "m")));
    }
}

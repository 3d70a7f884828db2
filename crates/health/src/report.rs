//! What is known of all deployments.

use std::sync::Arc;

use ziggurat_core::Deployment;

use crate::Verdict;

/// What is known of a deployment.
#[derive(Clone, Debug)]
pub struct Checkup {
    deployment: Arc<Deployment>,
    verdict: Option<Verdict>,
}

impl Checkup {
    /// The deployment: its id, model, provider and
    /// [public address](ziggurat_core::Deployment::public_base_url) are what to show.
    #[must_use]
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// What the last check found.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }
}

/// What is known of all deployments, each list in the order of their ids.
#[derive(Clone, Debug, Default)]
pub struct Report {
    healthy: Vec<Checkup>,
    unhealthy: Vec<Checkup>,
    unknown: Vec<Checkup>,
}

impl Report {
    pub(crate) fn new(all: impl Iterator<Item = (Arc<Deployment>, Option<Verdict>)>) -> Self {
        let mut report = Self::default();
        for (deployment, verdict) in all {
            let list = match verdict.as_ref().map(Verdict::is_healthy) {
                Some(true) => &mut report.healthy,
                Some(false) => &mut report.unhealthy,
                None => &mut report.unknown,
            };
            list.push(Checkup {
                deployment,
                verdict,
            });
        }
        let Self {
            healthy,
            unhealthy,
            unknown,
        } = &mut report;
        for list in [healthy, unhealthy, unknown] {
            list.sort_by(|a, b| a.deployment.id().cmp(b.deployment.id()));
        }
        report
    }

    /// The deployments that are in order.
    #[must_use]
    pub fn healthy(&self) -> &[Checkup] {
        &self.healthy
    }

    /// Those that are not.
    #[must_use]
    pub fn unhealthy(&self) -> &[Checkup] {
        &self.unhealthy
    }

    /// Those of which nothing is known: not checked yet, not to be checked, or nobody can tell.
    #[must_use]
    pub fn unknown(&self) -> &[Checkup] {
        &self.unknown
    }
}

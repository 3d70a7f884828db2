//! What is told, to whom, and how often.

use std::time::Duration;

use crate::{Webhook, gate::Pace, outage::OutageRule};

/// What is told, to whom, and how often.
#[derive(Clone, Debug)]
pub struct AlertPolicy {
    webhooks: Vec<Webhook>,
    threshold: Duration,
    pace: Pace,
    storm: usize,
    outage: OutageRule,
}

impl AlertPolicy {
    /// Tells nobody; the rest is the usual: slow is what takes five minutes, the same is told every
    /// five minutes at most, of budgets every day, in at most 20 messages a minute; ten deployments
    /// that go out within a minute are a storm, five errors of a deployment within a minute a minor
    /// outage and ten a major one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            webhooks: Vec::new(),
            threshold: Duration::from_secs(300),
            pace: Pace {
                interval: Duration::from_secs(300),
                budget_interval: Duration::from_secs(86_400),
                per_minute: 20,
            },
            storm: 10,
            outage: OutageRule {
                minor: 5,
                major: 10,
                window: Duration::from_secs(60),
            },
        }
    }

    /// Tells a webhook too; the same one only once.
    #[must_use]
    pub fn webhook(mut self, webhook: Webhook) -> Self {
        if !self.webhooks.contains(&webhook) {
            self.webhooks.push(webhook);
        }
        self
    }

    /// Sets from when on an attempt is slow, and a request without an answer hangs.
    #[must_use]
    pub const fn threshold(mut self, threshold: Duration) -> Self {
        self.threshold = threshold;
        self
    }

    /// Sets how long the same event of the same subject is not told again.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.pace.interval = interval;
        self
    }

    /// The same for budgets.
    #[must_use]
    pub const fn budget_interval(mut self, interval: Duration) -> Self {
        self.pace.budget_interval = interval;
        self
    }

    /// Sets how many messages each webhook gets in any minute; one at least.
    #[must_use]
    pub fn per_minute(mut self, messages: u32) -> Self {
        self.pace.per_minute = messages.max(1) as usize;
        self
    }

    /// Sets how many deployments that go out within a minute are a storm; one at least.
    #[must_use]
    pub fn storm(mut self, deployments: u32) -> Self {
        self.storm = deployments.max(1) as usize;
        self
    }

    /// Sets how many errors of a deployment within a window are an outage: one at least, and at most
    /// 1,000.
    #[must_use]
    pub fn outage(mut self, minor: u32, major: u32, window: Duration) -> Self {
        self.outage = OutageRule {
            minor: minor.clamp(1, 1_000) as usize,
            major: major.clamp(1, 1_000) as usize,
            window,
        };
        self
    }

    /// Whether anybody is told.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.webhooks.is_empty()
    }

    pub(crate) fn webhooks(&self) -> &[Webhook] {
        &self.webhooks
    }

    pub(crate) const fn slow_from(&self) -> Duration {
        self.threshold
    }

    pub(crate) const fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(crate) const fn storm_from(&self) -> usize {
        self.storm
    }

    pub(crate) const fn outage_rule(&self) -> &OutageRule {
        &self.outage
    }
}

impl Default for AlertPolicy {
    fn default() -> Self {
        Self::new()
    }
}

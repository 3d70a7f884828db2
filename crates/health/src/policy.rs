//! How often is asked, and what follows.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use ziggurat_core::{Clock, Deployment, Error, ErrorKind};

/// The shortest interval between two checks of a deployment.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// The longest.
const MOST_INTERVAL: Duration = Duration::from_secs(30 * 24 * 3600);

const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(8).expect("eight is over zero");

/// How often deployments are checked, and what follows from it.
#[derive(Clone, Debug)]
pub struct HealthPolicy {
    interval: Duration,
    concurrency: NonZeroUsize,
    timeout: Duration,
    calls: bool,
    routing: bool,
    staleness: Option<Duration>,
    ignores_transient: bool,
    groups: Option<Vec<Arc<str>>>,
}

impl HealthPolicy {
    /// A check every five minutes, eight at a time, a minute for each; a call only where a probe is
    /// not enough; requests are not routed by it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            interval: Duration::from_secs(300),
            concurrency: DEFAULT_CONCURRENCY,
            timeout: Duration::from_secs(60),
            calls: false,
            routing: false,
            staleness: None,
            ignores_transient: false,
            groups: None,
        }
    }

    /// Sets how often a deployment is checked: from a second to thirty days, whatever is said.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(LEAST_INTERVAL, MOST_INTERVAL);
        self
    }

    /// Sets how many checks there are at a time.
    #[must_use]
    pub const fn concurrency(mut self, checks: NonZeroUsize) -> Self {
        self.concurrency = checks;
        self
    }

    /// Sets how long a check may take, probe and call together, if the deployment
    /// [says nothing](ziggurat_core::HealthCheck::timeout) itself.
    #[must_use]
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Calls every deployment that can be called, even if the probe lists its model. It costs tokens.
    #[must_use]
    pub const fn calls(mut self, calls: bool) -> Self {
        self.calls = calls;
        self
    }

    /// Refuses deployments that were found unhealthy.
    #[must_use]
    pub const fn routing(mut self, routing: bool) -> Self {
        self.routing = routing;
        self
    }

    /// Sets how old a verdict may be to count for routing; two intervals by default.
    #[must_use]
    pub const fn staleness(mut self, threshold: Duration) -> Self {
        self.staleness = Some(threshold);
        self
    }

    /// Takes a deployment for healthy that answers 429 or 408: it is there, and busy.
    #[must_use]
    pub const fn ignore_transient(mut self, ignore: bool) -> Self {
        self.ignores_transient = ignore;
        self
    }

    /// Checks and refuses deployments of these groups only. [`HealthChecks::check_now`] checks those
    /// of other groups too.
    ///
    /// [`HealthChecks::check_now`]: crate::HealthChecks::check_now
    #[must_use]
    pub fn groups<T: Into<Arc<str>>>(mut self, groups: impl IntoIterator<Item = T>) -> Self {
        self.groups = Some(groups.into_iter().map(Into::into).collect());
        self
    }
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self::new()
    }
}

/// What has been set.
impl HealthPolicy {
    pub(crate) const fn every(&self) -> Duration {
        self.interval
    }

    pub(crate) const fn at_once(&self) -> NonZeroUsize {
        self.concurrency
    }

    pub(crate) const fn always_calls(&self) -> bool {
        self.calls
    }

    pub(crate) const fn routes(&self) -> bool {
        self.routing
    }

    pub(crate) fn stale_after(&self) -> Duration {
        self.staleness.unwrap_or(self.interval * 2)
    }

    pub(crate) fn covers(&self, deployment: &Deployment) -> bool {
        let named = |groups: &Vec<Arc<str>>| groups.iter().any(|it| **it == *deployment.group());
        self.groups.as_ref().is_none_or(named)
    }

    /// How long a check of a deployment may take.
    pub(crate) fn time_limit(&self, deployment: &Deployment) -> Duration {
        let own = deployment.health_check().timeout;
        own.unwrap_or(self.timeout)
    }

    /// Whether a failed check is an error of that kind that is to be ignored.
    pub(crate) fn ignores(&self, error: &Error) -> bool {
        // No connection, and silence, are not what the provider said.
        let is_said = !matches!(
            error.kind(),
            ErrorKind::Timeout(Clock::Connect | Clock::FirstToken | Clock::Idle)
        );
        self.ignores_transient && is_said && matches!(error.status().as_u16(), 408 | 429)
    }
}

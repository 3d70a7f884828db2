//! The handles of the metrics, made once for each group and deployment.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};
use parking_lot::RwLock;
use ziggurat_core::{
    Deployment, DeploymentId, Error, ErrorKind, Idle, Keyed, Operation, ProviderLimits, Reason,
    Usage,
};

use crate::names;

/// More deployments, and pairs of group and operation, than a configuration has. Beyond that the
/// handles used least are made anew when they are needed.
const MOST: usize = 16_384;

/// The label of a request for a model that no group serves.
const UNKNOWN: &str = "unknown";

/// Counters that differ in one label more, made when they are first counted.
#[derive(Debug)]
struct Family<K>(RwLock<Vec<(K, Counter)>>);

impl<K> Default for Family<K> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: PartialEq> Family<K> {
    fn increment(&self, key: K, make: impl FnOnce(&K) -> Counter) {
        let find = |known: &[(K, Counter)]| {
            let found = known.iter().find(|(other, _)| *other == key);
            found.map(|(_, counter)| counter.increment(1)).is_some()
        };
        if find(&self.0.read()) {
            return;
        }
        let mut known = self.0.write();
        if !find(&known) {
            let counter = make(&key);
            counter.increment(1);
            known.push((key, counter));
        }
    }
}

fn exception(labels: &[Label], kind: ErrorKind, status: u16) -> Vec<Label> {
    let mut labels = labels.to_vec();
    labels.push(Label::new("exception_status", status.to_string()));
    labels.push(Label::new("exception_class", kind.as_str()));
    labels
}

fn with(
    labels: &[Label],
    name: &'static str,
    value: impl Into<metrics::SharedString>,
) -> Vec<Label> {
    let mut labels = labels.to_vec();
    labels.push(Label::new(name, value));
    labels
}

/// The series of the requests of one group for one operation.
#[derive(Debug)]
pub(crate) struct RequestSeries {
    group: Arc<str>,
    asked: Vec<Label>,
    grouped: Vec<Label>,
    ended: Family<u16>,
    failed: Family<(ErrorKind, u16)>,
    rejected: Family<Reason>,
    latency: Histogram,
    overhead: Histogram,
    queued: OnceLock<Histogram>,
    paused: OnceLock<Histogram>,
    retries: Counter,
    fallbacks: Counter,
    cache: OnceLock<CacheSeries>,
}

/// The series of one group and operation in the cache, made when it is first asked.
#[derive(Debug)]
struct CacheSeries {
    hits: Counter,
    misses: Counter,
    tokens: Counter,
}

impl RequestSeries {
    fn new(group: &Arc<str>, operation: Operation) -> Self {
        let labels = |name| {
            vec![
                Label::new(name, Arc::clone(group)),
                Label::new("route", operation.as_str()),
            ]
        };
        let (asked, grouped) = (labels("requested_model"), labels("model_group"));
        Self {
            group: Arc::clone(group),
            ended: Family::default(),
            failed: Family::default(),
            rejected: Family::default(),
            latency: histogram!(names::REQUEST_LATENCY, grouped.clone()),
            overhead: histogram!(names::OVERHEAD, grouped.clone()),
            queued: OnceLock::new(),
            paused: OnceLock::new(),
            retries: counter!(names::RETRIES, grouped.clone()),
            fallbacks: counter!(names::FALLBACKS, grouped.clone()),
            cache: OnceLock::new(),
            asked,
            grouped,
        }
    }

    /// The name of the group, `unknown` if there is none.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    pub(crate) fn complete(&self, seconds: f64) {
        self.ended(200);
        self.latency.record(seconds);
    }

    pub(crate) fn failed(&self, error: &Error) {
        let (kind, status) = (error.kind(), error.status().as_u16());
        self.ended(status);
        self.failed.increment((kind, status), |_| {
            counter!(names::FAILED_REQUESTS, exception(&self.asked, kind, status))
        });
        if let Some(rejection) = error.rejection() {
            self.rejected.increment(rejection.reason(), |reason| {
                counter!(
                    names::REJECTIONS,
                    with(&self.grouped, "reason", reason.as_str())
                )
            });
        }
    }

    pub(crate) fn abandoned(&self) {
        self.ended(ErrorKind::Cancelled.rule().status.as_u16());
    }

    fn ended(&self, status: u16) {
        self.ended.increment(status, |status| {
            let labels = with(&self.asked, "status_code", status.to_string());
            counter!(names::REQUESTS, labels)
        });
    }

    pub(crate) fn moved(&self, retries: u32, fallbacks: u32) {
        self.retries.increment(retries.into());
        self.fallbacks.increment(fallbacks.into());
    }

    pub(crate) fn cache_hit(&self, tokens: u64) {
        let cache = self.cache();
        cache.hits.increment(1);
        cache.tokens.increment(tokens);
    }

    pub(crate) fn cache_miss(&self) {
        self.cache().misses.increment(1);
    }

    fn cache(&self) -> &CacheSeries {
        let counter = |name: &'static str| counter!(name, self.grouped.clone());
        self.cache.get_or_init(|| CacheSeries {
            hits: counter(names::CACHE_HITS),
            misses: counter(names::CACHE_MISSES),
            tokens: counter(names::CACHED_TOKENS),
        })
    }

    /// Notes what the router itself took before the answer began.
    pub(crate) fn overhead(&self, time: Duration) {
        self.overhead.record(time.as_secs_f64());
    }

    /// Notes how long the request waited in queues and before tries again, if it did.
    pub(crate) fn waited(&self, queued: Duration, paused: Duration) {
        for (time, cell, name) in [
            (queued, &self.queued, names::QUEUED),
            (paused, &self.paused, names::PAUSED),
        ] {
            if !time.is_zero() {
                cell.get_or_init(|| histogram!(name, self.grouped.clone()))
                    .record(time.as_secs_f64());
            }
        }
    }

    /// Counts a request that moved to another group. Rare, so the recorder is asked each time.
    pub(crate) fn fell_back(&self, to: &str, succeeded: bool) {
        if *self.group == *to {
            return;
        }
        let name = if succeeded {
            names::FALLBACKS_SUCCEEDED
        } else {
            names::FALLBACKS_FAILED
        };
        let labels = vec![
            Label::new("requested_model", Arc::clone(&self.group)),
            Label::new("fallback_model", to.to_owned()),
        ];
        counter!(name, labels).increment(1);
    }
}

impl Idle for RequestSeries {
    fn is_idle(&self) -> bool {
        true
    }
}

/// The series of all requests.
#[derive(Debug)]
pub(crate) struct Requests {
    in_flight: Gauge,
    unknown: Arc<str>,
    series: Keyed<(Arc<str>, Operation), RequestSeries>,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            in_flight: gauge!(names::IN_FLIGHT),
            unknown: Arc::from(UNKNOWN),
            series: Keyed::new(MOST),
        }
    }

    pub(crate) fn in_flight(&self) -> &Gauge {
        &self.in_flight
    }

    pub(crate) fn series(
        &self,
        group: Option<&Arc<str>>,
        operation: Operation,
    ) -> Arc<RequestSeries> {
        let group = group.unwrap_or(&self.unknown);
        let key = (Arc::clone(group), operation);
        self.series
            .get_or_insert_with(&key, || RequestSeries::new(group, operation))
    }
}

/// The series of one deployment.
#[derive(Debug)]
pub(crate) struct AttemptSeries {
    deployment: Weak<Deployment>,
    labels: Vec<Label>,
    total: Counter,
    successes: Counter,
    failures: Family<(ErrorKind, u16)>,
    abandoned: Counter,
    rejected: Family<Reason>,
    latency: Histogram,
    first_token: Histogram,
    per_token: Histogram,
    input: Counter,
    output: Counter,
    spend: Gauge,
    remaining_requests: OnceLock<Gauge>,
    remaining_tokens: OnceLock<Gauge>,
}

impl AttemptSeries {
    fn new(deployment: &Arc<Deployment>) -> Self {
        let labels = labels_of(deployment);
        let counter = |name: &'static str| counter!(name, labels.clone());
        let histogram = |name: &'static str| histogram!(name, labels.clone());
        Self {
            total: counter(names::ATTEMPTS),
            successes: counter(names::SUCCESSES),
            failures: Family::default(),
            abandoned: counter(names::ABANDONED),
            rejected: Family::default(),
            latency: histogram(names::API_LATENCY),
            first_token: histogram(names::FIRST_TOKEN),
            per_token: histogram(names::PER_TOKEN),
            input: counter(names::INPUT_TOKENS),
            output: counter(names::OUTPUT_TOKENS),
            spend: gauge!(names::SPEND, labels.clone()),
            remaining_requests: OnceLock::new(),
            remaining_tokens: OnceLock::new(),
            deployment: Arc::downgrade(deployment),
            labels,
        }
    }

    fn describes(&self, deployment: &Arc<Deployment>) -> bool {
        // What a `Weak` points to is not used again for another deployment.
        Weak::as_ptr(&self.deployment) == Arc::as_ptr(deployment)
    }

    pub(crate) fn complete(&self, seconds: f64, usage: Option<&Usage>) {
        self.total.increment(1);
        self.successes.increment(1);
        self.latency.record(seconds);
        if let Some(usage) = usage {
            self.input.increment(usage.input);
            self.output.increment(usage.output);
            if usage.output > 0 {
                self.per_token.record(seconds / usage.output as f64);
            }
        }
    }

    pub(crate) fn failed(&self, error: &Error) {
        if let Some(rejection) = error.rejection() {
            return self.rejected.increment(rejection.reason(), |reason| {
                let labels = with(&self.labels, "reason", reason.as_str());
                counter!(names::DEPLOYMENT_REJECTIONS, labels)
            });
        }
        self.total.increment(1);
        let (kind, status) = (error.kind(), error.status().as_u16());
        self.failures.increment((kind, status), |_| {
            counter!(names::FAILURES, exception(&self.labels, kind, status))
        });
    }

    pub(crate) fn abandoned(&self) {
        self.total.increment(1);
        self.abandoned.increment(1);
    }

    pub(crate) fn spent(&self, dollars: f64) {
        self.spend.increment(dollars);
    }

    /// Notes what the provider says is left of its limits. A provider that never says it has no series.
    pub(crate) fn limits(&self, limits: &ProviderLimits) {
        for (quota, cell, name) in [
            (
                limits.requests,
                &self.remaining_requests,
                names::REMAINING_REQUESTS,
            ),
            (
                limits.tokens,
                &self.remaining_tokens,
                names::REMAINING_TOKENS,
            ),
        ] {
            if let Some(quota) = quota {
                cell.get_or_init(|| gauge!(name, self.labels.clone()))
                    .set(quota.remaining as f64);
            }
        }
    }

    pub(crate) fn first_token(&self, seconds: f64) {
        self.first_token.record(seconds);
    }
}

/// The labels of a deployment, that of its group first.
pub(crate) fn labels_of(deployment: &Deployment) -> Vec<Label> {
    let base = deployment.base_url().map_or("", harmless);
    [
        ("model_group", deployment.group()),
        ("litellm_model_name", deployment.model()),
        ("model_id", deployment.id().as_str()),
        ("api_base", base),
        ("api_provider", deployment.provider()),
    ]
    .into_iter()
    .map(|(name, value)| Label::new(name, value.to_owned()))
    .collect()
}

/// The part of a URL that is fit to be seen: no user, password, query or fragment.
fn harmless(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let authority = url.find("://").map_or(0, |at| at + 3);
    let path = url[authority..]
        .find('/')
        .map_or(url.len(), |at| authority + at);
    match url[..path].rfind('@') {
        Some(at) => &url[at + 1..],
        None => url,
    }
}

/// The series of all deployments.
#[derive(Debug)]
pub(crate) struct Attempts(Keyed<DeploymentId, Current>);

/// The series of a deployment as it was last described; a reload may change its labels.
#[derive(Debug, Default)]
struct Current(RwLock<Option<Arc<AttemptSeries>>>);

impl Idle for Current {
    fn is_idle(&self) -> bool {
        true
    }
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self(Keyed::new(MOST))
    }

    pub(crate) fn series(&self, deployment: &Arc<Deployment>) -> Arc<AttemptSeries> {
        // What is made of a deployment for a model or a client is counted as what is configured.
        let deployment = deployment.configured();
        let current = self.0.get_or_default(deployment.id());
        if let Some(series) = &*current.0.read()
            && series.describes(deployment)
        {
            return Arc::clone(series);
        }
        let series = Arc::new(AttemptSeries::new(deployment));
        *current.0.write() = Some(Arc::clone(&series));
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_in_a_label_has_no_user_password_query_or_fragment() {
        for (url, seen) in [
            ("https://a.example/v1", "https://a.example/v1"),
            ("https://a.example/v1?key=sk-1#x", "https://a.example/v1"),
            ("https://user:pa@ss@a.example/v1", "a.example/v1"),
            ("https://a.example/v1/@me", "https://a.example/v1/@me"),
            ("a.example", "a.example"),
            ("", ""),
        ] {
            assert_eq!(harmless(url), seen);
        }
    }
}

//! One concrete target of requests.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use crate::Secret;

/// The stable name of a deployment: state of every layer is kept under it, so it survives a reload.
///
/// Comparing and hashing it costs a few nanoseconds: the hash is computed once.
#[derive(Clone)]
pub struct DeploymentId {
    name: Arc<str>,
    hash: u64,
}

impl DeploymentId {
    /// An id of that name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let hash = fnv1a(name.as_bytes());
        Self { name, hash }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo): stable over processes and versions.
pub(crate) const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

impl PartialEq for DeploymentId {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.name, &other.name) || self.name == other.name)
    }
}

impl Eq for DeploymentId {}

impl Hash for DeploymentId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for DeploymentId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DeploymentId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(&other.name)
    }
}

impl fmt::Debug for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.name, f)
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl From<&str> for DeploymentId {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// One concrete target: provider, model, endpoint, credential, limits, prices.
///
/// It is a description and never changes; whatever changes (load, limits used, health) is kept by
/// the layer that cares, under the [`DeploymentId`]. A reload replaces descriptions and loses no
/// state.
///
/// ```
/// use ziggurat_core::{Deployment, Secret};
///
/// let deployment = Deployment::new("azure-eu", "gpt-4o", "gpt-4o-2024-08-06")
///     .with_base_url("https://eu.example.com/v1")
///     .with_credential(Secret::new("sk-…"))
///     .with_weight(3.0)
///     .with_tags(["eu"]);
/// assert_eq!(deployment.group(), "gpt-4o");
/// ```
#[derive(Clone)]
pub struct Deployment {
    id: DeploymentId,
    group: Arc<str>,
    model: Arc<str>,
    provider: Arc<str>,
    base_url: Option<Arc<str>>,
    credential: Option<Secret>,
    headers: Vec<(Arc<str>, Arc<str>)>,
    weight: Option<f64>,
    order: Option<i32>,
    tags: Vec<Arc<str>>,
    rpm: Option<u64>,
    tpm: Option<u64>,
    max_parallel: Option<u32>,
    timeouts: Timeouts,
    cooldown_time: Option<Duration>,
    num_retries: Option<u32>,
    prices: Prices,
    max_input_tokens: Option<u64>,
}

impl fmt::Debug for Deployment {
    /// Shows everything but secrets: of headers their names, of the URL no user and no query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Deployment")
            .field("id", &self.id)
            .field("group", &self.group)
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field("base_url", &self.public_base_url())
            .field("credential", &self.credential)
            .field("headers", &headers)
            .field("weight", &self.weight)
            .field("order", &self.order)
            .field("tags", &self.tags)
            .field("rpm", &self.rpm)
            .field("tpm", &self.tpm)
            .field("max_parallel", &self.max_parallel)
            .field("timeouts", &self.timeouts)
            .field("cooldown_time", &self.cooldown_time)
            .field("num_retries", &self.num_retries)
            .field("prices", &self.prices)
            .field("max_input_tokens", &self.max_input_tokens)
            .finish()
    }
}

/// What a deployment sets for the clocks of its attempts. `None` leaves the layer's own value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// To the end of an answer that is not streamed, or to the first token of one that is.
    pub attempt: Option<Duration>,
    /// As `attempt`, for streams only.
    pub stream: Option<Duration>,
    /// To the first content item of a stream.
    pub first_token: Option<Duration>,
    /// Between two items of a stream.
    pub idle: Option<Duration>,
}

/// What tokens cost. `None` means unknown; zero means free.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prices {
    /// Dollars for one input token.
    pub input: Option<f64>,
    /// Dollars for one output token.
    pub output: Option<f64>,
    /// Dollars for one input token that the provider had cached.
    pub cached_input: Option<f64>,
}

impl Deployment {
    /// A deployment that serves `group` by the provider's `model`. Everything else has a default:
    /// the OpenAI dialect, no limits, no tags.
    #[must_use]
    pub fn new(
        id: impl Into<DeploymentId>,
        group: impl Into<Arc<str>>,
        model: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            id: id.into(),
            group: group.into(),
            model: model.into(),
            provider: Arc::from("openai"),
            base_url: None,
            credential: None,
            headers: Vec::new(),
            weight: None,
            order: None,
            tags: Vec::new(),
            rpm: None,
            tpm: None,
            max_parallel: None,
            timeouts: Timeouts::default(),
            cooldown_time: None,
            num_retries: None,
            prices: Prices::default(),
            max_input_tokens: None,
        }
    }

    /// Sets the provider: which dialect it speaks and where it lives by default.
    #[must_use]
    pub fn with_provider(mut self, name: impl Into<Arc<str>>) -> Self {
        self.provider = name.into();
        self
    }

    /// Sets where requests go: everything before `/chat/completions`.
    #[must_use]
    pub fn with_base_url(mut self, url: impl Into<Arc<str>>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Sets the credential.
    #[must_use]
    pub fn with_credential(mut self, credential: Secret) -> Self {
        self.credential = Some(credential);
        self
    }

    /// Adds a header to every request.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets its share of the traffic among its group.
    #[must_use]
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Sets its tier: the lowest that is not refused serves.
    #[must_use]
    pub fn with_order(mut self, order: i32) -> Self {
        self.order = Some(order);
        self
    }

    /// Sets the tags that requests may ask for.
    #[must_use]
    pub fn with_tags<T: Into<Arc<str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how many requests a minute it takes.
    #[must_use]
    pub fn with_rpm(mut self, requests: u64) -> Self {
        self.rpm = Some(requests);
        self
    }

    /// Sets how many tokens a minute it takes.
    #[must_use]
    pub fn with_tpm(mut self, tokens: u64) -> Self {
        self.tpm = Some(tokens);
        self
    }

    /// Sets how many requests it takes at a time.
    #[must_use]
    pub fn with_max_parallel(mut self, requests: u32) -> Self {
        self.max_parallel = Some(requests);
        self
    }

    /// Sets its clocks.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets how long it rests after failures.
    #[must_use]
    pub fn with_cooldown_time(mut self, time: Duration) -> Self {
        self.cooldown_time = Some(time);
        self
    }

    /// Sets how often a request that failed here is tried again.
    #[must_use]
    pub fn with_num_retries(mut self, retries: u32) -> Self {
        self.num_retries = Some(retries);
        self
    }

    /// Sets what tokens cost.
    #[must_use]
    pub fn with_prices(mut self, prices: Prices) -> Self {
        self.prices = prices;
        self
    }

    /// Sets the size of its context window.
    #[must_use]
    pub fn with_max_input_tokens(mut self, tokens: u64) -> Self {
        self.max_input_tokens = Some(tokens);
        self
    }
}

/// What has been set.
impl Deployment {
    /// The stable name.
    #[must_use]
    pub fn id(&self) -> &DeploymentId {
        &self.id
    }

    /// The model group it serves.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The provider's name of the model; may hold `*` in a wildcard route.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Where requests go, if it is not the provider's default.
    #[must_use]
    pub fn base_url(&self) -> Option<&str> {
        self.base_url.as_deref()
    }

    /// The same without user, password and query: what may be shown.
    #[must_use]
    pub fn public_base_url(&self) -> Option<String> {
        let url = self.base_url.as_deref()?;
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit('@').next().unwrap_or_default();
        Some(if scheme.is_empty() {
            format!("{host}{path}")
        } else {
            format!("{scheme}://{host}{path}")
        })
    }

    /// The credential.
    #[must_use]
    pub fn credential(&self) -> Option<&Secret> {
        self.credential.as_ref()
    }

    /// Headers for every request.
    #[must_use]
    pub fn headers(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.headers
    }

    /// Its share of the traffic.
    #[must_use]
    pub fn weight(&self) -> Option<f64> {
        self.weight
    }

    /// Its tier.
    #[must_use]
    pub fn order(&self) -> Option<i32> {
        self.order
    }

    /// Its tags.
    #[must_use]
    pub fn tags(&self) -> &[Arc<str>] {
        &self.tags
    }

    /// Requests a minute.
    #[must_use]
    pub fn rpm(&self) -> Option<u64> {
        self.rpm
    }

    /// Tokens a minute.
    #[must_use]
    pub fn tpm(&self) -> Option<u64> {
        self.tpm
    }

    /// Requests at a time.
    #[must_use]
    pub fn max_parallel(&self) -> Option<u32> {
        self.max_parallel
    }

    /// Its clocks.
    #[must_use]
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// How long it rests.
    #[must_use]
    pub fn cooldown_time(&self) -> Option<Duration> {
        self.cooldown_time
    }

    /// How often a request that failed here is tried again.
    #[must_use]
    pub fn num_retries(&self) -> Option<u32> {
        self.num_retries
    }

    /// What tokens cost.
    #[must_use]
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// The size of its context window.
    #[must_use]
    pub fn max_input_tokens(&self) -> Option<u64> {
        self.max_input_tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let deployment = Deployment::new("a", "gpt", "m")
            .with_base_url("https://user:canary@host:8443/v1?key=canary#canary")
            .with_credential(Secret::new("canary"))
            .with_header("x-key", "canary");
        assert_eq!(
            deployment.public_base_url().as_deref(),
            Some("https://host:8443/v1")
        );
        let shown = format!("{deployment:?}");
        assert!(
            shown.contains("host:8443") && !shown.contains("canary"),
            "{shown}"
        );
    }

    #[test]
    fn ids_of_the_same_name_are_the_same() {
        assert_eq!(DeploymentId::new("a"), DeploymentId::new(String::from("a")));
        assert_ne!(DeploymentId::new("a"), DeploymentId::new("b"));
    }
}

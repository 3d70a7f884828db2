//! One concrete target of requests.

mod concurrency;
mod fingerprint;
mod health;
mod id;
mod made;
mod prices;
mod read;
mod traits;

use std::{fmt, sync::Arc, time::Duration};

pub(crate) use self::id::fnv1a;
pub use self::{
    concurrency::{Concurrency, ConcurrencyMode},
    health::HealthCheck,
    id::DeploymentId,
    prices::{LongContext, Prices, UnitPrices},
    traits::Traits,
};
use crate::{
    AccessWindow, Capabilities, DefaultField, ErrorKind, FieldSet, Mode, Money, Secret,
    ServiceTier, TagPattern,
};

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
    params: Vec<(Arc<str>, Secret)>,
    drops_params: bool,
    weight: Option<f64>,
    order: Option<i32>,
    tags: Vec<Arc<str>>,
    rpm: Option<u64>,
    tpm: Option<u64>,
    itpm: Option<u64>,
    otpm: Option<u64>,
    budget: Option<(Money, Option<Duration>)>,
    max_parallel: Option<u32>,
    concurrency: Concurrency,
    timeouts: Timeouts,
    cooldown_time: Option<Duration>,
    num_retries: Option<u32>,
    allowed_fails: Option<u32>,
    allowed_fails_of: Vec<(ErrorKind, u32)>,
    takes_any_answer: bool,
    mock_response: Option<Arc<str>>,
    health_check: HealthCheck,
    prices: Prices,
    tier_prices: Vec<(ServiceTier, Prices)>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    mode: Option<Mode>,
    capabilities: Capabilities,
    fields: Option<FieldSet>,
    defaults: Vec<DefaultField>,
    region: Option<Arc<str>>,
    blocked: bool,
    team: Option<Arc<str>>,
    team_model: Option<Arc<str>>,
    access_groups: Vec<Arc<str>>,
    access_windows: Vec<AccessWindow>,
    tag_patterns: Vec<TagPattern>,
    mirrors: Vec<Arc<str>>,
    client_credentials: bool,
    passes_paths: bool,
    configured: Option<Arc<Deployment>>,
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
            .field("params", &self.params)
            .field("drops_params", &self.drops_params)
            .field("weight", &self.weight)
            .field("order", &self.order)
            .field("tags", &self.tags)
            .field("rpm", &self.rpm)
            .field("tpm", &self.tpm)
            .field("itpm", &self.itpm)
            .field("otpm", &self.otpm)
            .field("budget", &self.budget)
            .field("max_parallel", &self.max_parallel)
            .field("concurrency", &self.concurrency)
            .field("timeouts", &self.timeouts)
            .field("cooldown_time", &self.cooldown_time)
            .field("num_retries", &self.num_retries)
            .field("allowed_fails", &self.allowed_fails)
            .field("allowed_fails_of", &self.allowed_fails_of)
            .field("takes_any_answer", &self.takes_any_answer)
            .field("mock_response", &self.mock_response)
            .field("health_check", &self.health_check)
            .field("prices", &self.prices)
            .field("tier_prices", &self.tier_prices)
            .field("max_input_tokens", &self.max_input_tokens)
            .field("max_output_tokens", &self.max_output_tokens)
            .field("mode", &self.mode)
            .field("capabilities", &self.capabilities)
            .field("fields", &self.fields)
            .field("defaults", &self.defaults)
            .field("region", &self.region)
            .field("blocked", &self.blocked)
            .field("team", &self.team)
            .field("team_model", &self.team_model)
            .field("access_groups", &self.access_groups)
            .field("access_windows", &self.access_windows)
            .field("tag_patterns", &self.tag_patterns)
            .field("mirrors", &self.mirrors)
            .field("client_credentials", &self.client_credentials)
            .field("passes_paths", &self.passes_paths)
            .field("configured", &self.configured.as_ref().map(|it| it.id()))
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
            params: Vec::new(),
            drops_params: false,
            weight: None,
            order: None,
            tags: Vec::new(),
            rpm: None,
            tpm: None,
            itpm: None,
            otpm: None,
            budget: None,
            max_parallel: None,
            concurrency: Concurrency::default(),
            timeouts: Timeouts::default(),
            cooldown_time: None,
            num_retries: None,
            allowed_fails: None,
            allowed_fails_of: Vec::new(),
            takes_any_answer: false,
            mock_response: None,
            health_check: HealthCheck::default(),
            prices: Prices::default(),
            tier_prices: Vec::new(),
            max_input_tokens: None,
            max_output_tokens: None,
            mode: None,
            capabilities: Capabilities::default(),
            fields: None,
            defaults: Vec::new(),
            region: None,
            blocked: false,
            team: None,
            team_model: None,
            access_groups: Vec::new(),
            access_windows: Vec::new(),
            tag_patterns: Vec::new(),
            mirrors: Vec::new(),
            client_credentials: false,
            passes_paths: false,
            configured: None,
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

    /// Sets something that only its provider knows: a region, a project, a version, a second part of
    /// a credential. Whatever it is, it is shown to nobody.
    #[must_use]
    pub fn with_param(mut self, name: impl Into<Arc<str>>, value: Secret) -> Self {
        self.params.push((name.into(), value));
        self
    }

    /// Leaves out of a request what its provider cannot take, instead of refusing it.
    #[must_use]
    pub fn with_drop_params(mut self, drops: bool) -> Self {
        self.drops_params = drops;
        self
    }

    /// Sets its share of the traffic among its group.
    #[must_use]
    pub fn with_weight(mut self, weight: f64) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Sets another group. The id stays.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.group = group.into();
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

    /// Sets how many input tokens a minute it takes, those that are cached left out.
    #[must_use]
    pub fn with_itpm(mut self, tokens: u64) -> Self {
        self.itpm = Some(tokens);
        self
    }

    /// Sets how many output tokens a minute it takes.
    #[must_use]
    pub fn with_otpm(mut self, tokens: u64) -> Self {
        self.otpm = Some(tokens);
        self
    }

    /// Sets what may be spent on it in such a time from the first use on; in all, if there is none.
    #[must_use]
    pub fn with_budget(mut self, most: Money, time: impl Into<Option<Duration>>) -> Self {
        self.budget = Some((most, time.into()));
        self
    }

    /// Sets how many requests it takes at a time.
    #[must_use]
    pub fn with_max_parallel(mut self, requests: u32) -> Self {
        self.max_parallel = Some(requests);
        self
    }

    /// Sets how many attempts may be in flight here, where it differs from what holds for all.
    #[must_use]
    pub fn with_concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
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

    /// Sets how many failures in a row are forgiven.
    #[must_use]
    pub fn with_allowed_fails(mut self, failures: u32) -> Self {
        self.allowed_fails = Some(failures);
        self
    }

    /// Sets how many failures of one kind in a row are forgiven, whatever the kind means otherwise.
    #[must_use]
    pub fn with_allowed_fails_of(mut self, kind: ErrorKind, failures: u32) -> Self {
        self.allowed_fails_of.push((kind, failures));
        self
    }

    /// Takes what it says with a success for an answer, whatever it is.
    #[must_use]
    pub fn with_any_answer(mut self, takes: bool) -> Self {
        self.takes_any_answer = takes;
        self
    }

    /// Lets it answer this, and sends nothing.
    #[must_use]
    pub fn with_mock_response(mut self, answer: impl Into<Arc<str>>) -> Self {
        self.mock_response = Some(answer.into());
        self
    }

    /// Sets how its health is checked.
    #[must_use]
    pub fn with_health_check(mut self, check: HealthCheck) -> Self {
        self.health_check = check;
        self
    }

    /// Sets what tokens cost.
    #[must_use]
    pub fn with_prices(mut self, prices: Prices) -> Self {
        self.prices = prices;
        self
    }

    /// Sets what tokens cost in a class of service; what is unknown there is as usual.
    #[must_use]
    pub fn with_tier_prices(mut self, tier: ServiceTier, prices: Prices) -> Self {
        self.tier_prices.retain(|(other, _)| *other != tier);
        self.tier_prices.push((tier, prices));
        self
    }

    /// Sets the size of its context window.
    #[must_use]
    pub fn with_max_input_tokens(mut self, tokens: u64) -> Self {
        self.max_input_tokens = Some(tokens);
        self
    }

    /// Sets how many tokens an answer may have.
    #[must_use]
    pub fn with_max_output_tokens(mut self, tokens: u64) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// Sets what its model is for.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets what its model can do.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Sets which fields of requests it understands.
    #[must_use]
    pub fn with_fields(mut self, fields: FieldSet) -> Self {
        self.fields = Some(fields);
        self
    }

    /// Adds a field to every request that does not have it.
    #[must_use]
    pub fn with_default_field(mut self, field: DefaultField) -> Self {
        self.defaults.push(field);
        self
    }

    /// Sets where it is.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<Arc<str>>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Lets it get no requests, for as long as it is so.
    #[must_use]
    pub fn with_blocked(mut self, blocked: bool) -> Self {
        self.blocked = blocked;
        self
    }

    /// Gives it to a team. Members of the team may ask for it by `model`, if that is given.
    #[must_use]
    pub fn with_team(mut self, team: impl Into<Arc<str>>, model: Option<Arc<str>>) -> Self {
        self.team = Some(team.into());
        self.team_model = model;
        self
    }

    /// Sets the labels by which callers may be let in.
    #[must_use]
    pub fn with_access_groups<T: Into<Arc<str>>>(
        mut self,
        labels: impl IntoIterator<Item = T>,
    ) -> Self {
        self.access_groups = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Keeps it for some teams at a time of the day.
    #[must_use]
    pub fn with_access_window(mut self, window: AccessWindow) -> Self {
        self.access_windows.push(window);
        self
    }

    /// Adds a pattern of user agents that may use it as if they asked for its tags.
    #[must_use]
    pub fn with_tag_pattern(mut self, pattern: TagPattern) -> Self {
        self.tag_patterns.push(pattern);
        self
    }

    /// Sets the groups that get a copy of each request it serves.
    #[must_use]
    pub fn with_mirrors<T: Into<Arc<str>>>(mut self, groups: impl IntoIterator<Item = T>) -> Self {
        self.mirrors = groups.into_iter().map(Into::into).collect();
        self
    }

    /// Lets requests bring their own credential and endpoint.
    #[must_use]
    pub fn with_client_credentials(mut self, allowed: bool) -> Self {
        self.client_credentials = allowed;
        self
    }

    /// Lets requests for any path of its provider through, with its credential. Whoever may send
    /// some can then do all that the credential allows.
    #[must_use]
    pub fn with_any_path(mut self, allowed: bool) -> Self {
        self.passes_paths = allowed;
        self
    }
}

/// A URL without user, password and query.
pub(crate) fn public_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // It may be the rest of a password, with characters that none may have.
    if rest.contains('@') {
        return "***".to_owned();
    }
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() {
        format!("{host}{path}")
    } else {
        format!("{scheme}://{host}{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Blame;

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
        for url in ["https://user:can/ary@host", "user:can?ary@host/v1"] {
            assert_eq!(public_url(url), "***");
        }
        let shown = format!("{deployment:?}");
        assert!(
            shown.contains("host:8443") && !shown.contains("canary"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_shared_says_whom_else_a_failure_speaks_against() {
        let of = |id: &str, model: &str, key: &str| {
            Deployment::new(id, "gpt", model).with_credential(Secret::new(key.to_owned()))
        };
        let failed = of("a", "m", "k");
        let shares = |blame| {
            [of("b", "m", "k"), of("c", "m", "other"), of("d", "n", "k")]
                .map(|deployment| deployment.shares(blame, &failed))
        };
        assert_eq!(shares(Blame::Credential), [true, false, true]);
        assert_eq!(shares(Blame::Quota), [true, false, false]);
        assert_eq!(shares(Blame::Provider), [true, true, false]);
        assert_eq!(shares(Blame::Deployment), [false; 3]);
        let elsewhere = of("b", "m", "k").with_base_url("http://elsewhere");
        assert!(!elsewhere.shares(Blame::Credential, &failed));
        let keyless = |id| Deployment::new(id, "gpt", "m");
        assert!(!keyless("a").shares(Blame::Quota, &keyless("b")));
    }
}

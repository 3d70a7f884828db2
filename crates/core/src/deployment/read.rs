//! What has been set.

use std::{sync::Arc, time::Duration};

use super::{Concurrency, Deployment, DeploymentId, HealthCheck, Prices, Timeouts, public_url};
use crate::{
    AccessWindow, Blame, Capabilities, DefaultField, ErrorKind, FieldSet, Mode, Money, Secret,
    ServiceTier, TagPattern, Usage,
};

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
        self.base_url.as_deref().map(public_url)
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

    /// Something that only its provider knows; of a name that was set twice the last value.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter().rev();
        let found = params.find(|(own, _)| **own == *name);
        found.map(|(_, value)| value.expose())
    }

    /// The names of what only its provider knows.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(|(name, _)| &**name)
    }

    /// Whether what its provider cannot take is left out of a request.
    #[must_use]
    pub fn drops_params(&self) -> bool {
        self.drops_params
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

    /// How many input tokens a minute it takes, those that are cached left out.
    #[must_use]
    pub fn itpm(&self) -> Option<u64> {
        self.itpm
    }

    /// How many output tokens a minute it takes.
    #[must_use]
    pub fn otpm(&self) -> Option<u64> {
        self.otpm
    }

    /// What may be spent on it, and in what time from the first use on; in all, if there is none.
    #[must_use]
    pub fn budget(&self) -> Option<(Money, Option<Duration>)> {
        self.budget
    }

    /// Requests at a time.
    #[must_use]
    pub fn max_parallel(&self) -> Option<u32> {
        self.max_parallel
    }

    /// How many attempts may be in flight here, where it differs from what holds for all.
    #[must_use]
    pub fn concurrency(&self) -> Concurrency {
        self.concurrency
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

    /// How many failures in a row are forgiven.
    #[must_use]
    pub fn allowed_fails(&self) -> Option<u32> {
        self.allowed_fails
    }

    /// How many failures of some kinds in a row are forgiven.
    #[must_use]
    pub fn allowed_fails_of(&self) -> &[(ErrorKind, u32)] {
        &self.allowed_fails_of
    }

    /// Whether what it says with a success is an answer, whatever it is.
    #[must_use]
    pub fn takes_any_answer(&self) -> bool {
        self.takes_any_answer
    }

    /// What it answers without being asked.
    #[must_use]
    pub fn mock_response(&self) -> Option<&Arc<str>> {
        self.mock_response.as_ref()
    }

    /// How its health is checked.
    #[must_use]
    pub fn health_check(&self) -> &HealthCheck {
        &self.health_check
    }

    /// Whether a failure of another deployment speaks against this one too: both share what is to
    /// blame.
    #[must_use]
    pub fn shares(&self, blame: Blame, other: &Self) -> bool {
        let same_place = || self.provider == other.provider && self.base_url == other.base_url;
        let has_account = self.credential.is_some() || !self.params.is_empty();
        let same_account =
            || has_account && self.credential == other.credential && self.params == other.params;
        match blame {
            Blame::Request => false,
            Blame::Deployment => self.id == other.id,
            Blame::Credential => same_account() && same_place(),
            Blame::Quota => same_account() && self.model == other.model && same_place(),
            Blame::Provider => self.model == other.model && same_place(),
        }
    }

    /// What tokens cost.
    #[must_use]
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// What tokens cost in a class of service, if it has prices of its own.
    #[must_use]
    pub fn tier_prices(&self, tier: ServiceTier) -> Option<&Prices> {
        let found = self.tier_prices.iter().find(|(other, _)| *other == tier);
        found.map(|(_, prices)| prices)
    }

    /// What a usage costs, in the class of service that it names; `None` if a price that it needs
    /// is unknown. [`Prices::cost`] has the rules.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Money> {
        match usage.tier {
            None => self.prices.cost(usage),
            Some(tier) => self.prices.cost_in(tier, self.tier_prices(tier), usage),
        }
    }

    /// The size of its context window.
    #[must_use]
    pub fn max_input_tokens(&self) -> Option<u64> {
        self.max_input_tokens
    }

    /// How many tokens an answer may have.
    #[must_use]
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.max_output_tokens
    }

    /// What its model is for.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.mode
    }

    /// What its model can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The fields of requests that it understands, if that is known.
    #[must_use]
    pub fn fields(&self) -> Option<FieldSet> {
        self.fields
    }

    /// The fields it adds to requests that do not have them.
    #[must_use]
    pub fn default_fields(&self) -> &[DefaultField] {
        &self.defaults
    }

    /// Where it is.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Whether it is to get no requests.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The team it belongs to.
    #[must_use]
    pub fn team(&self) -> Option<&str> {
        self.team.as_deref()
    }

    /// The name by which its team asks for it.
    #[must_use]
    pub fn team_model(&self) -> Option<&Arc<str>> {
        self.team_model.as_ref()
    }

    /// The labels by which callers may be let in.
    #[must_use]
    pub fn access_groups(&self) -> &[Arc<str>] {
        &self.access_groups
    }

    /// The times of the day at which it is kept for some teams.
    #[must_use]
    pub fn access_windows(&self) -> &[AccessWindow] {
        &self.access_windows
    }

    /// The patterns of user agents that may use it.
    #[must_use]
    pub fn tag_patterns(&self) -> &[TagPattern] {
        &self.tag_patterns
    }

    /// The groups that get a copy of each request it serves.
    #[must_use]
    pub fn mirrors(&self) -> &[Arc<str>] {
        &self.mirrors
    }

    /// Whether requests may bring their own credential and endpoint.
    #[must_use]
    pub fn allows_client_credentials(&self) -> bool {
        self.client_credentials
    }

    /// Whether it takes requests for any path of its provider.
    #[must_use]
    pub fn takes_any_path(&self) -> bool {
        self.passes_paths
    }
}

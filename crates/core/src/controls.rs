//! What a client says to the router itself, and what it is allowed to say.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;

use crate::Secret;

/// Fields of a request that are meant for the router; they never reach a provider.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Controls {
    /// Other model groups to answer from, instead of the configured ones.
    pub fallbacks: Option<Fallbacks>,
    /// The same for requests that are too long.
    pub context_window_fallbacks: Option<Fallbacks>,
    /// The same for content that a provider declines.
    pub content_policy_fallbacks: Option<Fallbacks>,
    /// Answer from no other group.
    pub disable_fallbacks: bool,
    /// How many other groups may be tried.
    pub max_fallbacks: Option<u32>,
    /// How often a failure is tried again in its group.
    pub num_retries: Option<u32>,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
    /// How long an attempt that is streamed may take to its first token.
    pub stream_timeout: Option<Duration>,
    /// The place in the queue: lower is sooner.
    pub priority: Option<i64>,
    /// Names of `mock_*` fields that were sent.
    pub mocks: Vec<Arc<str>>,
    /// A credential and an endpoint of the client's own.
    pub client: Option<ClientCredentials>,
    /// What program sent the request, if somebody wants to know.
    pub user_agent: Option<Arc<str>>,
}

/// A credential and an endpoint that a client brings for its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The credential.
    pub api_key: Option<Secret>,
    /// Where the request is to go.
    pub base_url: Option<Arc<str>>,
}

impl ClientCredentials {
    /// A number that tells one client's from another's and says nothing about the credential.
    pub(crate) fn fingerprint(&self) -> u64 {
        static SEED: std::sync::LazyLock<std::hash::RandomState> =
            std::sync::LazyLock::new(std::hash::RandomState::new);
        let key = self.api_key.as_ref().map(Secret::expose);
        std::hash::BuildHasher::hash_one(&*SEED, (key, &self.base_url))
    }
}

/// How a body is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    client_credentials: bool,
}

impl ReadOptions {
    /// Nothing is allowed that must be allowed.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            client_credentials: false,
        }
    }

    pub(crate) const fn allows_client_credentials(self) -> bool {
        self.client_credentials
    }

    /// Reads `api_key`, `api_base` and `base_url` into [`Controls::client`], for somebody to act on;
    /// otherwise a request with one of them is refused.
    #[must_use]
    pub const fn client_credentials(mut self, allow: bool) -> Self {
        self.client_credentials = allow;
        self
    }
}

/// Fallbacks as a client may send them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Fallbacks {
    /// Names, for any group.
    List(Vec<Arc<str>>),
    /// Group by group, as in a configuration: `[{"gpt": ["claude"]}]`.
    Map(Vec<std::collections::BTreeMap<Arc<str>, Vec<Arc<str>>>>),
}

impl Fallbacks {
    /// The names for a group, the `"*"` entry if it has none of its own.
    #[must_use]
    pub fn for_group(&self, group: &str) -> &[Arc<str>] {
        match self {
            Self::List(names) => names,
            Self::Map(maps) => {
                let find = |key: &str| maps.iter().find_map(|map| map.get(key));
                find(group).or_else(|| find("*")).map_or(&[], Vec::as_slice)
            }
        }
    }
}

//! What a client says to the router itself, and what it is allowed to say.

mod read;

use std::{fmt, sync::Arc, time::Duration};

use crate::{CacheControls, Fallbacks, Secret, deployment::public_url};

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
    /// The same, and nothing else: it does not stand for the time between two items too.
    pub first_token_timeout: Option<Duration>,
    /// How long a stream may be silent.
    pub idle_timeout: Option<Duration>,
    /// How long the request may take, all attempts and waits together.
    pub deadline: Option<Duration>,
    /// Tell why each group failed that was asked before the one that answered.
    pub include_fallback_errors: bool,
    /// The place in the queue: lower is sooner.
    pub priority: Option<i64>,
    /// What is to be played instead of done.
    pub mocks: Mocks,
    /// A credential and an endpoint of the client's own.
    pub client: Option<ClientCredentials>,
    /// What it says to the cache.
    pub cache: CacheControls,
    /// What program sent the request, if somebody wants to know.
    pub user_agent: Option<Arc<str>>,
}

/// A credential and an endpoint that a client brings for its request.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The credential.
    pub api_key: Option<Secret>,
    /// Where the request is to go.
    pub base_url: Option<Arc<str>>,
    /// Whether they are the owner's and not the client's: no deployment need allow them.
    pub is_owners: bool,
}

/// The `mock_*` fields of a request: failures and answers that are played, for tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mocks {
    /// The names of those that were sent, the first 64.
    pub names: Vec<Arc<str>>,
    /// The requested group fails before it is asked: `mock_testing_fallbacks`.
    pub fallbacks: bool,
    /// It finds the request too long: `mock_testing_context_fallbacks`.
    pub context_window: bool,
    /// It declines the content: `mock_testing_content_policy_fallbacks`.
    pub content_policy: bool,
    /// Its first attempt is throttled: `mock_testing_rate_limit_error`.
    pub rate_limit: bool,
    /// Every deployment is silent until its clock runs out: `mock_timeout`.
    pub timeout: bool,
    /// Every deployment answers this, and nothing is sent: `mock_response`.
    pub response: Option<Arc<str>>,
}

impl fmt::Debug for ClientCredentials {
    /// Shows no secret, and of the address neither user nor query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("api_key", &self.api_key)
            .field("base_url", &self.base_url.as_deref().map(public_url))
            .field("is_owners", &self.is_owners)
            .finish()
    }
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
    owners: bool,
}

impl ReadOptions {
    /// Nothing is allowed that must be allowed.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            client_credentials: false,
            owners: false,
        }
    }

    /// What is read is the owner's own word: everything is allowed.
    #[must_use]
    pub const fn owners() -> Self {
        Self {
            client_credentials: true,
            owners: true,
        }
    }

    pub(crate) const fn are_owners(self) -> bool {
        self.owners
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

//! What clients of the gateway must have and may send. It can change while requests run.

use std::{
    fmt,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use http::request::Parts;
use ziggurat::{
    ByteBudget, Error, ReadOptions, Secret,
    config::{AddressRange, Plan},
};

use crate::{Identify, Identity, KeyRing, rank::Ranks, reading::Bounds};

/// What is asked of clients, and what they are allowed.
#[derive(Clone)]
pub(crate) struct Policy {
    /// The keys that they may have.
    pub(crate) keys: Arc<KeyRing>,
    /// What says who they are instead.
    pub(crate) own: Option<Arc<dyn Identifies>>,
    /// Whether they may send `mock_*` fields.
    pub(crate) mocks: bool,
    /// Whether they may send a credential and an endpoint of their own.
    pub(crate) credentials: bool,
    /// Whether filters are shown which program sent a request.
    pub(crate) user_agent: bool,
    /// After which silence a stream gets a comment.
    pub(crate) keep_alive: Option<Duration>,
    /// The proxies that are believed when they say where a request comes from.
    pub(crate) trusted: Arc<[AddressRange]>,
    /// How long a body may take.
    pub(crate) body_timeout: Option<Duration>,
    /// Whose bodies find room first.
    pub(crate) ranks: Ranks,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            keys: Arc::default(),
            own: None,
            mocks: false,
            credentials: false,
            user_agent: false,
            keep_alive: Some(Duration::from_secs(15)),
            trusted: Arc::default(),
            body_timeout: Some(Duration::from_secs(30)),
            ranks: Ranks::default(),
        }
    }
}

impl Policy {
    /// What a plan says.
    pub(crate) fn of(plan: &Plan) -> Self {
        let general = &plan.general;
        let mut deployments = plan.deployments.iter();
        let is_tagged = |it: &ziggurat::Deployment| !it.tag_patterns().is_empty();
        Self {
            keys: Arc::new(KeyRing::of(plan)),
            own: None,
            mocks: general.dangerously_allow_mock_testing_request_params,
            user_agent: plan.deployments.iter().any(is_tagged),
            credentials: general.allow_client_side_credentials
                || deployments.any(|it| it.allows_client_credentials()),
            keep_alive: plan.own.streams.keep_alive,
            trusted: Arc::clone(&plan.own.trusted_proxies),
            body_timeout: plan.own.overload.body_timeout,
            ranks: Ranks::of(plan),
        }
    }

    /// The same with another key that opens everything.
    pub(crate) fn set_master_key(&mut self, key: Option<&Secret>) {
        self.keys = Arc::new(KeyRing::new(self.keys.callers(), key));
    }

    /// How a body is read under it.
    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions::new().client_credentials(self.credentials)
    }

    /// What a body may take that a caller sends, of at most so many bytes.
    pub(crate) fn bounds(
        &self,
        parts: &Parts,
        longest: usize,
        budget: Option<&ByteBudget>,
    ) -> Bounds {
        let identity = parts.extensions.get::<Identity>();
        let caller = identity.and_then(Identity::caller);
        Bounds {
            longest,
            budget: budget.cloned(),
            time: self.body_timeout,
            rank: self.ranks.rank(caller.map(|caller| &**caller)),
        }
    }
}

/// The policy that holds now, for all routes of a gateway.
#[derive(Clone, Default)]
pub(crate) struct Policies(Arc<ArcSwap<Policy>>);

impl Policies {
    pub(crate) fn new(policy: Policy) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(policy)))
    }

    pub(crate) fn load(&self) -> Guard<Arc<Policy>> {
        self.0.load()
    }

    /// Another policy from the next request on, wherever this one is shared. What the application
    /// says of who asks stays.
    pub(crate) fn store(&self, policy: Policy) {
        let own = self.0.load().own.clone();
        self.0.store(Arc::new(Policy { own, ..policy }));
    }

    /// A changed copy, which is shared with nobody yet.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = Policy::clone(&self.0.load());
        change(&mut policy);
        Self::new(policy)
    }
}

/// An [`Identify`] of any type.
pub(crate) trait Identifies: Send + Sync {
    fn identify(&self, parts: &Parts) -> BoxIdentity;
}

pub(crate) type BoxIdentity = Pin<Box<dyn Future<Output = Result<Identity, Error>> + Send>>;

impl<I: Identify> Identifies for I {
    fn identify(&self, parts: &Parts) -> BoxIdentity {
        Box::pin(Identify::identify(self, parts))
    }
}

/// Paths that need no key: probes and metrics.
fn is_open(path: &str) -> bool {
    path == "/metrics" || path.starts_with("/health/")
}

impl Identify for Policies {
    type Future = IdentityFuture;

    fn identify(&self, parts: &Parts) -> IdentityFuture {
        let policy = self.load();
        match &policy.own {
            _ if is_open(parts.uri.path()) => IdentityFuture::Known(ready(Ok(Identity::open()))),
            Some(own) => IdentityFuture::Asked(own.identify(parts)),
            None => IdentityFuture::Known(Identify::identify(&*policy.keys, parts)),
        }
    }
}

/// Who asks: known at once, or said by the application.
pub(crate) enum IdentityFuture {
    Known(Ready<Result<Identity, Error>>),
    Asked(BoxIdentity),
}

impl Future for IdentityFuture {
    type Output = Result<Identity, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Known(identity) => Pin::new(identity).poll(cx),
            Self::Asked(identity) => identity.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.load();
        f.debug_struct("Policy")
            .field("keys", &policy.keys)
            .field("own", &policy.own.is_some())
            .field("mocks", &policy.mocks)
            .field("credentials", &policy.credentials)
            .field("user_agent", &policy.user_agent)
            .field("keep_alive", &policy.keep_alive)
            .field("trusted", &policy.trusted)
            .field("body_timeout", &policy.body_timeout)
            .finish()
    }
}

//! What clients of the gateway must have and may send. It can change while requests run.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};
use ziggurat::{ReadOptions, Secret, config::Plan};

/// What is asked of clients, and what they are allowed.
#[derive(Clone)]
pub(crate) struct Policy {
    /// The key they must have; none is asked for if there is none.
    pub(crate) key: Option<Secret>,
    /// Whether they may send `mock_*` fields.
    pub(crate) mocks: bool,
    /// Whether they may send a credential and an endpoint of their own.
    pub(crate) credentials: bool,
    /// Whether filters are shown which program sent a request.
    pub(crate) user_agent: bool,
    /// After which silence a stream gets a comment.
    pub(crate) keep_alive: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            key: None,
            mocks: false,
            credentials: false,
            user_agent: false,
            keep_alive: Some(Duration::from_secs(15)),
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
            key: general.master_key.clone(),
            mocks: general.dangerously_allow_mock_testing_request_params,
            user_agent: plan.deployments.iter().any(is_tagged),
            credentials: general.allow_client_side_credentials
                || deployments.any(|it| it.allows_client_credentials()),
            keep_alive: plan.own.streams.keep_alive,
        }
    }

    /// How a body is read under it.
    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions::new().client_credentials(self.credentials)
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

    /// Another policy from the next request on, wherever this one is shared.
    pub(crate) fn store(&self, policy: Policy) {
        self.0.store(Arc::new(policy));
    }

    /// A changed copy, which is shared with nobody yet.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = Policy::clone(&self.0.load());
        change(&mut policy);
        Self::new(policy)
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.load();
        f.debug_struct("Policy")
            .field("key", &policy.key.is_some())
            .field("mocks", &policy.mocks)
            .field("credentials", &policy.credentials)
            .field("user_agent", &policy.user_agent)
            .field("keep_alive", &policy.keep_alive)
            .finish()
    }
}

//! The layer.

use std::sync::Arc;

use tokio::time::Instant;
use tower_layer::Layer;
use ziggurat_core::{DeploymentId, Deployments};

use crate::{Cooldown, CooldownPolicy, State, shared::Shared};

/// Rests deployments that fail, and lets them back one probe at a time.
///
/// *Pass-through*, below the balancer. A request to a deployment that rests is refused with
/// [`Reason::Cooldown`](ziggurat_core::Reason::Cooldown) and the end of the rest; nothing has been
/// sent, so the balancer goes on to the next deployment. When a deployment rests and for how long
/// says the [`CooldownPolicy`].
///
/// An attempt counts when it settles: a stream that breaks after its first item is a failure, one
/// that nobody reads to its end counts neither way, and so does a refusal from beneath.
///
/// All services of a layer and of its clones share one state, kept by deployment id over reloads;
/// but a deployment that rests for its credential is back when a reload gives it another.
///
/// See the [crate's docs](crate) for an example.
#[derive(Clone, Debug)]
pub struct CooldownLayer {
    shared: Arc<Shared>,
}

impl CooldownLayer {
    /// Rests deployments by a policy, whoever else is left to serve.
    #[must_use]
    pub fn new(policy: CooldownPolicy) -> Self {
        Self {
            shared: Arc::new(Shared::new(policy, None)),
        }
    }

    /// Looks at the list of deployments, which makes three things better. The state begins anew.
    ///
    /// The *floor*: a deployment does not rest while it is the last of its group that serves, unless
    /// the request that failed could still fall back to another group.
    ///
    /// *Probes*: a request that has failed already goes to a member of the group that is known to
    /// serve and that it has not tried, and not as a probe to one that may still be failing.
    ///
    /// *Blame*: when a provider does not accept a credential, every deployment that presents the
    /// same one to the same provider and base URL rests, within the floor of its own group. It
    /// costs a look at all deployments each time one begins to rest for that.
    #[must_use]
    pub fn deployments(self, deployments: Deployments) -> Self {
        let policy = CooldownPolicy::clone(&self.shared.policy());
        Self {
            shared: Arc::new(Shared::new(policy, Some(deployments))),
        }
    }

    /// Changes the policy from now on. What is known of the deployments stays, and a rest that has
    /// begun ends when it was to end.
    pub fn set_policy(&self, policy: CooldownPolicy) {
        self.shared.set_policy(policy);
    }

    /// Whether a deployment serves now.
    #[must_use]
    pub fn state(&self, id: &DeploymentId) -> State {
        self.shared.state(id, Instant::now())
    }

    /// Ends a deployment's rest and forgets its failures.
    pub fn reset(&self, id: &DeploymentId) {
        self.shared.reset(id, Instant::now());
    }

    /// Ends all rests and forgets all failures.
    pub fn reset_all(&self) {
        self.shared.reset_all(Instant::now());
    }
}

impl<S> Layer<S> for CooldownLayer {
    type Service = Cooldown<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Cooldown::new(inner, Arc::clone(&self.shared))
    }
}

//! The layer.

use std::sync::Arc;

use tokio::time::Instant;
use tower_layer::Layer;
use ziggurat_core::{DeploymentId, Deployments, ErrorKind};
use ziggurat_shared_log::SharedLog;

use crate::{
    Cooldown, CooldownPolicy, Health, State, news::News, shared::Shared, sharing::Sharing,
};

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
/// but a deployment that rests for its credential, or for a quota of that, is back when a reload
/// gives it another.
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
    /// The *floor*: a deployment does not rest while it is the last of its group that serves (or
    /// one of [a few](CooldownPolicy::min_serving)), unless the request that failed could still fall
    /// back to another group.
    ///
    /// *Probes*: a request that has failed already goes to a member of the group that is known to
    /// serve and that it has not tried, and not as a probe to one that may still be failing.
    ///
    /// *Blame*: a failure rests whoever shares what it
    /// [speaks against](ziggurat_core::Deployment::shares), in every group, until the same time, and
    /// within the floor of its own group. For a credential that is not accepted, these are all
    /// deployments that present it at the same place; for a 429, those of the same model among
    /// them; for a provider that is over capacity, those of the same model at the same place,
    /// whatever the account. It costs a look at all deployments each time that a rest is due for
    /// one of these.
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

    /// What is known of a deployment now. One that was made for a model of a wildcard has a health
    /// of its own, under its own id.
    #[must_use]
    pub fn health(&self, id: &DeploymentId) -> Health {
        self.shared.health(id, Instant::now())
    }

    /// When a probe brought a deployment back that serves since. `None` if it never rested, or its
    /// rest was ended by hand or by another credential.
    ///
    /// It is for a slow start, and costs one look into a map; while
    /// [`last_back`](Self::last_back) is `None`, not even that.
    #[must_use]
    pub fn back_since(&self, id: &DeploymentId) -> Option<Instant> {
        self.shared.back_since(id)
    }

    /// When a deployment came back last, whichever that was. While it is `None` or long ago, nobody
    /// needs to ask for each.
    #[must_use]
    pub fn last_back(&self) -> Option<Instant> {
        self.shared.last_back()
    }

    /// Tells how often each deployment began to rest since the layer was made, by the failure that it
    /// rested for; under the id of the configured one.
    pub fn for_each_rest(&self, tell: impl FnMut(&DeploymentId, ErrorKind, u64)) {
        self.shared.rests.for_each(tell);
    }

    /// Tells whenever a deployment begins to rest, rests longer, or is back, by its configured id. That
    /// a rest is over is a matter of time and not told: [`state`](Self::state) says when. `false` if
    /// somebody else is told already: then nothing changes.
    ///
    /// It is called on the task of a request, without a lock, and must not block.
    pub fn on_change(&self, tell: impl Fn(&DeploymentId) + Send + Sync + 'static) -> bool {
        self.shared.listener.set(tell)
    }

    /// Ends a deployment's rest and forgets its failures, in all instances that
    /// [share](Self::share).
    pub fn reset(&self, id: &DeploymentId) {
        self.shared.reset(id, Instant::now());
        self.shared.tell(Some(News::Reset(id.clone())));
    }

    /// Ends all rests and forgets all failures, in all instances that [share](Self::share).
    pub fn reset_all(&self) {
        self.shared.reset_all(Instant::now());
        self.shared.outbox.clear();
        self.shared.tell(Some(News::ResetAll));
    }

    /// Shares rests with other instances over a log, for ever: to be spawned once. A request waits
    /// for nothing of it, and decides by what this instance knows.
    ///
    /// What one instance rests, the others rest within a second, until the same moment; the floor of
    /// each group holds in each of them. When a probe of one succeeds, the deployment is back in
    /// all; what rests elsewhere for a newer reason goes on resting there. Failures that have not
    /// led to a rest are counted by each for itself.
    ///
    /// Only deployments of the layer's own [list](Self::deployments) are rested for others, and only
    /// if they have the credential that the failure spoke against, where it did. A layer without a
    /// list tells what it knows and learns nothing. What a client's own credential met is not told.
    ///
    /// While the log is slow or gone, each instance goes on alone; when it is back, they tell each
    /// other what still holds.
    pub fn share<L: SharedLog>(&self, log: L) -> impl Future<Output = ()> + Send + use<L> {
        ziggurat_shared_log::share(Sharing(Arc::clone(&self.shared)), log)
    }
}

impl<S> Layer<S> for CooldownLayer {
    type Service = Cooldown<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Cooldown::new(inner, Arc::clone(&self.shared))
    }
}

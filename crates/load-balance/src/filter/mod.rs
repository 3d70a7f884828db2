//! Which members of a group may serve a request at all.

mod access;
mod any_path;
mod bundle;
mod capability;
mod fields;
mod members;
mod mode;
mod region;
mod tags;
mod window;

use std::sync::Arc;

use ziggurat_core::Deployment;

pub use self::{
    access::AccessFilter,
    any_path::AnyPathFilter,
    bundle::Filters,
    capability::CapabilityFilter,
    fields::FieldFilter,
    members::Members,
    mode::ModeFilter,
    region::RegionFilter,
    tags::TagFilter,
    window::{ContextWindowFilter, ExactInputTokens, TokenCounter},
};
pub(crate) use self::{
    access::{ACCESS_GROUP, ACCESS_WINDOW, BLOCKED, TEAM, whose_models},
    members::{Record, Refused},
    window::CONTEXT_WINDOW,
};

/// Leaves out the deployments of a group that must not serve a request: by tag, region, capability.
///
/// A filter sees the request and what deployments are, not how they do: that is for the layers below
/// the balancer, which refuse. It is asked once for each request, and once more, for its reasons,
/// where nothing is left. A pair of filters is a filter, and so is a closure:
///
/// ```
/// use ziggurat_core::{Deployment, Deployments, LlmRequest};
/// use ziggurat_load_balance::{LoadBalanceLayer, SimpleShuffle};
///
/// let deployments = Deployments::from_iter([Deployment::new("a", "gpt", "gpt-4o")]);
/// let layer = LoadBalanceLayer::new(deployments, SimpleShuffle)
///     .filter(|request: &LlmRequest, deployment: &Deployment| {
///         !request.is_stream() || deployment.provider() != "batch"
///     });
/// # let _ = layer;
/// ```
///
/// One that looks at nothing but [`Traits`](ziggurat_core::Traits) should say so, by
/// [`Members::retain_traits`]: it is then asked once for all deployments that are equal in them.
pub trait Filter<R>: Send + Sync + 'static {
    /// Leaves out what the request must not use, with [`Members::retain`] or
    /// [`Members::retain_traits`]. It must not block, and should not allocate.
    fn filter(&self, request: &R, members: &mut Members<'_>);
}

/// No filter.
impl<R> Filter<R> for () {
    fn filter(&self, _: &R, _: &mut Members<'_>) {}
}

/// One after the other.
impl<R, A: Filter<R>, B: Filter<R>> Filter<R> for (A, B) {
    fn filter(&self, request: &R, members: &mut Members<'_>) {
        self.0.filter(request, members);
        self.1.filter(request, members);
    }
}

/// One, if there is one: what a configuration turns on or off.
impl<R, F: Filter<R>> Filter<R> for Option<F> {
    fn filter(&self, request: &R, members: &mut Members<'_>) {
        if let Some(filter) = self {
            filter.filter(request, members);
        }
    }
}

impl<R: 'static> Filter<R> for Arc<dyn Filter<R>> {
    fn filter(&self, request: &R, members: &mut Members<'_>) {
        (**self).filter(request, members);
    }
}

/// One after the other.
impl<R, F: Filter<R>> Filter<R> for Vec<F> {
    fn filter(&self, request: &R, members: &mut Members<'_>) {
        for filter in self {
            filter.filter(request, members);
        }
    }
}

/// Asked for each member.
impl<R, F> Filter<R> for F
where
    F: Fn(&R, &Deployment) -> bool + Send + Sync + 'static,
{
    fn filter(&self, request: &R, members: &mut Members<'_>) {
        members.retain(
            "filter",
            |member| self(request, member),
            |_| "left out by the application".into(),
        );
    }
}

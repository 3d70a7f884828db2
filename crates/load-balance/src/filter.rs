//! Which members of a group may serve a request at all.

use std::{borrow::Cow, sync::Arc};

use ziggurat_core::Deployment;

use crate::bits::Bits;

/// Leaves out the deployments of a group that must not serve a request: by tag, region, capability.
///
/// A filter sees the request and what deployments are, not how they do: that is for the layers below
/// the balancer, which refuse. It is asked once for each request. A pair of filters is a filter, and
/// so is a closure:
///
/// ```
/// use ziggurat_core::{Deployment, Deployments, LlmRequest};
/// use ziggurat_load_balance::{LoadBalanceLayer, SimpleShuffle};
///
/// let deployments = Deployments::from_iter([Deployment::new("a", "gpt", "gpt-4o")]);
/// let layer = LoadBalanceLayer::new(deployments, SimpleShuffle)
///     .filter(|request: &LlmRequest, deployment: &Deployment| {
///         let window = deployment.max_input_tokens().unwrap_or(u64::MAX);
///         request.estimated_input_tokens() <= window
///     });
/// # let _ = layer;
/// ```
pub trait Filter<R>: Send + Sync + 'static {
    /// Leaves out what the request must not use, with [`Members::retain`].
    ///
    /// # Errors
    ///
    /// If no member is left: why, for the client. It says what was asked for and what there is.
    fn filter(&self, request: &R, members: &mut Members<'_>) -> Result<(), Cow<'static, str>>;
}

/// The members of a group, while filters leave some of them out.
#[derive(Debug)]
pub struct Members<'a> {
    all: &'a [Arc<Deployment>],
    closed: &'a mut Bits,
}

impl<'a> Members<'a> {
    pub(crate) fn new(all: &'a [Arc<Deployment>], closed: &'a mut Bits) -> Self {
        Self { all, closed }
    }

    /// All members of the group, those that have been left out among them.
    #[must_use]
    pub fn all(&self) -> &'a [Arc<Deployment>] {
        self.all
    }

    /// The members that are left.
    pub fn iter(&self) -> impl Iterator<Item = &'a Arc<Deployment>> {
        let open = |(index, _): &(usize, _)| !self.closed.contains(*index);
        let left = self.all.iter().enumerate().filter(open);
        left.map(|(_, member)| member)
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Leaves out those of which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&Deployment) -> bool) {
        for (index, member) in self.all.iter().enumerate() {
            if !self.closed.contains(index) && !keep(member) {
                self.closed.insert(index);
            }
        }
    }
}

/// No filter.
impl<R> Filter<R> for () {
    fn filter(&self, _: &R, _: &mut Members<'_>) -> Result<(), Cow<'static, str>> {
        Ok(())
    }
}

/// One after the other.
impl<R, A: Filter<R>, B: Filter<R>> Filter<R> for (A, B) {
    fn filter(&self, request: &R, members: &mut Members<'_>) -> Result<(), Cow<'static, str>> {
        self.0.filter(request, members)?;
        self.1.filter(request, members)
    }
}

/// One, if there is one: what a configuration turns on or off.
impl<R, F: Filter<R>> Filter<R> for Option<F> {
    fn filter(&self, request: &R, members: &mut Members<'_>) -> Result<(), Cow<'static, str>> {
        self.as_ref()
            .map_or(Ok(()), |filter| filter.filter(request, members))
    }
}

impl<R: 'static> Filter<R> for Arc<dyn Filter<R>> {
    fn filter(&self, request: &R, members: &mut Members<'_>) -> Result<(), Cow<'static, str>> {
        (**self).filter(request, members)
    }
}

/// One after the other.
impl<R, F: Filter<R>> Filter<R> for Vec<F> {
    fn filter(&self, request: &R, members: &mut Members<'_>) -> Result<(), Cow<'static, str>> {
        self.iter()
            .try_for_each(|filter| filter.filter(request, members))
    }
}

impl<R, F> Filter<R> for F
where
    F: Fn(&R, &Deployment) -> bool + Send + Sync + 'static,
{
    fn filter(&self, request: &R, members: &mut Members<'_>) -> Result<(), Cow<'static, str>> {
        members.retain(|member| self(request, member));
        if members.is_empty() {
            return Err("a filter leaves none of them to this request".into());
        }
        Ok(())
    }
}

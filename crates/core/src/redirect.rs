//! Requests that can be sent to another model group.

use std::sync::Arc;

use crate::{Caller, Controls, Error, ErrorKind, HasLedger, LlmRequest, Overrides, Unrouted};

/// A request that can be sent to another model group.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to another model group",
    label = "this layer must sit above `LoadBalanceLayer`",
    note = "in the `ServiceBuilder`, move this layer over `LoadBalanceLayer`",
    note = "for a request type of your own, implement `Redirect`"
)]
pub trait Redirect: Clone + HasLedger + Unrouted {
    /// The model group that it is for.
    fn group(&self) -> &str;

    /// The same request for another group. Cheap: called once for each group that is asked.
    #[must_use]
    fn redirect(self, group: &Arc<str>) -> Self;

    /// The same request for the group that is meant by the name it asks for, which is no other
    /// choice than the client's: who may use the name may use the group.
    #[must_use]
    fn reroute(self, group: &Arc<str>) -> Self {
        self.redirect(group)
    }

    /// The same request with other values for some of its fields. Not for every type of request.
    ///
    /// # Errors
    ///
    /// If it takes none, or not these.
    fn with_overrides(self, overrides: &Overrides) -> Result<Self, Error> {
        let _ = overrides;
        let message = "a request of this type has no fields to override";
        Err(Error::new(ErrorKind::BadRequest, message))
    }

    /// What the client says about fallbacks, if it says something.
    fn controls(&self) -> Option<&Controls> {
        None
    }

    /// Who asks, if that is known.
    fn caller(&self) -> Option<&Arc<Caller>> {
        None
    }
}

impl Redirect for LlmRequest {
    fn group(&self) -> &str {
        self.group().as_str()
    }

    fn redirect(self, group: &Arc<str>) -> Self {
        self.with_group(Arc::clone(group))
    }

    fn reroute(self, group: &Arc<str>) -> Self {
        self.with_meant_group(Arc::clone(group))
    }

    fn with_overrides(self, overrides: &Overrides) -> Result<Self, Error> {
        overrides.apply(&self)
    }

    fn controls(&self) -> Option<&Controls> {
        Some(self.controls())
    }

    fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller()
    }
}

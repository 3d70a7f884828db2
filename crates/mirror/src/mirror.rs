//! What can be mirrored.

use std::sync::Arc;

use ziggurat_core::{Caller, HasDeployment, HasLedger, Ledger, LlmRequest, Operation, Routed};

/// A routed request of which copies can be sent to other groups.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be mirrored",
    label = "this layer must sit below `LoadBalanceLayer`",
    note = "in the `ServiceBuilder`, move this layer under `LoadBalanceLayer`",
    note = "for a request type of your own, implement `Mirror` for `Routed<YourRequest>`"
)]
pub trait Mirror: HasDeployment {
    /// A copy: a request that is not routed yet.
    type Copy: Send + 'static;

    /// Whether it is not to be copied: it is a copy itself, or asks for something that only its
    /// deployment can do.
    fn is_copy(&self) -> bool;

    /// The original, without its deployment. Cheap: called for each request to a deployment that has
    /// mirrors.
    fn original(&self) -> Self::Copy;

    /// Makes the original a copy for a group: with a ledger of its own, and known as a copy.
    fn copy_for(original: &Self::Copy, group: &Arc<str>) -> Self::Copy;
}

/// Marks a copy, among the extensions of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsMirrored;

impl Mirror for Routed<LlmRequest> {
    type Copy = LlmRequest;

    fn is_copy(&self) -> bool {
        let request = self.request();
        let is_pinned = |ledger: &Ledger| ledger.pinned().is_some();
        request.extensions().get::<IsMirrored>().is_some()
            || request.passed().is_some()
            // Nobody would speak on the copy of a connection.
            || request.operation() == Operation::Realtime
            || request.ledger().is_some_and(is_pinned)
    }

    fn original(&self) -> LlmRequest {
        self.request().clone()
    }

    fn copy_for(original: &LlmRequest, group: &Arc<str>) -> LlmRequest {
        let mut copy = original.clone().with_ledger(Ledger::new());
        copy.extensions_mut().insert(IsMirrored);
        if copy.controls().client.is_some() {
            // What a client brought is for its own request.
            copy.controls_mut().client = None;
        }
        if let Some(caller) = copy.caller().filter(|it| !it.models.is_empty()) {
            // That there is a copy is no wish of the caller's.
            let mut open = Caller::clone(caller);
            open.models.clear();
            copy = copy.with_caller(open);
        }
        copy.with_group(Arc::clone(group))
    }
}

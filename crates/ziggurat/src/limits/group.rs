//! What a request to a model group is charged to the group, and to its caller for that model.

use ziggurat_config::{LimitSubject, Plan};
use ziggurat_core::{Deployments, Extract, Group, HasLedger as _, Ledger, LlmRequest, Snapshot};
use ziggurat_rate_limit::{Charges, LimitKey, Subject};

use super::{CallerCharges, Rules, money};

/// Says what a request is charged to the group that it is sent to, and to its caller's share of it.
/// After a fallback that is the other one, of which its caller may have used up its share: then the
/// next is asked.
#[derive(Clone, Debug)]
pub(crate) struct GroupCharges {
    rules: Rules,
    callers: CallerCharges,
    deployments: Deployments,
}

impl GroupCharges {
    /// `None` where no group is limited, and nobody's share of one.
    pub(crate) fn new(
        plan: &Plan,
        deployments: &Deployments,
        callers: &CallerCharges,
    ) -> Option<Self> {
        let rules = Rules::new(&plan.limits.rules);
        let is_needed = rules.has(LimitSubject::Group) || callers.limits_models();
        is_needed.then(|| Self {
            rules,
            callers: callers.clone(),
            deployments: deployments.clone(),
        })
    }

    /// To whom a request to a group is charged there, besides the group.
    pub(crate) fn of_caller(&self, request: &LlmRequest, snapshot: &Snapshot) -> Charges {
        match snapshot.resolve(request.group().as_str()) {
            Some(group) => (self.callers).for_model(Charges::none(), request, snapshot, group),
            None => Charges::none(),
        }
    }

    /// To whom a request to a group is charged.
    pub(crate) fn on(&self, group: &Group) -> Charges {
        match self.rules.of(LimitSubject::Group, group.name()) {
            Some(limits) => {
                let key = LimitKey::of(Subject::Group, group.name().clone());
                Charges::none().on(key, limits.clone())
            }
            None => Charges::none(),
        }
    }
}

impl Extract<Charges, LlmRequest> for GroupCharges {
    fn extract(&self, request: &LlmRequest) -> Charges {
        let snapshot = self.deployments.load();
        let Some(group) = snapshot.resolve(request.group().as_str()) else {
            return Charges::none();
        };
        let members = group.members().iter().map(|member| &**member);
        let charges = (self.callers).for_model(self.on(group), request, &snapshot, group);
        let charges = match request.ledger().map_or(0, Ledger::fallbacks) {
            0 => charges,
            _ => charges.leading_on(),
        };
        money::of_request(charges, request, members)
    }
}

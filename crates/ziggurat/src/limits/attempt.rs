//! What an attempt is charged: to its deployment, its provider, and the quotas it draws on.

use std::{collections::HashSet, iter, sync::Arc};

use ziggurat_config::{LimitSubject, Plan};
use ziggurat_core::{Deployment, Extract, LlmRequest, Money, Routed};
use ziggurat_rate_limit::{Charges, Cost, LimitKey, Limits, Measure, Pricing, Subject};

use super::{Rules, amounts, money};
use crate::spend;

/// Says what an attempt is charged.
#[derive(Clone, Debug)]
pub(crate) struct AttemptCharges(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rpm: bool,
    tpm: bool,
    rules: Rules,
    quotas: Vec<Quota>,
}

/// A quota, and who draws on it.
#[derive(Debug)]
struct Quota {
    key: LimitKey,
    limits: Limits,
    deployments: HashSet<Arc<str>>,
    models: HashSet<Arc<str>>,
}

impl AttemptCharges {
    pub(crate) fn new(plan: &Plan) -> Self {
        let quotas = plan.limits.quotas.iter().map(|quota| Quota {
            key: LimitKey::of(Subject::Quota, Arc::clone(&quota.name)),
            limits: amounts::of_amounts(&quota.amounts),
            deployments: quota.deployments.iter().cloned().collect(),
            models: quota.models.iter().cloned().collect(),
        });
        Self(Arc::new(Inner {
            rpm: plan.enforces_rpm(),
            tpm: plan.enforces_tpm(),
            rules: Rules::new(&plan.limits.rules),
            quotas: quotas.collect(),
        }))
    }

    /// To whom an attempt on a deployment is charged.
    pub(crate) fn on(&self, deployment: &Deployment) -> Charges {
        let Inner {
            rpm,
            tpm,
            rules,
            quotas,
        } = &*self.0;
        let limits = Limits::of(deployment).only(|limit| match limit.measure() {
            Measure::Requests => *rpm,
            Measure::Tokens | Measure::InputTokens | Measure::OutputTokens => *tpm,
            _ => true,
        });
        let mut charges = Charges::none().on(LimitKey::deployment(deployment.id().clone()), limits);
        let provider = deployment.provider();
        if let Some(limits) = rules.of(LimitSubject::Provider, provider) {
            charges = charges.on(LimitKey::of(Subject::Provider, provider), limits.clone());
        }
        for quota in quotas.iter().filter(|quota| quota.serves(deployment)) {
            charges = charges.on(quota.key.clone(), quota.limits.clone());
        }
        charges
    }
}

impl Quota {
    fn serves(&self, deployment: &Deployment) -> bool {
        self.models.contains(deployment.group())
            || self.deployments.contains(deployment.public_id().as_str())
    }
}

impl Extract<Charges, Routed<LlmRequest>> for AttemptCharges {
    fn extract(&self, routed: &Routed<LlmRequest>) -> Charges {
        let deployment = routed.deployment();
        let charges = self.on(deployment);
        if charges.is_none() {
            return charges;
        }
        let request = routed.request();
        if !charges.limit(&[Measure::Money]) {
            return charges.with_cost(Cost::of(request));
        }
        if ziggurat_mock::is_played(routed) {
            let free = Pricing::new(|_| Some(Money::ZERO));
            return charges.with_cost(Cost::of(request)).with_pricing(free);
        }
        let cost = money::cost(request, iter::once(&**deployment));
        let deployment = Arc::clone(deployment);
        let pricing = Pricing::new(move |usage| spend::cost(&deployment, usage));
        charges.with_cost(cost).with_pricing(pricing)
    }
}

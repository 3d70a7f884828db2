//! What a layer is told, and which of its counts is for a failure.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use tower::retry::budget::Budget;
use ziggurat_core::ErrorKind;

use crate::{Retries, RetryBudget, RetryPolicy, policy::Count};

const DEFAULT_RETRIES: u32 = 2;

/// What a layer's services share.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) retries: u32,
    pub(crate) policy: RetryPolicy,
    pub(crate) groups: HashMap<Arc<str>, RetryPolicy>,
    pub(crate) failover: bool,
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
    pub(crate) floor: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) wait_before_fallback: Duration,
    pub(crate) budget: Arc<dyn Budget + Send + Sync>,
}

impl Settings {
    pub(crate) fn new() -> Self {
        Self {
            retries: DEFAULT_RETRIES,
            policy: RetryPolicy::new(),
            groups: HashMap::new(),
            failover: false,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            floor: Duration::ZERO,
            max_wait: Duration::from_secs(60),
            wait_before_fallback: Duration::from_secs(3),
            budget: Arc::new(RetryBudget::default()),
        }
    }

    /// How many retries a failure of that kind gets: the table of the crate docs.
    pub(crate) fn count(&self, kind: ErrorKind, asked: &Retries) -> Count {
        let of_group = asked.groups().find_map(|group| self.groups.get(group));
        let policy = of_group.unwrap_or(&self.policy);
        let of_deployment = || asked.failed()?.num_retries().map(Count::of_any);
        (asked.own().find(kind))
            .or_else(|| policy.find(kind))
            .or_else(of_deployment)
            .unwrap_or(Count::of_any(self.retries))
    }

    /// Exponential back-off with full jitter: anything between nothing and a ceiling that doubles
    /// with each retry (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    pub(crate) fn backoff(&self, retries: u32, jitter: f64) -> Duration {
        let doubled = self.base.saturating_mul(1 << retries.min(31));
        doubled.min(self.cap).mul_f64(jitter).max(self.floor)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("retries", &self.retries)
            .field("policy", &self.policy)
            .field("groups", &self.groups)
            .field("failover", &self.failover)
            .field("base", &self.base)
            .field("cap", &self.cap)
            .field("floor", &self.floor)
            .field("max_wait", &self.max_wait)
            .field("wait_before_fallback", &self.wait_before_fallback)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{Deployment, ModelGroup};

    use super::*;

    const KIND: ErrorKind = ErrorKind::Internal;

    /// A policy with a count for the kind, one for the others, both, or none.
    fn policy(of_kind: Option<u32>, otherwise: Option<u32>) -> RetryPolicy {
        let mut policy = RetryPolicy::new().of_kind(ErrorKind::Conflict, 99);
        if let Some(retries) = of_kind {
            policy = policy.of_kind(KIND, retries);
        }
        if let Some(retries) = otherwise {
            policy = policy.otherwise(retries);
        }
        policy
    }

    #[test]
    fn of_all_that_say_a_number_the_first_in_the_order_of_the_table_counts() {
        for said in 0..1 << 8_u32 {
            // Each row of the table says its own number, if it says one.
            let says = |row: u32| (said & (1 << row) != 0).then_some(row);
            let [
                request,
                group_kind,
                group_other,
                kind,
                other,
                deployment,
                layer,
            ] = std::array::from_fn(|row| says(row as u32));
            let has_group = said & (1 << 7) != 0;

            let mut settings = Settings::new();
            settings.policy = policy(kind, other);
            settings.retries = layer.unwrap_or(settings.retries);
            if has_group {
                let policy = policy(group_kind, group_other);
                settings.groups.insert(Arc::from("gpt"), policy);
            }
            let mut failed = Deployment::new("a", "gpt", "m");
            if let Some(retries) = deployment {
                failed = failed.with_num_retries(retries);
            }
            let asked = request.map_or_else(Retries::default, Retries::new);
            let asked = asked
                .in_group(ModelGroup::new("gpt"))
                .failed_on(Arc::new(failed));

            let policies = match has_group {
                true => group_kind.or(group_other),
                false => kind.or(other),
            };
            let expected = request.or(policies).or(deployment).or(layer).unwrap_or(2);
            let found = settings.count(KIND, &asked).retries;
            assert_eq!(found, expected, "{said:b}");
        }
    }

    #[test]
    fn the_policy_of_a_group_is_found_by_an_alias_or_a_concrete_model_of_it_too() {
        let mut settings = Settings::new();
        let of_group = RetryPolicy::new().otherwise(7);
        settings.groups.insert(Arc::from("openai/*"), of_group);
        let concrete = Retries::default().in_group(ModelGroup::new("openai/gpt"));
        assert_eq!(settings.count(KIND, &concrete).retries, 2);
        let failed = Deployment::new("a", "openai/*", "*");
        let concrete = concrete.failed_on(Arc::new(failed));
        assert_eq!(settings.count(KIND, &concrete).retries, 7);
        let named = RetryPolicy::new().otherwise(4);
        settings.groups.insert(Arc::from("openai/gpt"), named);
        assert_eq!(settings.count(KIND, &concrete).retries, 4);
    }

    #[test]
    fn the_ceiling_of_the_back_off_doubles_to_its_cap_and_the_floor_holds() {
        let settings = Settings::new();
        let ceilings = [0, 1, 3, 4, 5, 40].map(|retries| settings.backoff(retries, 1.0));
        let millis = [500, 1000, 4000, 8000, 8000, 8000];
        assert_eq!(ceilings, millis.map(Duration::from_millis));
        assert_eq!(settings.backoff(3, 0.0), Duration::ZERO);
        let settings = Settings {
            floor: Duration::from_secs(3),
            ..settings
        };
        assert_eq!(settings.backoff(0, 1.0), Duration::from_secs(3));
        assert_eq!(settings.backoff(3, 1.0), Duration::from_secs(4));
    }
}

//! Settings that a model group may have for itself.

use std::{collections::HashMap, sync::Arc};

use ziggurat_config::{GroupSettings, Plan};
use ziggurat_core::{Deployment, Deployments, Group, Snapshot};

/// A value for all groups, and others for some. Names match as those of groups do: an alias stands
/// for its group, and a pattern for what it covers.
#[derive(Clone, Debug)]
pub(crate) struct PerGroup<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    default: T,
    own: HashMap<Arc<str>, T>,
    /// The names as if they were groups.
    names: Snapshot,
    deployments: Deployments,
}

impl<T: Copy> PerGroup<T> {
    /// The value of a setting of `ziggurat_settings.groups`.
    pub(crate) fn of(
        plan: &Plan,
        deployments: &Deployments,
        default: T,
        read: impl Fn(&GroupSettings) -> Option<T>,
    ) -> Self {
        let groups = plan.own.groups.iter();
        let own: HashMap<_, _> = groups
            .filter_map(|(name, group)| Some((Arc::clone(name), read(group)?)))
            .collect();
        let named = |name: &Arc<str>| Deployment::new(&**name, Arc::clone(name), "*");
        Self(Arc::new(Inner {
            default,
            names: Snapshot::new(own.keys().map(named)),
            own,
            deployments: deployments.clone(),
        }))
    }

    /// The value for a group, by the name it was asked for.
    pub(crate) fn get(&self, name: &str) -> T {
        let inner = &*self.0;
        if inner.own.is_empty() {
            return inner.default;
        }
        let find = |name: &str| {
            let key = inner.names.resolve(name).map(|key| Group::name(key))?;
            inner.own.get(key).copied()
        };
        find(name)
            .or_else(|| find(inner.deployments.load().unalias(name)))
            .unwrap_or(inner.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_its_own_value_by_any_of_its_names() {
        let plan = "
model_list:
  - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: k}}
  - {model_name: openai/*, litellm_params: {model: openai/*, api_key: k}}
router_settings: {model_group_alias: {smart: gpt}}
ziggurat_settings: {groups: {gpt: {hedge: true}, openai/*: {hedge: true}}}
";
        let plan = Plan::parse(plan, "test.yaml", |_| None).expect("is valid");
        let deployments = Deployments::new(plan.snapshot());
        let hedged = PerGroup::of(&plan, &deployments, false, |group| group.hedge);
        for (name, expected) in [
            ("gpt", true),
            ("smart", true),
            ("openai/o3", true),
            ("x", false),
        ] {
            assert_eq!(hedged.get(name), expected, "{name}");
        }
    }
}

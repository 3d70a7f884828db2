//! Which deployments are checked together.

use std::{collections::HashMap, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use ziggurat_core::{Deployment, Mode, Secret, Snapshot};

use crate::HealthPolicy;

/// One check, and all deployments that it speaks for, in the order of their ids. Never empty.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    members: Vec<Arc<Deployment>>,
}

/// What deployments have in common that a check cannot tell apart.
#[derive(PartialEq, Eq, Hash)]
struct Target<'a> {
    provider: &'a str,
    base_url: Option<&'a str>,
    credential: Option<&'a str>,
    headers: &'a [(Arc<str>, Arc<str>)],
    model: &'a str,
    asked: Option<&'a str>,
    mode: Option<Mode>,
    timeout: Option<Duration>,
    max_tokens: Option<u32>,
    /// The one that is asked in a way of its own.
    alone: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn of(deployment: &'a Deployment) -> Self {
        let check = deployment.health_check();
        let is_plain = check.params.is_empty()
            && deployment.default_fields().is_empty()
            && deployment.mock_response().is_none()
            // Parts of its account may be among them.
            && deployment.params().next().is_none();
        Self {
            provider: deployment.provider(),
            base_url: deployment.base_url(),
            credential: deployment.credential().map(Secret::expose),
            headers: deployment.headers(),
            model: deployment.model(),
            asked: check.model.as_deref(),
            mode: deployment.mode(),
            timeout: check.timeout,
            max_tokens: check.max_tokens,
            alone: (!is_plain).then(|| deployment.id().as_str()),
        }
    }
}

impl Check {
    /// The checks that are made by and by.
    pub(crate) fn by_and_by(snapshot: &Snapshot, policy: &HealthPolicy) -> Vec<Self> {
        let is_due = |it: &&Arc<Deployment>| {
            !it.health_check().disabled && !it.is_blocked() && policy.covers(it)
        };
        Self::all(snapshot.deployments().filter(is_due))
    }

    /// The checks that find out about all these.
    pub(crate) fn all<'a>(deployments: impl Iterator<Item = &'a Arc<Deployment>>) -> Vec<Self> {
        let mut deployments: Vec<_> = deployments.collect();
        deployments.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        let mut checks: Vec<Self> = Vec::new();
        let mut places = HashMap::with_hasher(RandomState::default());
        for deployment in deployments {
            let place = *places
                .entry(Target::of(deployment))
                .or_insert_with(|| checks.len());
            if place == checks.len() {
                checks.push(Self {
                    members: Vec::new(),
                });
            }
            checks[place].members.push(Arc::clone(deployment));
        }
        checks
    }

    /// The one that is asked.
    pub(crate) fn deployment(&self) -> &Arc<Deployment> {
        &self.members[0]
    }

    pub(crate) fn members(&self) -> &[Arc<Deployment>] {
        &self.members
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ziggurat_core::{DefaultField, HealthCheck};

    use super::*;

    fn gpt(id: &str) -> Deployment {
        Deployment::new(id, id, "m").with_credential(Secret::new("k"))
    }

    fn together(deployments: impl IntoIterator<Item = Deployment>) -> Vec<Vec<String>> {
        let deployments: Vec<_> = deployments.into_iter().map(Arc::new).collect();
        let names = |check: Check| {
            let ids = check.members().iter().map(|it| it.id().to_string());
            ids.collect()
        };
        Check::all(deployments.iter())
            .into_iter()
            .map(names)
            .collect()
    }

    #[test]
    fn the_same_target_is_asked_once() {
        let headers = |id| gpt(id).with_header("a", "b");
        let all = [gpt("c"), headers("d"), gpt("a"), headers("b")];
        assert_eq!(together(all), [["a", "c"], ["b", "d"]]);
    }

    #[test]
    fn what_a_check_tells_apart_is_asked_apart() {
        let mut own = HealthCheck::default();
        own.params.insert("seed".to_owned(), json!(1));
        let field = DefaultField::new("temperature", &json!(0)).expect("is known");
        let mut asked = HealthCheck::default();
        asked.model = Some(Arc::from("other"));
        let all = [
            gpt("a"),
            gpt("b").with_credential(Secret::new("other")),
            gpt("c").with_base_url("http://elsewhere"),
            gpt("d").with_provider("azure"),
            gpt("e").with_mode(Mode::Embedding),
            gpt("f").with_health_check(asked),
            gpt("g").with_health_check(own.clone()),
            gpt("h").with_health_check(own),
            gpt("i").with_mock_response("hello"),
            gpt("j").with_default_field(field),
            Deployment::new("k", "gpt", "m"),
            Deployment::new("l", "gpt", "n").with_credential(Secret::new("k")),
        ];
        assert_eq!(together(all).len(), 12);
    }
}

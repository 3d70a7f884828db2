//! Deployments of wildcard routes, made concrete.

use std::{hash::BuildHasher, sync::Arc};

use parking_lot::Mutex;
use ziggurat_core::{Deployment, Group, Idle, Keyed, Routed};

/// How many are kept.
const CAPACITY: usize = 4_096;

/// The longest name of a model that gets a deployment of its own, in bytes.
const LONGEST: usize = 256;

/// The deployments that were made of wildcards, each for one concrete model: bounded, and the same
/// for every request for the model, so that none is made anew.
#[derive(Debug)]
pub(crate) struct Concretes {
    made: Keyed<u64, Slot>,
    hasher: std::hash::RandomState,
}

#[derive(Debug, Default)]
struct Slot(Mutex<Option<Made>>);

#[derive(Debug)]
struct Made {
    of: Arc<Deployment>,
    asked: Box<str>,
    concrete: Arc<Deployment>,
}

/// It can be made anew at any time.
impl Idle for Slot {
    fn is_idle(&self) -> bool {
        true
    }
}

/// What a request is sent to.
#[derive(Debug)]
pub(crate) enum Target {
    /// A deployment.
    Deployment(Arc<Deployment>),
    /// A wildcard, for a model whose name is not one to make a deployment of.
    Model(Arc<Deployment>, String),
}

impl Target {
    pub(crate) fn deployment(&self) -> &Arc<Deployment> {
        match self {
            Self::Deployment(deployment) | Self::Model(deployment, _) => deployment,
        }
    }

    /// A request for it.
    pub(crate) fn route<R>(self, request: R) -> Routed<R> {
        match self {
            Self::Deployment(deployment) => Routed::new(request, deployment),
            Self::Model(deployment, model) => Routed::new(request, deployment).with_model(model),
        }
    }
}

impl Concretes {
    pub(crate) fn new() -> Self {
        Self {
            made: Keyed::new(CAPACITY),
            hasher: std::hash::RandomState::new(),
        }
    }

    /// What of a member of a group a request for `asked` is sent to.
    pub(crate) fn target(&self, group: &Group, member: &Arc<Deployment>, asked: &str) -> Target {
        if !group.is_wildcard() || !member.model().contains('*') {
            return Target::Deployment(Arc::clone(member));
        }
        let key = self.hasher.hash_one((member.id(), asked));
        let slot = (asked.len() <= LONGEST).then(|| self.made.get_or_default(&key));
        if let Some(slot) = &slot
            && let Some(made) = &*slot.0.lock()
            && Arc::ptr_eq(&made.of, member)
            && *made.asked == *asked
        {
            return Target::Deployment(Arc::clone(&made.concrete));
        }
        let model = group.target(member, asked);
        let is_name = model.len() <= LONGEST && !model.contains(char::is_control);
        match slot.filter(|_| is_name && model != member.model()) {
            Some(slot) => {
                let concrete = Arc::new(member.for_model(&model));
                *slot.0.lock() = Some(Made {
                    of: Arc::clone(member),
                    asked: asked.into(),
                    concrete: Arc::clone(&concrete),
                });
                Target::Deployment(concrete)
            }
            None => Target::Model(Arc::clone(member), model.into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Snapshot;

    use super::*;

    fn group(model: &str) -> Arc<Group> {
        let snapshot = Snapshot::new([Deployment::new("wild", "x/*", model)]);
        Arc::clone(snapshot.resolve("x/y").expect("matches"))
    }

    fn target(concretes: &Concretes, group: &Group, asked: &str) -> Target {
        concretes.target(group, &group.members()[0], asked)
    }

    fn concrete(target: Target) -> Arc<Deployment> {
        match target {
            Target::Deployment(deployment) => deployment,
            Target::Model(_, model) => panic!("{model} has none"),
        }
    }

    #[test]
    fn a_model_has_one_deployment_and_another_model_another() {
        let (concretes, group) = (Concretes::new(), group("*"));
        let four = concrete(target(&concretes, &group, "x/4"));
        assert_eq!((four.id().as_str(), four.model()), ("wild/4", "4"));
        assert_eq!(four.public_id().as_str(), "wild");
        let again = concrete(target(&concretes, &group, "x/4"));
        assert!(Arc::ptr_eq(&four, &again));
        let five = concrete(target(&concretes, &group, "x/5"));
        assert_eq!(five.id().as_str(), "wild/5");
    }

    #[test]
    fn a_new_configuration_makes_new_ones() {
        let concretes = Concretes::new();
        target(&concretes, &group("*"), "x/4");
        let new = concrete(target(&concretes, &group("ft:*"), "x/4"));
        assert_eq!(new.model(), "ft:4");
    }

    #[test]
    fn a_name_that_is_none_shares_the_deployment_of_the_wildcard() {
        let (concretes, group) = (Concretes::new(), group("*"));
        for name in ["a\nb".to_owned(), "a".repeat(1 << 20)] {
            let asked = format!("x/{name}");
            match target(&concretes, &group, &asked) {
                Target::Model(member, model) => {
                    assert_eq!((member.id().as_str(), model), ("wild", name));
                }
                Target::Deployment(other) => panic!("{}", other.id()),
            }
        }
    }

    #[test]
    fn however_many_names_are_asked_for_few_are_kept() {
        let (concretes, group) = (Concretes::new(), group("*"));
        for i in 0..20_000 {
            target(&concretes, &group, &format!("x/{i}"));
        }
        assert!(concretes.made.len() <= CAPACITY);
    }
}

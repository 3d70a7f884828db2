//! The deployments of a router that runs.

use std::sync::Arc;

use ziggurat_config::Plan;
use ziggurat_core::{Deployment, DeploymentId, Error, ErrorKind};
use ziggurat_provider as provider;

use crate::Router;

/// Changes to the list of deployments.
///
/// Each takes effect as a whole at the next request; requests that run keep the list they began
/// with. What the layers know of a deployment (load, health, usage) is kept under its id, so one that
/// is replaced goes on where it was.
impl Router {
    /// Adds a deployment.
    ///
    /// # Errors
    ///
    /// If there is one of that id already, or it cannot be called as it is configured.
    pub fn add_deployment(&self, deployment: Deployment) -> Result<(), Error> {
        check(&deployment)?;
        self.change(|plan| {
            if find(plan, deployment.id()).is_some() {
                let message = format!("there is a deployment `{}` already", deployment.id());
                let error = Error::new(ErrorKind::Conflict, message);
                return Err(error.with_code("deployment_exists"));
            }
            plan.deployments.push(deployment);
            Ok(())
        })
    }

    /// Adds a deployment, or replaces the one of that id. Returns whether it is new.
    ///
    /// # Errors
    ///
    /// If it cannot be called as it is configured; then the list stays as it was.
    pub fn upsert_deployment(&self, deployment: Deployment) -> Result<bool, Error> {
        check(&deployment)?;
        self.change(|plan| match find(plan, deployment.id()) {
            Some(at) => {
                plan.deployments[at] = deployment;
                Ok(false)
            }
            None => {
                plan.deployments.push(deployment);
                Ok(true)
            }
        })
    }

    /// Takes a deployment away, and returns it; `None` if there is none of that id.
    #[expect(clippy::must_use_candidate, reason = "it is gone, whoever looks at it")]
    pub fn delete_deployment(&self, id: &DeploymentId) -> Option<Deployment> {
        let deleted = self.change(|plan| {
            let at = find(plan, id);
            Ok(at.map(|at| plan.deployments.remove(at)))
        });
        deleted.ok().flatten()
    }

    /// Replaces all deployments.
    ///
    /// # Errors
    ///
    /// If an id stands twice, or one of them cannot be called as it is configured; then the list stays
    /// as it was.
    pub fn set_deployments(&self, deployments: Vec<Deployment>) -> Result<(), Error> {
        let mut ids = std::collections::HashSet::new();
        for deployment in &deployments {
            check(deployment)?;
            if !ids.insert(deployment.id()) {
                let message = format!("the deployment `{}` stands twice", deployment.id());
                return Err(Error::new(ErrorKind::BadRequest, message));
            }
        }
        drop(ids);
        self.change(|plan| {
            plan.deployments = deployments;
            Ok(())
        })
    }

    /// The deployment of that id.
    #[must_use]
    pub fn deployment(&self, id: &DeploymentId) -> Option<Arc<Deployment>> {
        self.deployments().load().get(id).cloned()
    }

    /// The deployments that serve a name, in the order they were given; none if it leads nowhere.
    #[must_use]
    pub fn deployments_of(&self, name: &str) -> Vec<Arc<Deployment>> {
        let snapshot = self.deployments().load();
        match snapshot.route(name) {
            Some(route) => match route.only {
                Some(only) => vec![Arc::clone(only)],
                None => route.group.members().to_vec(),
            },
            None => Vec::new(),
        }
    }

    /// Changes the plan and swaps the list of deployments; nothing, if the change is refused.
    fn change<T>(&self, change: impl FnOnce(&mut Plan) -> Result<T, Error>) -> Result<T, Error> {
        let mut plan = self.plan_mut();
        let done = change(&mut plan)?;
        self.publish(&plan);
        Ok(done)
    }
}

fn find(plan: &Plan, id: &DeploymentId) -> Option<usize> {
    let mut deployments = plan.deployments.iter();
    deployments.position(|deployment| deployment.id() == id)
}

/// Whether a deployment can be called as it is configured.
pub(crate) fn check(deployment: &Deployment) -> Result<(), Error> {
    provider::check(deployment).map_err(|error| {
        let message = format!("deployment `{}`: {}", deployment.id(), error.message());
        Error::new(error.kind(), message).with_deployment(deployment.id().clone())
    })
}

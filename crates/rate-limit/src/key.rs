//! Whom a limit is for.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use ziggurat_core::{DeploymentId, Scope};

/// Whom a limit is for. It decides whom a refusal concerns.
///
/// Cloning it bumps reference counts. A name is no secret: give the id of an API key, not the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitKey(Name);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Deployment(DeploymentId),
    Tenant(Arc<str>),
    Both(Arc<str>, DeploymentId),
}

impl LimitKey {
    /// A deployment, whoever uses it. A refusal sends the request to another deployment.
    #[must_use]
    pub const fn deployment(id: DeploymentId) -> Self {
        Self(Name::Deployment(id))
    }

    /// Whoever asks: a key, a team, a user. A refusal concerns the request, wherever it would go.
    #[must_use]
    pub fn tenant(name: impl Into<Arc<str>>) -> Self {
        Self(Name::Tenant(name.into()))
    }

    /// A tenant's share of a deployment. A refusal concerns this request on this deployment.
    #[must_use]
    pub fn tenant_on(name: impl Into<Arc<str>>, id: DeploymentId) -> Self {
        Self(Name::Both(name.into(), id))
    }

    /// Whom a refusal concerns, at most.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        match self.0 {
            Name::Deployment(_) => Scope::Deployment,
            Name::Tenant(_) => Scope::Request,
            Name::Both(..) => Scope::Attempt,
        }
    }
}

impl Hash for LimitKey {
    /// By the names alone: a deployment's has been hashed before.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Name::Deployment(id) => id.hash(state),
            Name::Tenant(name) => name.hash(state),
            Name::Both(name, id) => (name, id).hash(state),
        }
    }
}

//! Whom a limit is for.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use ziggurat_core::{DeploymentId, Scope};

/// Who or what has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Subject {
    /// All requests together.
    All,
    /// A deployment.
    Deployment,
    /// A provider.
    Provider,
    /// A quota that several deployments share: an account, a credential.
    Quota,
    /// A model group.
    Group,
    /// A caller's key.
    Key,
    /// A team.
    Team,
    /// A user.
    User,
    /// A tag of requests.
    Tag,
    /// An address that requests come from.
    Ip,
    /// Whoever asks, in the words of the application.
    Tenant,
}

impl Subject {
    /// A short name in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Deployment => "deployment",
            Self::Provider => "provider",
            Self::Quota => "quota",
            Self::Group => "group",
            Self::Key => "key",
            Self::Team => "team",
            Self::User => "user",
            Self::Tag => "tag",
            Self::Ip => "ip",
            Self::Tenant => "tenant",
        }
    }
}

/// Whom a limit is for. It decides whom a refusal concerns.
///
/// Cloning it bumps reference counts. A name is no secret: give the id of an API key, not the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitKey {
    subject: Subject,
    name: Name,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Deployment(DeploymentId),
    Text(Arc<str>),
    OnDeployment(Arc<str>, DeploymentId),
    OnGroup(Arc<str>, Arc<str>),
}

impl LimitKey {
    /// A deployment, whoever uses it. A refusal sends the request to another deployment.
    #[must_use]
    pub const fn deployment(id: DeploymentId) -> Self {
        Self {
            subject: Subject::Deployment,
            name: Name::Deployment(id),
        }
    }

    /// Somebody or something by name.
    #[must_use]
    pub fn of(subject: Subject, name: impl Into<Arc<str>>) -> Self {
        Self {
            subject,
            name: Name::Text(name.into()),
        }
    }

    /// Whoever asks: a key, a team, a user. A refusal concerns the request, wherever it would go.
    #[must_use]
    pub fn tenant(name: impl Into<Arc<str>>) -> Self {
        Self::of(Subject::Tenant, name)
    }

    /// A tenant's share of a deployment. A refusal concerns this request on this deployment.
    #[must_use]
    pub fn tenant_on(name: impl Into<Arc<str>>, id: DeploymentId) -> Self {
        Self {
            subject: Subject::Tenant,
            name: Name::OnDeployment(name.into(), id),
        }
    }

    /// Somebody's share of a model group.
    #[must_use]
    pub fn on_group(
        subject: Subject,
        name: impl Into<Arc<str>>,
        group: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            subject,
            name: Name::OnGroup(name.into(), group.into()),
        }
    }

    /// Who or what it is.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        self.subject
    }

    /// Its name, without the share of what it is.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.name {
            Name::Deployment(id) => id.as_str(),
            Name::Text(name) | Name::OnDeployment(name, _) | Name::OnGroup(name, _) => name,
        }
    }

    /// The deployment or the group of which it is somebody's share.
    #[must_use]
    pub fn share(&self) -> Option<&str> {
        match &self.name {
            Name::OnDeployment(_, id) => Some(id.as_str()),
            Name::OnGroup(_, group) => Some(group),
            Name::Deployment(_) | Name::Text(_) => None,
        }
    }

    /// Whom a refusal concerns, at most.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        match (self.subject, &self.name) {
            (_, Name::OnDeployment(..)) => Scope::Attempt,
            (Subject::Deployment | Subject::Provider | Subject::Quota, _) => Scope::Deployment,
            // Another group may serve.
            (Subject::Group, _) => Scope::Attempt,
            _ => Scope::Request,
        }
    }
}

/// Who or what, and its name: unique among all keys, and the same in every process.
impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.subject.as_str();
        match &self.name {
            Name::Deployment(id) => write!(f, "{subject} `{id}`"),
            Name::Text(_) if self.subject == Subject::All => f.write_str("all requests"),
            Name::Text(name) => write!(f, "{subject} `{name}`"),
            Name::OnDeployment(name, id) => write!(f, "{subject} `{name}` on deployment `{id}`"),
            Name::OnGroup(name, group) => write!(f, "{subject} `{name}` on `{group}`"),
        }
    }
}

impl Hash for LimitKey {
    /// By the names alone: a deployment's has been hashed before.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.name {
            Name::Deployment(id) => id.hash(state),
            Name::Text(name) => (self.subject, name).hash(state),
            Name::OnDeployment(name, id) => (self.subject, name, id).hash(state),
            Name::OnGroup(name, group) => (self.subject, name, group).hash(state),
        }
    }
}

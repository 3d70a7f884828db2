//! Something that has happened.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use ziggurat_core::{Deployment, DeploymentId, ErrorKind, Money};

use crate::Kind;

/// Something that has happened, and to whom. It holds nothing of what was asked or answered.
///
/// A copy is a few `Arc` bumps.
#[derive(Clone, Debug)]
pub struct Event {
    kind: Kind,
    about: About,
    since: SystemTime,
    reason: Option<ErrorKind>,
    time: Option<Duration>,
    count: Option<u64>,
    amounts: Option<(Money, Money)>,
}

#[derive(Clone, Debug)]
enum About {
    Everything,
    Deployment(Arc<Deployment>),
    Group(Arc<str>),
    Budget(Arc<str>),
    Store(Arc<str>),
}

/// Whom an event is about, to tell two apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    Everything,
    Deployment(DeploymentId),
    Other(Arc<str>),
}

impl Event {
    fn new(kind: Kind, about: About) -> Self {
        Self {
            kind,
            about,
            since: SystemTime::now(),
            reason: None,
            time: None,
            count: None,
            amounts: None,
        }
    }

    /// What is made of a deployment for a model or a client is told as what is configured.
    fn of(kind: Kind, deployment: &Arc<Deployment>) -> Self {
        let configured = Arc::clone(deployment.configured());
        Self::new(kind, About::Deployment(configured))
    }

    /// A deployment gets no requests, for failures of that kind if that is known.
    #[must_use]
    pub fn deployment_out(deployment: &Arc<Deployment>, reason: Option<ErrorKind>) -> Self {
        Self {
            reason,
            ..Self::of(Kind::DeploymentOut, deployment)
        }
    }

    /// A deployment serves again, after that time.
    #[must_use]
    pub fn deployment_back(deployment: &Arc<Deployment>, after: Duration) -> Self {
        Self {
            time: Some(after),
            ..Self::of(Kind::DeploymentBack, deployment)
        }
    }

    /// No deployment of a group serves.
    #[must_use]
    pub fn group_out(group: impl Into<Arc<str>>) -> Self {
        Self::new(Kind::GroupOut, About::Group(group.into()))
    }

    /// A deployment of a group serves again, after that time.
    #[must_use]
    pub fn group_back(group: impl Into<Arc<str>>, after: Duration) -> Self {
        Self {
            time: Some(after),
            ..Self::new(Kind::GroupBack, About::Group(group.into()))
        }
    }

    /// So many deployments went out within a minute.
    #[must_use]
    pub fn cooldown_storm(deployments: u64) -> Self {
        Self {
            count: Some(deployments),
            ..Self::new(Kind::CooldownStorm, About::Everything)
        }
    }

    /// A deployment failed so many times within the window that is looked at, which is several.
    #[must_use]
    pub fn outage_minor(deployment: &Arc<Deployment>, failures: u64, last: ErrorKind) -> Self {
        Self {
            count: Some(failures),
            reason: Some(last),
            ..Self::of(Kind::OutageMinor, deployment)
        }
    }

    /// The same, which is many.
    #[must_use]
    pub fn outage_major(deployment: &Arc<Deployment>, failures: u64, last: ErrorKind) -> Self {
        Self {
            kind: Kind::OutageMajor,
            ..Self::outage_minor(deployment, failures, last)
        }
    }

    /// Most of a budget is spent.
    #[must_use]
    pub fn budget_near(name: impl Into<Arc<str>>, spent: Money, limit: Money) -> Self {
        Self {
            amounts: Some((spent, limit)),
            ..Self::new(Kind::BudgetNear, About::Budget(name.into()))
        }
    }

    /// All of a budget is spent.
    #[must_use]
    pub fn budget_crossed(name: impl Into<Arc<str>>, spent: Money, limit: Money) -> Self {
        Self {
            kind: Kind::BudgetCrossed,
            ..Self::budget_near(name, spent, limit)
        }
    }

    /// An attempt took that long.
    #[must_use]
    pub fn slow_response(deployment: &Arc<Deployment>, took: Duration) -> Self {
        Self {
            time: Some(took),
            ..Self::of(Kind::SlowResponse, deployment)
        }
    }

    /// A request has had no answer for that long. Of a request that is at no deployment nothing is
    /// told but that.
    #[must_use]
    pub fn hanging_request(deployment: Option<&Arc<Deployment>>, waits: Duration) -> Self {
        let kind = Kind::HangingRequest;
        let event = match deployment {
            Some(deployment) => Self::of(kind, deployment),
            None => Self::new(kind, About::Everything),
        };
        Self {
            time: Some(waits),
            ..event
        }
    }

    /// A store cannot be reached.
    #[must_use]
    pub fn store_lost(name: impl Into<Arc<str>>) -> Self {
        Self::new(Kind::StoreLost, About::Store(name.into()))
    }

    /// A store can be reached again, after that time.
    #[must_use]
    pub fn store_back(name: impl Into<Arc<str>>, after: Duration) -> Self {
        Self {
            time: Some(after),
            ..Self::new(Kind::StoreBack, About::Store(name.into()))
        }
    }

    /// What has happened.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// When.
    #[must_use]
    pub const fn since(&self) -> SystemTime {
        self.since
    }

    /// The deployment that it is about.
    #[must_use]
    pub const fn deployment(&self) -> Option<&Arc<Deployment>> {
        match &self.about {
            About::Deployment(deployment) => Some(deployment),
            _ => None,
        }
    }

    /// The model group that it is about: that of the deployment, if it is about one.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match &self.about {
            About::Deployment(deployment) => Some(deployment.group()),
            About::Group(name) => Some(name),
            _ => None,
        }
    }

    /// The budget that it is about.
    #[must_use]
    pub fn budget(&self) -> Option<&str> {
        match &self.about {
            About::Budget(name) => Some(name),
            _ => None,
        }
    }

    /// The store that it is about.
    #[must_use]
    pub fn store(&self) -> Option<&str> {
        match &self.about {
            About::Store(name) => Some(name),
            _ => None,
        }
    }

    /// The failure that led to it.
    #[must_use]
    pub const fn reason(&self) -> Option<ErrorKind> {
        self.reason
    }

    /// How long it took, or has lasted.
    #[must_use]
    pub const fn time(&self) -> Option<Duration> {
        self.time
    }

    /// How many failures, or deployments, there were.
    #[must_use]
    pub const fn count(&self) -> Option<u64> {
        self.count
    }

    /// How much is spent, and of how much.
    #[must_use]
    pub const fn amounts(&self) -> Option<(Money, Money)> {
        self.amounts
    }

    /// Who it is about.
    pub(crate) fn name(&self) -> Name {
        match &self.about {
            About::Everything => Name::Everything,
            About::Deployment(deployment) => Name::Deployment(deployment.id().clone()),
            About::Group(name) | About::Budget(name) | About::Store(name) => {
                Name::Other(Arc::clone(name))
            }
        }
    }
}

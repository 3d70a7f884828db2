//! What there is to tell.

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Something is well again.
    Info,
    /// Somebody should look at it by and by.
    Warning,
    /// Requests fail, or soon will.
    Critical,
}

impl Severity {
    /// A short name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A deployment gets no requests: it rests, or its health check fails.
    DeploymentOut,
    /// It serves again.
    DeploymentBack,
    /// No deployment of a group serves.
    GroupOut,
    /// One of them does again.
    GroupBack,
    /// Many deployments went out within a minute.
    CooldownStorm,
    /// A deployment failed several times within a minute.
    OutageMinor,
    /// It failed many times.
    OutageMajor,
    /// Most of a budget is spent.
    BudgetNear,
    /// All of a budget is spent.
    BudgetCrossed,
    /// An attempt took too long.
    SlowResponse,
    /// A request has had no answer for too long.
    HangingRequest,
    /// A store that several instances share cannot be reached.
    StoreLost,
    /// It can again.
    StoreBack,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::DeploymentOut,
        Self::DeploymentBack,
        Self::GroupOut,
        Self::GroupBack,
        Self::CooldownStorm,
        Self::OutageMinor,
        Self::OutageMajor,
        Self::BudgetNear,
        Self::BudgetCrossed,
        Self::SlowResponse,
        Self::HangingRequest,
        Self::StoreLost,
        Self::StoreBack,
    ];

    /// A short name in snake case: what configurations and webhooks call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeploymentOut => "deployment_out",
            Self::DeploymentBack => "deployment_back",
            Self::GroupOut => "group_out",
            Self::GroupBack => "group_back",
            Self::CooldownStorm => "cooldown_storm",
            Self::OutageMinor => "outage_minor",
            Self::OutageMajor => "outage_major",
            Self::BudgetNear => "budget_near",
            Self::BudgetCrossed => "budget_crossed",
            Self::SlowResponse => "slow_response",
            Self::HangingRequest => "hanging_request",
            Self::StoreLost => "store_lost",
            Self::StoreBack => "store_back",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::DeploymentBack | Self::GroupBack | Self::StoreBack => Severity::Info,
            Self::DeploymentOut
            | Self::OutageMinor
            | Self::BudgetNear
            | Self::SlowResponse
            | Self::HangingRequest
            | Self::StoreLost => Severity::Warning,
            Self::GroupOut | Self::CooldownStorm | Self::OutageMajor | Self::BudgetCrossed => {
                Severity::Critical
            }
        }
    }
}

//! Limits beside those of deployments and callers.

mod read;
mod strict;

use std::{fmt, sync::Arc, time::Duration};

use ziggurat_core::Money;

pub(crate) use self::{read::read, strict::check_strict};
use crate::BudgetDuration;

/// `ziggurat_settings.limits` and `quotas`, with the budgets of `provider_budget_config` and
/// `tag_budget_config`.
///
/// This is what the file says; nothing here counts.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LimitSettings {
    /// How long a request waits for room in its caller's limits, and in those of its group, rather
    /// than be refused. `None` for not at all.
    pub pacing: Option<Duration>,
    /// Whether nothing is sent to a provider that has said that nothing is left of its own limits.
    pub heeds_providers: bool,
    /// Who is limited, and to what. Several may be about the same.
    pub rules: Vec<LimitRule>,
    /// Quotas that deployments share. No name stands twice.
    pub quotas: Vec<QuotaPlan>,
}

/// An entry of `ziggurat_settings.limits.rules`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LimitRule {
    /// Who is limited.
    pub subject: LimitSubject,
    /// The one of that name alone; `None` for each by itself.
    pub name: Option<Arc<str>>,
    /// To what.
    pub amounts: Amounts,
}

/// Who is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitSubject {
    /// All requests together.
    All,
    /// A model group.
    Group,
    /// A provider.
    Provider,
    /// A caller's key.
    Key,
    /// A team.
    Team,
    /// A user: that of the key, or else the `user` of the request.
    User,
    /// A tag of requests.
    Tag,
    /// An address that requests come from.
    Ip,
}

/// Quotas that deployments share: an entry of `ziggurat_settings.quotas`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QuotaPlan {
    /// How it is called.
    pub name: Arc<str>,
    /// The ids of the deployments that draw on it.
    pub deployments: Vec<Arc<str>>,
    /// The groups whose deployments draw on it.
    pub models: Vec<Arc<str>>,
    /// How much there is.
    pub amounts: Amounts,
}

/// How much may be used. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Amounts {
    /// Requests a minute.
    pub rpm: Option<u64>,
    /// Tokens a minute.
    pub tpm: Option<u64>,
    /// Input tokens a minute.
    pub itpm: Option<u64>,
    /// Output tokens a minute.
    pub otpm: Option<u64>,
    /// Requests in each [`per`](Self::per).
    pub requests: Option<u64>,
    /// Tokens in each [`per`](Self::per).
    pub tokens: Option<u64>,
    /// How long that is; a minute if it is not said.
    pub per: Option<Duration>,
    /// Whether rates are buckets that drain all the time, and not sliding windows.
    pub is_smooth: bool,
    /// Requests in flight.
    pub max_parallel: Option<u32>,
    /// What may be spent.
    pub budget: Option<Budget>,
    /// At which part of each somebody is told.
    pub soft: Option<f64>,
}

/// What may be spent, and in what time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// So much.
    pub max: Money,
    /// In such a time; for ever if there is none.
    pub duration: Option<BudgetDuration>,
    /// Whether the time begins with the first use, and not by the calendar.
    pub is_rolling: bool,
}

impl Amounts {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let unset = Self {
            per: self.per,
            is_smooth: self.is_smooth,
            soft: self.soft,
            ..Self::default()
        };
        *self == unset
    }
}

impl LimitSubject {
    /// Its name in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Group => "group",
            Self::Provider => "provider",
            Self::Key => "key",
            Self::Team => "team",
            Self::User => "user",
            Self::Tag => "tag",
            Self::Ip => "ip",
        }
    }
}

impl fmt::Display for LimitSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// As `ziggurat explain` tells it.
impl fmt::Display for Amounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        for (amount, unit) in [
            (self.rpm, "requests a minute"),
            (self.tpm, "tokens a minute"),
            (self.itpm, "input tokens a minute"),
            (self.otpm, "output tokens a minute"),
        ] {
            words.extend(amount.map(|amount| format!("{amount} {unit}")));
        }
        let per = self.per.unwrap_or(MINUTE);
        for (amount, unit) in [(self.requests, "requests"), (self.tokens, "tokens")] {
            words.extend(amount.map(|amount| format!("{amount} {unit} in {per:?}")));
        }
        words.extend(self.max_parallel.map(|most| format!("{most} at a time")));
        if let Some(budget) = self.budget {
            words.push(match budget.duration {
                Some(time) => format!("${} in {time}", budget.max),
                None => format!("${} in all", budget.max),
            });
        }
        f.write_str(&words.join(", "))
    }
}

const MINUTE: Duration = Duration::from_secs(60);

//! What a model group is, all its deployments taken together.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ziggurat_core::{Capability, CapabilitySet, Deployment, FieldSet, Mode, Money, Support};
use ziggurat_usage::{Histogram, Tally, UsageBook};

use crate::Router;

/// What the deployments of a model group have in common, and together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GroupInfo {
    /// The name that was asked for.
    pub name: Arc<str>,
    /// The providers, by name.
    pub providers: Vec<Arc<str>>,
    /// How many deployments there are, blocked ones left out.
    pub deployments: usize,
    /// What the models are for, if all say the same.
    pub mode: Option<Mode>,
    /// The largest context window.
    pub max_input_tokens: Option<u64>,
    /// The longest answer.
    pub max_output_tokens: Option<u64>,
    /// The highest price of an input token, in dollars.
    pub input_price: Option<f64>,
    /// The highest price of an output token, in dollars.
    pub output_price: Option<f64>,
    /// Requests a minute, of those that name a limit together.
    pub rpm: Option<u64>,
    /// Tokens a minute, of those that name a limit together.
    pub tpm: Option<u64>,
    /// What at least one is known to be able to do.
    pub capabilities: CapabilitySet,
    /// The fields that at least one is known to understand; `None` if that is known of none.
    pub fields: Option<FieldSet>,
    /// The labels by which callers may be let in.
    pub access_groups: Vec<Arc<str>>,
}

/// What a model group has used of its limits in the current minute, and how it did, by this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupUsage {
    /// Attempts in flight, streams included.
    pub in_flight: u64,
    /// Attempts that [may be](Router::group_capacity) in flight.
    pub capacity: Option<u64>,
    /// Requests.
    pub requests: u64,
    /// Tokens.
    pub tokens: u64,
    /// Requests a minute, of the deployments that name a limit.
    pub rpm: Option<u64>,
    /// Tokens a minute, of the deployments that name a limit.
    pub tpm: Option<u64>,
    /// How many requests those have left.
    pub requests_left: Option<u64>,
    /// How many tokens those have left.
    pub tokens_left: Option<u64>,
    /// Attempts that ended in the current minute: whose answer came to its end.
    pub successes: u64,
    /// That failed.
    pub failures: u64,
    /// For whose end nobody waited.
    pub cancelled: u64,
    /// What the attempts of the current minute cost, as far as that is known.
    pub cost: Money,
    /// How long answers took that ended in the last five minutes.
    pub latency: Quantiles,
    /// How long it took to the beginning of an answer, in the last five minutes.
    pub first_token: Quantiles,
}

/// The times that a part of the answers did not exceed; estimates, from the buckets of a
/// [histogram](ziggurat_usage::Histogram). `None` without an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quantiles {
    /// Half of them.
    pub p50: Option<Duration>,
    /// 95 %.
    pub p95: Option<Duration>,
    /// 99 %.
    pub p99: Option<Duration>,
}

impl Quantiles {
    /// Those of a histogram.
    #[must_use]
    pub fn of(histogram: &Histogram) -> Self {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|q| histogram.quantile(q));
        Self { p50, p95, p99 }
    }
}

impl Router {
    /// What a model group is; `None` if the name leads nowhere, or is a hidden alias.
    #[must_use]
    pub fn group_info(&self, name: &str) -> Option<GroupInfo> {
        let snapshot = self.deployments().load();
        if snapshot.is_alias(name) && !snapshot.names().iter().any(|listed| **listed == *name) {
            return None;
        }
        let group = snapshot.resolve(name)?;
        let members = group.members().iter().filter(|member| !member.is_blocked());
        Some(GroupInfo::of(name, members.map(|member| &**member)))
    }

    /// What deployments and groups did, minute by minute, in this process.
    #[must_use]
    pub fn usage(&self) -> &UsageBook {
        &self.state().usage
    }

    /// What a model group has used, and how it did; `None` if the name leads nowhere.
    #[must_use]
    pub fn group_usage(&self, name: &str) -> Option<GroupUsage> {
        const LATELY: usize = 5;
        let mut all = self.used_limits(name)?;
        let (mut minute, mut lately) = (Tally::default(), Tally::default());
        let (usage, now) = (self.usage(), SystemTime::now());
        for member in self.deployments().load().resolve(name)?.members() {
            if let Some(page) = usage.deployment(member.id()) {
                minute.merge(&page.minute(now));
                lately.merge(&page.last(now, LATELY));
            }
        }
        all.capacity = self.group_capacity(name);
        all.successes = minute.successes();
        all.failures = minute.failures();
        all.cancelled = minute.cancelled();
        all.cost = minute.cost();
        all.latency = Quantiles::of(lately.latency());
        all.first_token = Quantiles::of(lately.first_token());
        Some(all)
    }

    /// What a group has used of its limits, and nothing else.
    fn used_limits(&self, name: &str) -> Option<GroupUsage> {
        self.deployments().load().resolve(name)?;
        let mut all = GroupUsage::default();
        self.built()
            .balancer
            .for_each_member(name, |member, stats| {
                all.in_flight += u64::from(stats.in_flight);
                all.requests += stats.requests;
                all.tokens += stats.tokens;
                if let Some(rpm) = member.rpm() {
                    add(&mut all.rpm, rpm);
                    add(&mut all.requests_left, rpm.saturating_sub(stats.requests));
                }
                if let Some(tpm) = member.tpm() {
                    add(&mut all.tpm, tpm);
                    add(&mut all.tokens_left, tpm.saturating_sub(stats.tokens));
                }
            });
        Some(all)
    }

    /// What it has used of its limits, for every answer to be told: `None` also for a group of which no deployment names a
    /// limit, and for one of more than 64, which would take too long each time.
    #[must_use]
    pub fn group_limits(&self, name: &str) -> Option<GroupUsage> {
        const MOST: usize = 64;
        let snapshot = self.deployments().load();
        let members = snapshot.resolve(name)?.members();
        let mut limits = members.iter().map(|it| it.rpm().or(it.tpm()));
        let is_told = members.len() <= MOST && limits.any(|limit| limit.is_some());
        is_told.then(|| self.used_limits(name))?
    }
}

fn add(sum: &mut Option<u64>, more: u64) {
    *sum = Some(sum.unwrap_or_default().saturating_add(more));
}

impl GroupInfo {
    fn of<'a>(name: &str, members: impl Iterator<Item = &'a Deployment> + Clone) -> Self {
        let (mut rpm, mut tpm) = (None, None);
        for member in members.clone() {
            member.rpm().into_iter().for_each(|n| add(&mut rpm, n));
            member.tpm().into_iter().for_each(|n| add(&mut tpm, n));
        }
        let has = |capability: &Capability| {
            let supports = |member: &Deployment| member.capabilities().get(*capability);
            members
                .clone()
                .any(|member| supports(member) == Support::Yes)
        };
        let highest = |price: fn(&Deployment) -> Option<f64>| {
            let prices = members.clone().filter_map(price);
            prices.max_by(f64::total_cmp)
        };
        let fields: Vec<_> = members.clone().filter_map(Deployment::fields).collect();
        let named = |set: &FieldSet| set.names().collect::<Vec<_>>();
        let mut modes = members.clone().map(Deployment::mode);
        let mode = modes.next().flatten();
        Self {
            name: Arc::from(name),
            providers: distinct(members.clone().map(Deployment::provider)),
            deployments: members.clone().count(),
            mode: mode.filter(|_| modes.all(|other| other == mode)),
            max_input_tokens: members
                .clone()
                .filter_map(Deployment::max_input_tokens)
                .max(),
            max_output_tokens: members
                .clone()
                .filter_map(Deployment::max_output_tokens)
                .max(),
            input_price: highest(|member| member.prices().input),
            output_price: highest(|member| member.prices().output),
            rpm,
            tpm,
            capabilities: Capability::ALL.iter().copied().filter(has).collect(),
            fields: (!fields.is_empty()).then(|| fields.iter().flat_map(named).collect()),
            access_groups: distinct(members.flat_map(Deployment::access_groups).map(|it| &**it)),
        }
    }
}

fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Arc<str>> {
    let distinct: BTreeSet<_> = texts.collect();
    distinct.into_iter().map(Arc::from).collect()
}

//! What LiteLLM has no word for.

use std::{sync::Arc, time::Duration};

use ziggurat_core::Concurrency;

use crate::{
    AddressRange, AutoRoutePlan, CallerName, CooldownSettings, FallbackMaps, FirstTokenSetting,
    GroupSettings, HedgeSettings, OverloadSettings, QueueSettings, ShutdownSettings,
    StreamSettings, address_range, concurrency, cooldown, hedge, overload,
    problem::Report,
    queue,
    read::{Range, Section, first},
    source::Facts,
    streams, tables,
};

/// `ziggurat_settings`: what LiteLLM has no word for. `None` leaves the layer's own default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwnSettings {
    /// For a request as a whole, all attempts and waits included.
    pub deadline: Option<Duration>,
    /// Attempts of a request, over all retries and fallbacks. At least 1. Where nobody says it, one
    /// more than `litellm_settings.num_retries_per_request`.
    pub max_attempts: Option<u32>,
    /// To the first content item of a stream: `first_token_timeout`.
    pub first_token: FirstTokenSetting,
    /// Between two items of a stream.
    pub idle_timeout: Option<Duration>,
    /// To a connection with a provider.
    pub connect_timeout: Option<Duration>,
    /// The queue before the deployments.
    pub queue: QueueSettings,
    /// How many retries the whole process may make.
    pub retry_budget: RetryBudget,
    /// What keeps requests where their like were served.
    pub affinity: AffinitySettings,
    /// Copies of requests for other groups.
    pub mirror: MirrorSettings,
    /// What becomes of streams.
    pub streams: StreamSettings,
    /// What holds for the requests of one group.
    pub groups: Vec<(Arc<str>, GroupSettings)>,
    /// When a second deployment is asked beside the first. `None` for never.
    pub hedge: Option<HedgeSettings>,
    /// How many attempts may be in flight at a deployment that says nothing of its own.
    pub concurrency: Concurrency,
    /// When a deployment rests.
    pub cooldown: CooldownSettings,
    /// The fallbacks of single callers, which take the place of those of all.
    pub fallbacks_for: Vec<(CallerName, FallbackMaps)>,
    /// What may change the group of a request before it is routed.
    pub auto_route: AutoRoutePlan,
    /// The proxies that are believed when they say where a request comes from.
    pub trusted_proxies: Arc<[AddressRange]>,
    /// What a gateway bears.
    pub overload: OverloadSettings,
    /// How a gateway ends.
    pub shutdown: ShutdownSettings,
}

/// `ziggurat_settings.retry_budget`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryBudget {
    /// Retries in percent of the requests.
    pub percent: Option<f64>,
    /// Retries a second that are allowed in any case.
    pub min_per_second: Option<u32>,
}

/// `ziggurat_settings.mirror`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MirrorSettings {
    /// Copies in flight at a time. At least 1.
    pub max_in_flight: Option<u32>,
    /// Copies that may wait; the next is dropped. At least 1.
    pub queue: Option<u32>,
    /// The part of the requests that is copied, from 0 to 1.
    pub share: Option<f64>,
}

/// `ziggurat_settings.affinity`: how the affinities of `router_settings` are carried out.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AffinitySettings {
    /// How many times the mean load a deployment may have and still get what belongs to it, over 1.
    pub load_factor: Option<f64>,
    /// How long a provider is taken to keep the beginning of a prompt.
    pub prompt_cache_ttl: Option<Duration>,
}

/// Reads all but that which names groups.
pub(crate) fn read(
    own: &Section<'_>,
    litellm: &Section<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> OwnSettings {
    use Range::{NotNegative, OverOne, OverZero, Part};
    let budget = own.child("retry_budget", &tables::RETRY_BUDGET, report);
    let affinity = own.child("affinity", &tables::AFFINITY, report);
    let mirror = own.child("mirror", &tables::MIRROR, report);
    let mut seconds = |key, report: &mut Report| {
        let found = own.seconds(key, OverZero, report);
        facts.maybe(key, found)
    };
    let (deadline, idle_timeout, connect_timeout) = (
        seconds("deadline", report),
        seconds("idle_timeout", report),
        seconds("connect_timeout", report),
    );
    let retries = litellm.whole::<u32>("num_retries_per_request", NotNegative, report);
    let attempts = [
        own.whole("max_attempts", OverZero, report),
        retries.map(|found| found.map(|retries| retries.saturating_add(1))),
    ];
    OwnSettings {
        deadline,
        max_attempts: facts.maybe("max_attempts", first(attempts, report)),
        first_token: streams::first_token(own, facts, report),
        idle_timeout,
        connect_timeout,
        queue: queue::read(own, facts, report),
        retry_budget: RetryBudget {
            percent: facts.maybe(
                "retry_budget.percent",
                budget.number("percent", NotNegative, report),
            ),
            min_per_second: facts.maybe(
                "retry_budget.min_per_second",
                budget.whole("min_per_second", NotNegative, report),
            ),
        },
        affinity: AffinitySettings {
            load_factor: facts.maybe(
                "affinity.load_factor",
                affinity.number("load_factor", OverOne, report),
            ),
            prompt_cache_ttl: facts.maybe(
                "affinity.prompt_cache_ttl",
                affinity.seconds("prompt_cache_ttl", OverZero, report),
            ),
        },
        mirror: MirrorSettings {
            max_in_flight: facts.maybe(
                "mirror.max_in_flight",
                mirror.whole("max_in_flight", OverZero, report),
            ),
            queue: facts.maybe("mirror.queue", mirror.whole("queue", OverZero, report)),
            share: facts.maybe("mirror.share", mirror.number("share", Part, report)),
        },
        streams: streams::read(own, facts, report),
        groups: Vec::new(),
        hedge: hedge::read(own, facts, report),
        concurrency: concurrency::of_all(own, facts, report),
        cooldown: cooldown::read(own, facts, report),
        fallbacks_for: Vec::new(),
        auto_route: AutoRoutePlan::default(),
        trusted_proxies: address_range::trusted_proxies(own, facts, report),
        overload: overload::read(own, facts, report),
        shutdown: overload::shutdown(own, facts, report),
    }
}

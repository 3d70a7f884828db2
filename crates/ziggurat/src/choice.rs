//! How a plan's deployments are chosen: strategies, filters, ties.

use std::sync::Arc;

use ziggurat_config::{
    AffinityKey as Key, AffinityKind as Kind, Plan, Strategy as Name, StrategyArgs,
};
use ziggurat_core::LlmRequest;
use ziggurat_load_balance::{
    AffinityKey, AffinityKind, ByGroup, ConsistentHash, ContextWindowFilter, CostBased, Filters,
    Headroom, LatencyBased, LeastBusy, P2c, Pins, Prequal, RoundRobin, SimpleShuffle, Strategy,
    TagFilter, UsageBased,
};

use crate::credentials::ClientFilter;

/// The strategy of each group.
pub(crate) fn strategy(plan: &Plan) -> Arc<dyn Strategy<LlmRequest>> {
    let default = one(plan.router.strategy, &plan.router.strategy_args);
    let groups = plan.routing_groups.iter();
    let members = groups.clone().flat_map(|group| &group.models);
    let names = members.chain(groups.map(|group| &group.name));
    let own = names.filter_map(|name| {
        let (strategy, args) = plan.strategy_of(name);
        let differs = (strategy, args) != (plan.router.strategy, &plan.router.strategy_args);
        differs.then(|| (Arc::clone(name), one(strategy, args)))
    });
    let mut own = own.peekable();
    if own.peek().is_none() {
        return default;
    }
    Arc::new(own.fold(ByGroup::new(default), |all, (name, strategy)| {
        all.with(name, strategy)
    }))
}

fn one(name: Name, args: &StrategyArgs) -> Arc<dyn Strategy<LlmRequest>> {
    match name {
        Name::LeastBusy => Arc::new(LeastBusy),
        Name::UsageBased | Name::UsageBasedV2 => Arc::new(UsageBased),
        Name::LatencyBased => Arc::new(latency(args)),
        Name::CostBased => Arc::new(CostBased),
        Name::RoundRobin => Arc::new(RoundRobin),
        Name::P2c => Arc::new(match args.decay {
            Some(decay) => P2c::new().decay(decay),
            None => P2c::new(),
        }),
        Name::Prequal => Arc::new(match args.quantile {
            Some(quantile) => Prequal::new().quantile(quantile),
            None => Prequal::new(),
        }),
        Name::Affinity => affinity(args),
        Name::Headroom => Arc::new(Headroom),
        _ => Arc::new(SimpleShuffle),
    }
}

fn latency(args: &StrategyArgs) -> LatencyBased {
    let mut strategy = LatencyBased::new();
    if let Some(ttl) = args.ttl {
        strategy = strategy.ttl(ttl);
    }
    if let Some(buffer) = args.lowest_latency_buffer {
        strategy = strategy.lowest_latency_buffer(buffer);
    }
    if let Some(size) = args.max_latency_list_size {
        strategy = strategy.max_latency_list_size(size as usize);
    }
    if let Some(percentile) = args.ttft_percentile {
        strategy = strategy.ttft_percentile(percentile);
    }
    strategy
}

fn affinity(args: &StrategyArgs) -> Arc<dyn Strategy<LlmRequest>> {
    let mut strategy = ConsistentHash::new();
    if let Some(factor) = args.load_factor {
        strategy = strategy.bound(factor);
    }
    let named = |name: Option<&str>| {
        name.map_or_else(AffinityKey::default, |name| AffinityKey::of(0, name))
    };
    match args.key {
        Some(Key::Session) => {
            Arc::new(strategy.key_by(move |request: &LlmRequest| named(request.session())))
        }
        Some(Key::Caller) => Arc::new(strategy.key_by(move |request: &LlmRequest| {
            let key = request.caller().and_then(|caller| caller.key.as_deref());
            named(key.or(request.user()))
        })),
        Some(Key::Prompt) => Arc::new(strategy.key_by(AffinityKey::of_prompt)),
        _ => Arc::new(strategy),
    }
}

/// The filters that a plan turns on.
pub(crate) fn filters(plan: &Plan) -> Filters {
    let settings = &plan.router;
    let checks = settings.enable_pre_call_checks;
    let filters = Filters::new()
        .tags(tag_filter(plan))
        .region(true)
        .capabilities(true)
        .mode(true)
        .fields(checks && !settings.drop_params)
        .context_window(checks.then(ContextWindowFilter::new));
    if plan.general.allow_client_side_credentials {
        return filters;
    }
    filters.own(ClientFilter)
}

fn tag_filter(plan: &Plan) -> Option<TagFilter> {
    let settings = &plan.router;
    let filter = if settings.tag_filtering_match_any {
        TagFilter::match_any()
    } else {
        TagFilter::match_all()
    };
    let filter = match &settings.tag_routing_prefix {
        Some(prefix) => filter.prefix(Arc::clone(prefix)),
        None => filter,
    };
    // A group may turn it on or off for itself.
    let filter = filter.enabled(settings.enable_tag_filtering);
    let own = plan.tag_filtering.iter();
    let filter = own.clone().fold(filter, |filter, (group, on)| {
        filter.group(Arc::clone(group), *on)
    });
    let is_on = settings.enable_tag_filtering || own.clone().any(|(_, on)| *on);
    is_on.then_some(filter)
}

/// What ties requests to the deployments that served their like, if something does.
pub(crate) fn pins(plan: &Plan) -> Option<Pins> {
    let affinity = &plan.router.affinity;
    if affinity.is_off() {
        return None;
    }
    let kinds = |kinds: &[Kind]| kinds.iter().filter_map(kind).collect::<Vec<_>>();
    let pins = Pins::new(kinds(&affinity.kinds))
        .ttl(AffinityKind::Session, affinity.ttl)
        .ttl(AffinityKind::Caller, affinity.ttl);
    let own = &plan.own.affinity;
    let pins = match own.prompt_cache_ttl {
        Some(ttl) => pins.ttl(AffinityKind::PromptPrefix, ttl),
        None => pins,
    };
    let bounded = [
        AffinityKind::Session,
        AffinityKind::Caller,
        AffinityKind::PromptPrefix,
    ];
    let pins = bounded
        .into_iter()
        .fold(pins, |pins, kind| match own.load_factor {
            Some(factor) => pins.max_load(kind, Some(factor)),
            None => pins,
        });
    let groups = affinity.by_group.iter();
    Some(groups.fold(pins, |pins, (group, own)| {
        pins.group(Arc::clone(group), kinds(own))
    }))
}

fn kind(kind: &Kind) -> Option<AffinityKind> {
    Some(match kind {
        Kind::Session => AffinityKind::Session,
        Kind::Deployment => AffinityKind::Caller,
        Kind::PromptCaching => AffinityKind::PromptPrefix,
        Kind::Responses => AffinityKind::PreviousResponse,
        Kind::EncryptedContent => AffinityKind::ContentOwner,
        _ => return None,
    })
}

//! The stack of a plan, in words.

use std::time::Duration;

use ziggurat_config::{
    FirstTokenSetting, HoldBackSetting, LimitSubject, OnBreakSetting, Plan, QueueCount, QueuePer,
    QueueSettings,
};
use ziggurat_core::{Concurrency, ConcurrencyMode};
use ziggurat_timeout::RequestClocks;

use crate::{Router, reliable};

impl Router {
    /// The clocks that a plan holds attempts to.
    #[must_use]
    pub fn clocks(plan: &Plan) -> RequestClocks {
        reliable::clocks(plan)
    }

    /// The layers of a plan's stack, from the client to the provider: name, and what it does there.
    #[must_use]
    pub fn layers(plan: &Plan) -> Vec<(&'static str, String)> {
        let settings = &plan.router;
        let own = &plan.own;
        let mut layers = Vec::new();
        let mut add = |name, what: String| layers.push((name, what));
        if own.streams.drain_on_cancel {
            add("drain", "reads streams on whose client has gone".into());
        }
        add(
            "telemetry",
            "one span and one record for each request".into(),
        );
        if !plan.alerts.webhooks.is_empty() {
            let told = "requests that hang are told to webhooks";
            add("alert", told.into());
        }
        add(
            "timeout",
            match own.deadline {
                Some(deadline) => format!("{} for all attempts together", seconds(deadline)),
                None => "no total deadline but a client's own".into(),
            },
        );
        let callers = &plan.callers;
        let keys = callers.keys.iter().map(|key| &key.models);
        let teams = callers.teams.iter().map(|team| &team.models);
        let users = callers.users.iter().map(|user| &user.models);
        if keys.chain(teams).chain(users).any(Option::is_some) {
            let what = "callers may use the models of their key, team and user; looked at for each attempt";
            add("access", what.into());
        }
        if let Some(cache) = &plan.cache {
            let kept = format!("answers again, for {}", seconds(cache.ttl));
            let together = match cache.single_flight {
                true => "; one call for all who ask the same at once",
                false => "",
            };
            let alike = match &cache.semantic {
                Some(semantic) => format!(
                    "; questions from similarity {} by {}",
                    semantic.threshold, semantic.model
                ),
                None => String::new(),
            };
            add("cache", format!("{kept}{together}{alike}"));
        }
        let limits = &plan.limits;
        let callers = [plan.callers.keys.len(), plan.callers.teams.len()];
        let rules = limits.rules.len();
        let waits = match limits.pacing {
            Some(time) => format!(", waiting for room for at most {}", seconds(time)),
            None => String::new(),
        };
        if callers != [0; 2] || rules > 0 || !plan.callers.users.is_empty() {
            let [keys, teams] = callers;
            add(
                "rate-limit",
                format!("what callers may use: {keys} keys, {teams} teams, {rules} rules{waits}"),
            );
        }
        if let Some(what) = queue(&own.queue, QueuePer::Global) {
            add("priority-queue", what);
        }
        let auto_route = &own.auto_route;
        if !auto_route.is_empty() {
            let (rules, bandits) = (auto_route.rules.len(), auto_route.bandits.len());
            let splits = auto_route.splits.len();
            add(
                "auto-route",
                format!("{rules} rules, {bandits} bandits and {splits} splits choose the group"),
            );
        }
        let breaks = match own.streams.on_break {
            OnBreakSetting::Continue => "a stream that breaks is gone on with by who can",
            _ => "a stream that breaks ends with an error",
        };
        let others = settings.max_fallbacks;
        add(
            "fallback",
            format!("at most {others} other groups; {breaks}"),
        );
        let of_groups = limits.rules.iter();
        let of_groups = of_groups.filter(|rule| rule.subject == LimitSubject::Group);
        let shares = plan.callers.limits().map(|limits| limits.models.len());
        let counts = [of_groups.count(), shares.sum()];
        if counts != [0; 2] {
            let [groups, shares] = counts;
            let what = format!("{groups} limits of groups, {shares} of callers for a model");
            add("rate-limit", format!("{what}{waits}"));
        }
        if let Some(what) = queue(&own.queue, QueuePer::Group) {
            add("priority-queue", what);
        }
        add(
            "retry",
            format!("{} more tries in a group", settings.num_retries),
        );
        if let Some(hedge) = own.hedge {
            let (percentile, budget) = (hedge.percentile, hedge.budget);
            add(
                "hedge",
                format!(
                    "a second deployment after percentile {percentile}, for at most {budget} %"
                ),
            );
        }
        add("load-balance", settings.strategy.name().into());
        if let Some(what) = queue(&own.queue, QueuePer::Deployment) {
            add("priority-queue", what);
        }
        match own.streams.hold_back {
            Some(HoldBackSetting::Events(events)) => {
                add(
                    "hold-back",
                    format!("the first {events} events of a stream"),
                );
            }
            Some(_) => add("hold-back", "streams are held back as a whole".into()),
            None => {}
        }
        if plan.deployments.iter().any(|it| !it.mirrors().is_empty()) {
            add("mirror", "copies for the groups of `silent_model`".into());
        }
        add(
            "telemetry",
            "one span and one record for each attempt".into(),
        );
        add("settle", "what each attempt used and costs, once".into());
        let health = &plan.general.health;
        if health.enabled {
            let routing = match health.routing {
                true => "what fails gets no requests",
                false => "shown only",
            };
            let every = seconds(health.interval);
            add("health", format!("a check each {every}; {routing}"));
        }
        add(
            "cooldown",
            match settings.disable_cooldowns {
                true => "off".into(),
                false => {
                    let rest = seconds(settings.cooldown_time);
                    format!("failing deployments rest for {rest}, and longer if they fail again")
                }
            },
        );
        add("concurrency", in_flight(own.concurrency));
        let limits = match (plan.enforces_rpm(), plan.enforces_tpm()) {
            (true, true) => "rpm, tpm, itpm, otpm and max_parallel_requests of each deployment",
            (true, false) => "rpm and max_parallel_requests of each deployment",
            _ => "max_parallel_requests of each deployment; rpm and tpm are weights",
        };
        let budgets = ", budgets, providers and quotas";
        add("rate-limit", format!("{limits}{budgets}"));
        if plan.limits.heeds_providers {
            let what = "nothing is sent while a provider says that nothing is left";
            add("provider-limits", what.into());
        }
        let attempt = seconds(settings.timeout);
        let first = match own.first_token {
            FirstTokenSetting::After(time) => format!("{} to the first token", seconds(time)),
            FirstTokenSetting::Off => "no limit to the first token of its own".into(),
            _ => "a limit to the first token where somebody else could answer".into(),
        };
        add(
            "timeout",
            format!("{attempt} for an attempt, {first}, where it sets nothing"),
        );
        add("LlmService", "calls the provider".into());
        layers
    }
}

fn in_flight(limits: Concurrency) -> String {
    let most = match limits.max {
        Some(max) => format!("at most {max} attempts in flight at a deployment"),
        None => "a limit of attempts in flight at a deployment".into(),
    };
    match limits.mode {
        Some(ConcurrencyMode::Off) => {
            "no limit of attempts in flight but a deployment's own".into()
        }
        Some(ConcurrencyMode::Fixed) => most,
        Some(ConcurrencyMode::Gradient) => {
            format!("{most}, learned from refusals, timeouts and the time to the first token")
        }
        _ => format!("{most}, learned from refusals and timeouts"),
    }
}

/// The queue of a plan, where it is the one for each of these.
fn queue(settings: &QueueSettings, per: QueuePer) -> Option<String> {
    if settings.per != per || !settings.is_on() {
        return None;
    }
    let units = match settings.count {
        QueueCount::Tokens => "tokens",
        _ => "requests",
    };
    let most = match (settings.capacity, per) {
        (capacity, QueuePer::Group) if settings.follows_deployments() => {
            let followed = "as many requests in flight of each group as its deployments take";
            match capacity {
                Some(most) => format!("{followed}, but no more than {most}"),
                None => followed.into(),
            }
        }
        (None, _) => "max_parallel_requests of each deployment".into(),
        (Some(most), QueuePer::Group) => format!("{most} {units} in flight of each group"),
        (Some(most), QueuePer::Deployment) => {
            format!("{most} {units} in flight of each deployment that says nothing else")
        }
        (Some(most), _) => format!("{most} {units} in flight"),
    };
    Some(format!("{most}, others wait by priority"))
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a layer, wherever the stack of such a plan has it.
    fn said(layer: &str, settings: &str) -> Vec<String> {
        let file = format!(
            "model_list: [{{model_name: gpt, litellm_params: {{model: openai/m, api_key: k}}}}]\nziggurat_settings: {{{settings}}}"
        );
        let plan = Plan::parse(&file, "test.yaml", |_| None).expect("the plan is whole");
        let layers = Router::layers(&plan).into_iter();
        layers
            .filter_map(|(name, what)| (name == layer).then_some(what))
            .collect()
    }

    #[test]
    fn whose_models_are_listed_is_told() {
        const HASH: &str =
            "sha256:abababababababababababababababababababababababababababababababab";
        for (callers, is_told) in [
            (format!("keys: [{{name: a, hash: '{HASH}'}}]"), false),
            ("users: [{name: a}]".into(), false),
            (
                format!("keys: [{{name: a, hash: '{HASH}', models: [gpt]}}]"),
                true,
            ),
            ("teams: [{name: a, models: [gpt]}]".into(), true),
            ("users: [{name: a, models: [gpt]}]".into(), true),
        ] {
            assert_eq!(!said("access", &callers).is_empty(), is_told, "{callers}");
        }
    }

    #[test]
    fn every_queue_is_told() {
        for (settings, told) in [
            ("", None),
            ("per: global", None),
            ("capacity: 4", Some("4 requests in flight")),
            ("per: group, count: tokens", None),
            (
                "per: group, count: tokens, capacity: 4",
                Some("4 tokens in flight of each group"),
            ),
            (
                "per: group",
                Some("as many requests in flight of each group as its deployments take"),
            ),
            (
                "per: group, capacity: 4",
                Some(
                    "as many requests in flight of each group as its deployments take, but no more than 4",
                ),
            ),
            (
                "per: deployment",
                Some("max_parallel_requests of each deployment"),
            ),
            (
                "per: deployment, capacity: 4",
                Some("4 requests in flight of each deployment that says nothing else"),
            ),
        ] {
            let told = told.map(|told| format!("{told}, others wait by priority"));
            let queue = said("priority-queue", &format!("queue: {{{settings}}}"));
            assert_eq!(queue, Vec::from_iter(told), "{settings}");
        }
    }
}

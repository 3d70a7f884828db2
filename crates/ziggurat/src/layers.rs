//! The stack of a plan, in words.

use std::time::Duration;

use ziggurat_config::{FirstTokenSetting, HoldBackSetting, OnBreakSetting, Plan};
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
        add(
            "timeout",
            match own.deadline {
                Some(deadline) => format!("{} for all attempts together", seconds(deadline)),
                None => "no total deadline but a client's own".into(),
            },
        );
        if let Some(capacity) = own.queue.capacity {
            let waiting = "requests in flight, others wait by priority";
            add("priority-queue", format!("{capacity} {waiting}"));
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
        let limits = match (plan.enforces_rpm(), plan.enforces_tpm()) {
            (true, true) => "rpm, tpm and max_parallel_requests of each deployment",
            (true, false) => "rpm and max_parallel_requests of each deployment",
            _ => "max_parallel_requests of each deployment; rpm and tpm are weights",
        };
        add("rate-limit", limits.into());
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

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

//! The stack of a plan, in words.

use ziggurat_config::Plan;

use crate::Router;

impl Router {
    /// The layers of a plan's stack, from the client to the provider: name, and what it does there.
    #[must_use]
    pub fn layers(plan: &Plan) -> Vec<(&'static str, String)> {
        let settings = &plan.router;
        let seconds = |time: std::time::Duration| format!("{} s", time.as_secs_f64());
        let mut layers = vec![(
            "telemetry",
            "one span and one record for each request".to_owned(),
        )];
        layers.push(match plan.own.deadline {
            Some(deadline) => (
                "timeout",
                format!("{} for all attempts together", seconds(deadline)),
            ),
            None => ("timeout", "no total deadline".to_owned()),
        });
        if let Some(capacity) = plan.own.queue.capacity {
            layers.push((
                "priority-queue",
                format!("{capacity} requests in flight, others wait by priority"),
            ));
        }
        let auto_route = &plan.own.auto_route;
        if !auto_route.is_empty() {
            let (rules, bandits) = (auto_route.rules.len(), auto_route.bandits.len());
            let splits = auto_route.splits.len();
            layers.push((
                "auto-route",
                format!("{rules} rules, {bandits} bandits and {splits} splits choose the group"),
            ));
        }
        layers.push((
            "fallback",
            format!("at most {} other groups", settings.max_fallbacks),
        ));
        layers.push((
            "retry",
            format!("{} more tries in a group", settings.num_retries),
        ));
        layers.push(("load-balance", settings.strategy.name().to_owned()));
        if plan.deployments.iter().any(|it| !it.mirrors().is_empty()) {
            layers.push((
                "mirror",
                "copies for the groups of `silent_model`".to_owned(),
            ));
        }
        layers.push((
            "telemetry",
            "one span and one record for each attempt".to_owned(),
        ));
        let rest = format!(
            "failing deployments rest for {}",
            seconds(settings.cooldown_time)
        );
        layers.push((
            "cooldown",
            if settings.disable_cooldowns {
                "off".to_owned()
            } else {
                rest
            },
        ));
        let limits = match (plan.enforces_rpm(), plan.enforces_tpm()) {
            (true, true) => "rpm, tpm and max_parallel_requests of each deployment",
            (true, false) => "rpm and max_parallel_requests of each deployment",
            _ => "max_parallel_requests of each deployment; rpm and tpm are weights",
        };
        layers.push(("rate-limit", limits.to_owned()));
        layers.push((
            "timeout",
            format!(
                "{} for an attempt, where it sets nothing",
                seconds(settings.timeout)
            ),
        ));
        layers.push(("LlmService", "calls the provider".to_owned()));
        layers
    }
}

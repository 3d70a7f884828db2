//! The layers below the balancer.

use ziggurat::config::HoldBackSetting;

use super::{About, or_off};

impl About<'_> {
    pub(super) fn hold_back(&self) -> Vec<String> {
        let own = self.of_group("hold_back", |group| group.hold_back);
        let hold = match &own {
            Some((hold, _)) => Some(*hold),
            None => self.plan.own.streams.hold_back,
        };
        let source = own.map_or_else(|| self.setting("streams.hold_back"), |(_, told)| told);
        vec![match hold {
            None | Some(HoldBackSetting::Events(0)) => "off".into(),
            Some(HoldBackSetting::Events(events)) => {
                format!("the first {events} events of a stream: {source}")
            }
            Some(_) => format!("streams as a whole: {source}"),
        }]
    }

    pub(super) fn mirrors(&self) -> Vec<String> {
        let members = self.explanation.members().iter();
        let mirrored = members.filter(|it| !it.deployment().mirrors().is_empty());
        let told = mirrored.map(|it| {
            let (id, groups) = (it.deployment().id(), it.deployment().mirrors().join(", "));
            format!("what goes to `{id}` is copied for {groups}; a replay sends no copies")
        });
        or_off(told.collect())
    }

    pub(super) fn health(&self) -> Vec<String> {
        let health = &self.plan.general.health;
        vec![match (health.enabled, health.routing) {
            (false, _) => "no background checks".into(),
            (true, false) => "checked, and shown only".into(),
            (true, true) => {
                "what checks find unhealthy gets no requests; a replay checks nothing".into()
            }
        }]
    }

    pub(super) fn cooldown(&self) -> Vec<String> {
        if self.plan.router.disable_cooldowns {
            return vec![format!(
                "off: disable_cooldowns {}",
                self.setting("disable_cooldowns")
            )];
        }
        let mut lines = vec![format!("a first rest of {}", self.setting("cooldown_time"))];
        let keys = [
            "allowed_fails",
            "allowed_fails_policy",
            "cooldown.failure_share",
            "cooldown.min_requests",
            "cooldown.window",
            "cooldown.max_retry_after",
            "cooldown.slow_start",
        ];
        let set: Vec<_> = keys.iter().filter_map(|key| self.set(key)).collect();
        lines.extend((!set.is_empty()).then(|| set.join(", ")));
        lines.extend(self.own(&["cooldown_time", "allowed_fails", "allowed_fails_policy"]));
        lines
    }

    pub(super) fn concurrency(&self) -> Vec<String> {
        let mut lines = vec![format!("mode {}", self.setting("concurrency.mode"))];
        let keys = ["concurrency.min", "concurrency.initial", "concurrency.max"];
        let set: Vec<_> = keys.iter().filter_map(|key| self.set(key)).collect();
        lines.extend((!set.is_empty()).then(|| set.join(", ")));
        lines.extend(self.own(&[&["concurrency.mode"], &keys[..]].concat()));
        lines
    }

    pub(super) fn limits(&self) -> Vec<String> {
        let plan = self.plan;
        let own = self.own(&[
            "rpm",
            "tpm",
            "itpm",
            "otpm",
            "max_parallel_requests",
            "max_budget",
            "budget_duration",
        ]);
        let weights = match (plan.enforces_rpm(), plan.enforces_tpm()) {
            (true, true) => None,
            (true, false) => Some("tpm is a weight here and no limit"),
            _ => Some("rpm and tpm are weights here and no limits"),
        };
        let weights = weights.filter(|_| !own.is_empty()).map(str::to_owned);
        or_off(own.into_iter().chain(weights).collect())
    }
}

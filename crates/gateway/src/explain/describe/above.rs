//! The layers above the balancer, and the balancer.

use std::sync::Arc;

use ziggurat::{
    FallbackTarget, Fallbacks,
    config::{CallerName, FallbackMaps, QueueCount, QueuePer, Subject},
};

use super::{About, find};

type Lists = Vec<(Arc<str>, Vec<FallbackTarget>)>;

impl About<'_> {
    pub(super) fn queue(&self) -> Vec<String> {
        let queue = &self.plan.own.queue;
        if !queue.is_on() {
            return vec!["off".into()];
        }
        let is_followed = queue.follows_deployments();
        let of_each = match queue.per {
            QueuePer::Group => " for each group",
            QueuePer::Deployment if queue.capacity.is_none() => {
                " as `max_parallel_requests` of each deployment"
            }
            QueuePer::Deployment => " for each deployment that says nothing else",
            _ => "",
        };
        let capacity = match queue.capacity {
            Some(_) if is_followed => {
                let most = self.setting("queue.capacity");
                format!("as many as its deployments take, but no more than {most},")
            }
            Some(_) => self.setting("queue.capacity"),
            None if is_followed => "as many as its deployments take,".into(),
            None => "as many".into(),
        };
        let what = match queue.count {
            QueueCount::Tokens => "tokens",
            _ => "requests",
        };
        let default = self.plan.router.default_priority.unwrap_or_default();
        let priority = self.request.controls().priority.unwrap_or(default);
        vec![format!(
            "{capacity} {what} at a time{of_each}, others wait; this one with priority {priority}"
        )]
    }

    pub(super) fn auto_route(&self) -> Vec<String> {
        vec![match &self.route {
            Some(why) => why.to_string(),
            None if self.plan.own.auto_route.is_empty() => "off".into(),
            None => "says nothing of this request".into(),
        }]
    }

    pub(super) fn fallbacks(&self) -> Vec<String> {
        let controls = self.request.controls();
        if controls.disable_fallbacks {
            return vec!["none: the request says `disable_fallbacks`".into()];
        }
        let general = &controls.fallbacks;
        // A plain list of a client serves every failure that may fall back.
        let plain = general
            .as_ref()
            .filter(|it| matches!(it, Fallbacks::List(_)));
        let mut lines = Vec::new();
        let lists: [(&str, &Option<Fallbacks>, fn(&FallbackMaps) -> &Lists); 3] = [
            ("fallbacks", general, |maps| &maps.general),
            (
                "context_window_fallbacks",
                &controls.context_window_fallbacks,
                |maps| &maps.context_window,
            ),
            (
                "content_policy_fallbacks",
                &controls.content_policy_fallbacks,
                |maps| &maps.content_policy,
            ),
        ];
        for (key, of_client, read) in lists {
            let of_client = of_client.as_ref().or(plain);
            let told = match of_client {
                Some(fallbacks) => self.of_client(fallbacks),
                None => self.of_plan(key, read),
            };
            lines.push(format!("{key}: {told}"));
        }
        let most = match controls.max_fallbacks {
            Some(most) => format!("{most} (request)"),
            None => self.setting("max_fallbacks"),
        };
        lines.push(format!("max_fallbacks: {most}"));
        if self.request.is_stream() {
            let own = self.of_group("on_break", |group| group.on_break);
            let told = own.map(|(_, told)| told);
            let told =
                told.unwrap_or_else(|| format!("on_break: {}", self.setting("streams.on_break")));
            lines.push(format!("a stream that breaks: {told}"));
        }
        lines
    }

    fn of_client(&self, fallbacks: &Fallbacks) -> String {
        let targets = match fallbacks {
            Fallbacks::List(targets) => Some(targets),
            Fallbacks::Map(maps) => {
                let names = self.names.iter().chain(&["*"]);
                let mut found = names.filter_map(|name| maps.iter().find_map(|map| map.get(*name)));
                found.next()
            }
            _ => None,
        };
        targets.map_or_else(
            || "none".into(),
            |targets| format!("{} (request)", told(targets)),
        )
    }

    fn of_plan(&self, key: &str, read: fn(&FallbackMaps) -> &Lists) -> String {
        let team = self.request.caller().and_then(|it| it.team.clone());
        let own = team.and_then(|team| {
            let of_whom = format!(" of team {}", team.escape_debug());
            let name = CallerName::Team(team);
            let mut lists = self.plan.own.fallbacks_for.iter();
            let (_, maps) = lists.find(|(listed, _)| *listed == name)?;
            Some((of_whom, read(maps))).filter(|(_, list)| !list.is_empty())
        });
        let (of_whom, list) = own.unwrap_or_else(|| (String::new(), read(&self.plan.fallbacks)));
        let Some((group, targets)) = find(list, &self.names) else {
            return "none".into();
        };
        let name = format!("{} ({key}{of_whom})", group.escape_debug());
        let entry = self.entry(&Subject::Fallbacks, &name);
        entry.unwrap_or_else(|| told(targets))
    }

    pub(super) fn retries(&self) -> Vec<String> {
        let router = &self.plan.router;
        let mut says = Vec::new();
        let own = self.request.controls().num_retries;
        says.extend(own.map(|retries| format!("{retries} (request)")));
        let of_group = self.names.iter().find_map(|name| {
            let mut policies = router.group_retry_policies.iter();
            let (name, _) = policies.find(|(group, _)| **group == **name)?;
            Some(format!("retry_policy of {}", name.escape_debug()))
        });
        match of_group {
            Some(name) => says.push(format!("{name}: {}", self.setting(&name))),
            None => says.extend(self.set("retry_policy")),
        }
        says.extend(self.own(&["num_retries"]));
        says.push(format!("num_retries {}", self.setting("num_retries")));
        let mut lines = vec![format!("the first that says a number: {}", says.join("; "))];
        lines.extend(
            self.set("retry_after")
                .map(|it| format!("pauses are at least {it}")),
        );
        if router.enable_weighted_failover {
            lines
                .push("then every other deployment of the group (enable_weighted_failover)".into());
        }
        lines
    }

    pub(super) fn hedge(&self) -> Vec<String> {
        if self.plan.own.hedge.is_none() {
            return vec!["off".into()];
        }
        let own = self.of_group("hedge", |group| group.hedge);
        vec![match own {
            Some((false, told)) => told,
            _ => format!(
                "a second deployment after percentile {} of first tokens, for at most {} % of requests",
                self.setting("hedge.percentile"),
                self.setting("hedge.budget")
            ),
        }]
    }

    pub(super) fn balance(&self) -> Vec<String> {
        let (strategy, _) = self.plan.strategy_of(self.explanation.group());
        vec![match strategy == self.plan.router.strategy {
            true => format!("strategy {}", self.setting("routing_strategy")),
            false => format!("strategy {}", strategy.name()),
        }]
    }
}

fn told(targets: &[FallbackTarget]) -> String {
    let name = |target: &FallbackTarget| match target.overrides() {
        Some(_) => format!("{} with other values", target.group()),
        None => target.group().to_string(),
    };
    match targets {
        [] => "none".into(),
        targets => targets.iter().map(name).collect::<Vec<_>>().join(", "),
    }
}

//! All that is said of a deployment and does not identify it.

use std::{collections::HashSet, sync::Arc};

use http::{HeaderName, HeaderValue};
use ziggurat_core::{Deployment, Secret, Timeouts};

use crate::{
    BudgetDuration, concurrency,
    deployments::Reader,
    named_credentials::NAME,
    problem::Report,
    read::{
        self,
        Range::{Any, NotNegative, OverZero},
        Section, first,
    },
    source::{Facts, Source},
    yaml::Pos,
};

/// Whether Responses are asked for as chat, though the provider speaks them itself.
const CHATS: &str = "use_chat_completions_api";

impl Reader<'_> {
    /// Adds all that does not identify it.
    pub(crate) fn describe(
        &self,
        mut deployment: Deployment,
        facts: &mut Facts,
        report: &mut Report,
    ) -> Deployment {
        let Self {
            entry,
            params,
            info,
            ..
        } = self;
        if let Some(weight) = facts.take("weight", params.number("weight", NotNegative, report)) {
            deployment = deployment.with_weight(weight);
        }
        let order = [params, info].map(|section| section.whole("order", Any, report));
        if let Some(order) = facts.take("order", first(order, report)) {
            deployment = deployment.with_order(order);
        }
        let limit = |key, report: &mut Report| {
            let found = [entry, params, info].map(|section| section.whole(key, OverZero, report));
            first(found, report)
        };
        if let Some(rpm) = facts.take("rpm", limit("rpm", report)) {
            deployment = deployment.with_rpm(rpm);
        }
        if let Some(tpm) = facts.take("tpm", limit("tpm", report)) {
            deployment = deployment.with_tpm(tpm);
        }
        if let Some(itpm) = facts.take("itpm", limit("itpm", report)) {
            deployment = deployment.with_itpm(itpm);
        }
        if let Some(otpm) = facts.take("otpm", limit("otpm", report)) {
            deployment = deployment.with_otpm(otpm);
        }
        let budget = facts.take("max_budget", params.money("max_budget", report));
        let time = params.budget_duration("budget_duration", report);
        let time = facts.take("budget_duration", time);
        if let Some(budget) = budget {
            deployment = deployment.with_budget(budget, time.map(BudgetDuration::length));
        }
        let parallel = params.whole("max_parallel_requests", OverZero, report);
        let parallel = parallel.or_else(|| self.max_parallel.cloned());
        if let Some(parallel) = facts.take("max_parallel_requests", parallel) {
            deployment = deployment.with_max_parallel(parallel);
        }
        let concurrency = concurrency::of_deployment(info, facts, report);
        deployment = deployment.with_concurrency(concurrency);
        let rest =
            [info, params].map(|section| section.seconds("cooldown_time", NotNegative, report));
        if let Some(rest) = facts.take("cooldown_time", first(rest, report)) {
            deployment = deployment.with_cooldown_time(rest);
        }
        if let Some(retries) = facts.take(
            "num_retries",
            params.whole("num_retries", NotNegative, report),
        ) {
            deployment = deployment.with_num_retries(retries);
        }
        deployment = self.allowed_fails(deployment, facts, report);
        let any = info.flag("accept_any_answer", report);
        if let Some(any) = facts.take("accept_any_answer", any) {
            deployment = deployment.with_any_answer(any);
        }
        if let Some(answer) = params.text("mock_response", report) {
            facts.note("mock_response", &"set", answer.source);
            deployment = deployment.with_mock_response(answer.value);
        }
        let drops = facts.take("drop_params", params.flag("drop_params", report));
        deployment = deployment.with_drop_params(drops.unwrap_or(self.drops_params));
        let chats = params.flag(CHATS, report);
        if facts.take(CHATS, chats) == Some(true) {
            deployment = deployment.with_param(CHATS, Secret::new("true"));
        }
        facts.take(NAME, params.text(NAME, report));
        deployment = deployment.with_health_check(self.health_check(facts, report));
        for (name, value) in self.headers(facts, report) {
            deployment = deployment.with_header(name, value);
        }
        deployment = deployment.with_timeouts(self.timeouts(facts, report));
        deployment = self.access(deployment, facts, report);
        deployment = self.model(deployment, facts, report);
        self.request_fields(deployment, facts, report)
    }

    fn timeouts(&self, facts: &mut Facts, report: &mut Report) -> Timeouts {
        let Self { params, info, .. } = self;
        let attempt =
            ["timeout", "request_timeout"].map(|key| params.seconds(key, OverZero, report));
        let attempt = first(attempt, report);
        let mut seconds = |section: &Section<'_>, key, report: &mut Report| {
            facts.take(key, section.seconds(key, OverZero, report))
        };
        Timeouts {
            stream: seconds(params, "stream_timeout", report),
            first_token: seconds(info, "first_token_timeout", report),
            idle: seconds(info, "idle_timeout", report),
            attempt: facts.take("timeout", attempt),
        }
    }

    /// Of `headers` and `extra_headers`; the latter win.
    fn headers(&self, facts: &mut Facts, report: &mut Report) -> Vec<(Arc<str>, Arc<str>)> {
        let mut headers = Vec::new();
        let mut names = HashSet::new();
        for key in ["extra_headers", "headers"] {
            let entries = self.params.field(key).and_then(|field| {
                facts.note(key, &"set", Source::of(field.node, None));
                read::map(field.node, key, report)
            });
            for (name, node) in entries.unwrap_or_default() {
                if HeaderName::from_bytes(name.text.as_bytes()).is_err() {
                    report.error(
                        name.at,
                        format!("{} is no name of a header", read::name(&name.text)),
                    );
                }
                let Some(value) = read::text(node, key, report) else {
                    continue;
                };
                check_header(&value.value, &name.text, value.at, report);
                if names.insert(name.text.to_ascii_lowercase()) {
                    headers.push((Arc::clone(&name.text), value.value));
                }
            }
        }
        headers
    }
}

pub(crate) fn check_header(value: &str, key: &str, at: Pos, report: &mut Report) {
    if HeaderValue::from_str(value).is_err() {
        let message = format!(
            "{} holds a character that no header can carry",
            read::name(key)
        );
        report.error(at, message);
    }
}

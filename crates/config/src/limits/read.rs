//! Reads limits.

use std::sync::Arc;

use ziggurat_core::Deployment;

use super::{Amounts, Budget, LimitRule, LimitSettings, LimitSubject, QuotaPlan};
use crate::{
    names::Names,
    problem::Report,
    read::{self, Found, Range, Section, first},
    source::{Facts, Show, Source},
    tables::{LIMIT, LIMITS, MODEL_BUDGET, QUOTA},
    yaml::Node,
};

const SUBJECTS: [(&str, LimitSubject); 8] = [
    ("all", LimitSubject::All),
    ("group", LimitSubject::Group),
    ("provider", LimitSubject::Provider),
    ("key", LimitSubject::Key),
    ("team", LimitSubject::Team),
    ("user", LimitSubject::User),
    ("tag", LimitSubject::Tag),
    ("ip", LimitSubject::Ip),
];

/// The longest period of a rate.
const YEAR: std::time::Duration = std::time::Duration::from_secs(366 * 24 * 60 * 60);

/// Reads them all: of `ziggurat_settings`, `router_settings` and `litellm_settings`.
pub(crate) fn read(
    [own, router, litellm]: [&Section<'_>; 3],
    names: &Names,
    deployments: &[Deployment],
    facts: &mut Facts,
    report: &mut Report,
) -> LimitSettings {
    let section = own.child("limits", &LIMITS, report);
    let pacing = section.seconds("pacing", Range::OverZero, report);
    let heeds = section.flag("heed_providers", report);
    let mut reader = Reader {
        names,
        deployments,
        facts,
        report,
    };
    let mut rules = reader.rules(&section);
    for (section, key, subject) in [
        (router, "provider_budget_config", LimitSubject::Provider),
        (litellm, "tag_budget_config", LimitSubject::Tag),
    ] {
        rules.extend(reader.budgets(section, key, subject));
    }
    let quotas = reader.quotas(own);
    LimitSettings {
        pacing: facts.maybe("limits.pacing", pacing),
        heeds_providers: facts.settle("limits.heed_providers", heeds, false),
        rules,
        quotas,
    }
}

struct Reader<'a> {
    names: &'a Names,
    deployments: &'a [Deployment],
    facts: &'a mut Facts,
    report: &'a mut Report,
}

impl Reader<'_> {
    fn rules(&mut self, limits: &Section<'_>) -> Vec<LimitRule> {
        let entries = limits.each("rules", &LIMIT, self.report);
        let rules = entries.into_iter();
        rules
            .filter_map(|(node, section)| self.rule(node, &section))
            .collect()
    }

    fn rule(&mut self, node: &Node, section: &Section<'_>) -> Option<LimitRule> {
        if section.field("for").is_none() {
            self.report.error(node.at, "a limit needs a `for`");
        }
        let subject = section.choice("for", &SUBJECTS, self.report);
        let name = section.text("name", self.report);
        let of_provider = subject.as_ref().map(|it| it.value) == Some(LimitSubject::Provider);
        let amounts = self.amounts(node, section, of_provider);
        let subject = subject?.value;
        if let Some(name) = &name {
            self.check(subject, name);
        }
        let name = name.map(|name| name.value);
        let whose = whose(subject, name.as_ref());
        self.note(&whose, &amounts, node);
        Some(LimitRule {
            subject,
            name,
            amounts,
        })
    }

    /// Whether there is one of that name.
    fn check(&mut self, subject: LimitSubject, name: &Found<Arc<str>>) {
        let told = || read::name(&name.value);
        match subject {
            LimitSubject::All => {
                let message = "a limit for `all` takes no `name`";
                self.report.error(name.at, message);
            }
            LimitSubject::Group if !self.names.is_group(&name.value) => {
                let message = self.names.unknown("", &name.value, self.report);
                self.report.error(name.at, message);
            }
            LimitSubject::Provider if !self.has_provider(&name.value) => {
                let message = format!("no deployment is of the provider {}", told());
                self.report.warning(name.at, message);
            }
            _ => {}
        }
    }

    fn has_provider(&self, name: &str) -> bool {
        self.deployments.iter().any(|it| it.provider() == name)
    }

    fn amounts(&mut self, node: &Node, section: &Section<'_>, is_rolling: bool) -> Amounts {
        let report = &mut *self.report;
        let mut whole = |key| {
            let found = section.whole::<u64>(key, Range::OverZero, report);
            found.map(|found| found.value)
        };
        let [rpm, tpm, itpm, otpm] = ["rpm", "tpm", "itpm", "otpm"].map(&mut whole);
        let [requests, tokens] = ["requests", "tokens"].map(whole);
        let report = &mut *self.report;
        let per = section.seconds("per", Range::OverZero, report);
        if let Some(long) = per.as_ref().filter(|per| per.value > YEAR) {
            report.error(long.at, "`per` must be no longer than 366 days");
        }
        let windows = [("sliding", false), ("smooth", true)];
        let smooth = section.choice("window", &windows, report);
        let parallel = section.whole("max_parallel_requests", Range::OverZero, report);
        let budget = section.money("max_budget", report);
        let duration = section.budget_duration("budget_duration", report);
        let soft = section.number("soft", Range::Share, report);
        let amounts = Amounts {
            rpm,
            tpm,
            itpm,
            otpm,
            requests,
            tokens,
            per: per.map(|found| found.value).filter(|per| *per <= YEAR),
            is_smooth: smooth.is_some_and(|found| found.value),
            max_parallel: parallel.map(|found| found.value),
            budget: budget.map(|found| Budget {
                max: found.value,
                duration: duration.map(|found| found.value),
                is_rolling,
            }),
            soft: soft.map(|found| found.value),
        };
        if amounts.is_none() {
            report.warning(node.at, "this limits nothing");
        }
        amounts
    }

    /// Budgets by name, each `{budget_limit: 5, time_period: 1d}`. They begin with their first use.
    fn budgets(
        &mut self,
        section: &Section<'_>,
        key: &'static str,
        subject: LimitSubject,
    ) -> Vec<LimitRule> {
        let Some(field) = section.field(key) else {
            return Vec::new();
        };
        let entries = read::map(field.node, key, self.report).unwrap_or_default();
        let mut rules = Vec::new();
        for (name, node) in entries {
            if subject == LimitSubject::Provider && !self.has_provider(&name.text) {
                let told = read::name(&name.text);
                let message = format!("{key}: no deployment is of the provider {told}");
                self.report.warning(name.at, message);
            }
            let Some(section) = Section::open(node, &MODEL_BUDGET, self.report) else {
                continue;
            };
            let report = &mut *self.report;
            let max = ["budget_limit", "max_budget"].map(|key| section.money(key, report));
            let times =
                ["time_period", "budget_duration"].map(|key| section.budget_duration(key, report));
            let duration = first(times, report).map(|found| found.value);
            let Some(max) = first(max, report) else {
                report.error(node.at, "a budget needs a `budget_limit`");
                continue;
            };
            let amounts = Amounts {
                budget: Some(Budget {
                    max: max.value,
                    duration,
                    is_rolling: true,
                }),
                ..Amounts::default()
            };
            let name = Some(Arc::clone(&name.text));
            self.note(&whose(subject, name.as_ref()), &amounts, node);
            rules.push(LimitRule {
                subject,
                name,
                amounts,
            });
        }
        rules
    }

    fn quotas(&mut self, own: &Section<'_>) -> Vec<QuotaPlan> {
        let mut quotas: Vec<QuotaPlan> = Vec::new();
        for (node, section) in own.each("quotas", &QUOTA, self.report) {
            if section.field("name").is_none() {
                self.report.error(node.at, "a quota needs a `name`");
            }
            let name = section.text("name", self.report);
            let ids = section.one_or_more("deployments", self.report);
            let models = section.one_or_more("models", self.report);
            let amounts = self.amounts(node, &section, false);
            if ids.is_empty() && models.is_empty() {
                let message = "a quota needs `deployments` or `models`";
                self.report.error(node.at, message);
            }
            for id in &ids {
                let known = |it: &Deployment| it.id().as_str() == &*id.value;
                if !self.deployments.iter().any(known) {
                    let told = read::name(&id.value);
                    self.report
                        .warning(id.at, format!("there is no deployment {told}"));
                }
            }
            for model in models.iter().filter(|it| !self.names.is_group(&it.value)) {
                let message = self.names.unknown("", &model.value, self.report);
                self.report.error(model.at, message);
            }
            let Some(name) = name else { continue };
            if quotas.iter().any(|quota| quota.name == name.value) {
                let told = read::name(&name.value);
                self.report
                    .error(name.at, format!("the quota {told} stands twice"));
                continue;
            }
            let whose = format!("quota {}", name.value.escape_debug());
            self.note(&whose, &amounts, node);
            let values = |found: Vec<Found<Arc<str>>>| found.into_iter().map(|it| it.value);
            quotas.push(QuotaPlan {
                name: name.value,
                deployments: values(ids).collect(),
                models: values(models).collect(),
                amounts,
            });
        }
        quotas
    }

    fn note(&mut self, whose: &str, amounts: &Amounts, node: &Node) {
        let source = Source::of(node, None);
        self.facts
            .note(&format!("limit of {whose}"), amounts, source);
    }
}

impl Show for Amounts {
    fn show(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

fn whose(subject: LimitSubject, name: Option<&Arc<str>>) -> String {
    match (subject, name) {
        (LimitSubject::All, _) => "all requests".to_owned(),
        (subject, Some(name)) => format!("{subject} {}", name.escape_debug()),
        (subject, None) => format!("each {subject}"),
    }
}

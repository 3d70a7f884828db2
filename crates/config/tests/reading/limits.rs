//! Limits beside those of callers: what is read, and what is refused.

use std::time::Duration;

use ziggurat_config::{BudgetDuration, LimitSubject, Plan};
use ziggurat_core::Money;

const MODELS: &str = "model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_key: k, itpm: 5, max_budget: 2.5, budget_duration: 30d}, model_info: {id: a, otpm: 6}}
  - {model_name: claude, litellm_params: {model: anthropic/m, api_key: k}, model_info: {id: b}}
";

fn read(rest: &str) -> Result<Plan, String> {
    let text = format!("{MODELS}{rest}");
    Plan::parse(&text, "c.yaml", |_| None).map_err(|problems| problems.to_string())
}

fn plan(rest: &str) -> Plan {
    read(rest).unwrap_or_else(|problems| panic!("{problems}"))
}

fn dollars(amount: f64) -> Money {
    Money::from_dollars(amount).expect("is an amount")
}

#[test]
fn a_deployment_has_limits_on_input_and_output_and_a_budget() {
    let plan = plan("");
    let a = &plan.deployments[0];
    assert_eq!((a.itpm(), a.otpm()), (Some(5), Some(6)));
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    assert_eq!(a.budget(), Some((dollars(2.5), Some(month))));
    let told = plan.explanation().to_string();
    assert!(
        told.contains("max_budget") && told.contains("$2.5"),
        "{told}"
    );
}

#[test]
fn budgets_of_providers_and_tags_begin_with_their_first_use() {
    let plan = plan(
        "router_settings: {provider_budget_config: {openai: {budget_limit: 10, time_period: 1d}}}
litellm_settings: {tag_budget_config: {batch: {max_budget: 5, budget_duration: 1mo}}}
",
    );
    let told: Vec<_> = plan
        .limits
        .rules
        .iter()
        .map(|rule| {
            let budget = rule.amounts.budget.expect("is one");
            let time = budget.duration.as_ref().map(BudgetDuration::to_string);
            (
                rule.subject,
                rule.name.as_deref(),
                budget.max,
                time,
                budget.is_rolling,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                LimitSubject::Provider,
                Some("openai"),
                dollars(10.0),
                Some("1d".into()),
                true
            ),
            (
                LimitSubject::Tag,
                Some("batch"),
                dollars(5.0),
                Some("1mo".into()),
                true
            ),
        ]
    );
}

#[test]
fn rules_and_quotas_say_who_and_how_much() {
    let plan = plan(
        "ziggurat_settings:
  limits:
    pacing: 2.5
    heed_providers: true
    rules:
      - {for: user, rpm: 60, tpm: 1000, max_parallel_requests: 3}
      - {for: group, name: gpt, requests: 20, per: 1, window: smooth, soft: 0.5}
      - {for: team, name: red, max_budget: 1, budget_duration: 7d}
  quotas:
    - {name: shared, deployments: [a], models: claude, tpm: 70}
",
    );
    let limits = &plan.limits;
    assert_eq!(limits.pacing, Some(Duration::from_millis(2500)));
    assert!(limits.heeds_providers);
    let [user, group, team] = &limits.rules[..] else {
        panic!("there are {}", limits.rules.len())
    };
    assert_eq!(
        (user.subject, user.name.as_deref()),
        (LimitSubject::User, None)
    );
    assert_eq!(user.amounts.max_parallel, Some(3));
    assert_eq!(
        (
            group.amounts.requests,
            group.amounts.per,
            group.amounts.is_smooth,
            group.amounts.soft
        ),
        (Some(20), Some(Duration::from_secs(1)), true, Some(0.5))
    );
    let budget = team.amounts.budget.expect("is one");
    assert!(!budget.is_rolling, "by the calendar, as those of keys");
    let [quota] = &limits.quotas[..] else {
        panic!("there is one")
    };
    assert_eq!((&*quota.deployments[0], &*quota.models[0]), ("a", "claude"));
    let told = plan.explanation().to_string();
    for line in [
        "limit of each user",
        "60 requests a minute, 1000 tokens a minute, 3 at a time",
        "20 requests in 1s",
        "limit of team red",
        "$1 in 7d",
        "limit of quota shared",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
}

#[test]
fn what_is_wrong_with_a_limit_is_told_with_its_place() {
    for (rest, expected) in [
        ("limits: {rules: [{rpm: 1}]}", "a limit needs a `for`"),
        (
            "limits: {rules: [{for: world, rpm: 1}]}",
            "unknown `world`; use one of all, group,",
        ),
        (
            "limits: {rules: [{for: all, name: x, rpm: 1}]}",
            "a limit for `all` takes no `name`",
        ),
        (
            "limits: {rules: [{for: group, name: gtp, rpm: 1}]}",
            "`gtp` is no model group; did you mean `gpt`?",
        ),
        (
            "limits: {rules: [{for: all, requests: 1, per: 40000000}]}",
            "`per` must be no longer than 366 days",
        ),
        (
            "limits: {rules: [{for: all, max_budget: 1, budget_duration: 1y}]}",
            "must be a duration like",
        ),
        (
            "limits: {rules: [{for: all, rpm: 1, soft: 1.5}]}",
            "a number over 0 and at most 1",
        ),
        (
            "limits: {rules: [{for: all, rmp: 1}]}",
            "did you mean `rpm`?",
        ),
        (
            "trusted_proxies: [10.0.0.0/33]",
            "`trusted_proxies`: a range of addresses is like 10.0.0.0/8",
        ),
        ("quotas: [{rpm: 1, models: gpt}]", "a quota needs a `name`"),
        (
            "quotas: [{name: q, rpm: 1}]",
            "a quota needs `deployments` or `models`",
        ),
        (
            "quotas: [{name: q, models: x, rpm: 1}]",
            "`x` is no model group",
        ),
        (
            "quotas: [{name: q, models: gpt, rpm: 1}, {name: q, models: gpt, rpm: 1}]",
            "the quota `q` stands twice",
        ),
    ] {
        let problems = read(&format!("ziggurat_settings: {{{rest}}}")).expect_err(rest);
        assert!(problems.contains(expected), "{rest}: {problems}");
        assert!(problems.contains("c.yaml:4:"), "{problems}");
    }
    let problems = read("router_settings: {provider_budget_config: {openai: {time_period: 1d}}}");
    let problems = problems.expect_err("has no amount");
    assert!(
        problems.contains("a budget needs a `budget_limit`"),
        "{problems}"
    );
}

#[test]
fn what_may_not_be_meant_is_a_warning() {
    for (rest, expected) in [
        (
            "ziggurat_settings: {limits: {rules: [{for: all}]}}",
            "this limits nothing",
        ),
        (
            "ziggurat_settings: {limits: {rules: [{for: provider, name: azure, rpm: 1}]}}",
            "no deployment is of the provider `azure`",
        ),
        (
            "ziggurat_settings: {quotas: [{name: q, deployments: z, rpm: 1}]}",
            "there is no deployment `z`",
        ),
        (
            "router_settings: {provider_budget_config: {azure: {budget_limit: 1}}}",
            "no deployment is of the provider `azure`",
        ),
        (
            "ziggurat_settings: {trusted_proxies: 0.0.0.0/0}",
            "0.0.0.0/0 is everybody",
        ),
        (
            "ziggurat_settings: {users: [{name: al, models: [gtp]}]}",
            "did you mean `gpt`?",
        ),
    ] {
        let plan = plan(rest);
        let warnings = plan.warnings().iter();
        let told: Vec<_> = warnings.map(|it| it.message().to_owned()).collect();
        assert!(
            told.iter().any(|it| it.contains(expected)),
            "{rest}: {told:?}"
        );
    }
}

#[test]
fn limits_on_input_and_output_that_nothing_heeds_are_a_warning_with_the_way_out() {
    let told = |rest: &str| {
        let plan = plan(rest);
        let warnings = plan.warnings().iter();
        let told = warnings.filter(|it| it.message().contains("`itpm` and `otpm` limit nothing"));
        told.map(ToString::to_string).collect::<Vec<_>>()
    };
    let [warning] = &told("")[..] else {
        panic!("there is one")
    };
    assert!(
        warning.starts_with("c.yaml:2:") && warning.contains("enforce_model_rate_limits"),
        "{warning}"
    );
    for strict in [
        "optional_pre_call_checks: [enforce_model_rate_limits]",
        "routing_strategy: usage-based-routing-v2",
    ] {
        assert!(told(&format!("router_settings: {{{strict}}}")).is_empty());
    }
}

#[test]
fn a_queue_in_which_nobody_ever_waits_is_a_warning() {
    // Two deployments.
    for (own, expected) in [
        ("queue: {capacity: 2000}", None),
        (
            "queue: {capacity: 2001}",
            Some("take 2000 requests at a time"),
        ),
        (
            "queue: {capacity: 9}, concurrency: 4",
            Some("take 8 requests at a time"),
        ),
        ("queue: {capacity: 9}, concurrency: off", None),
        ("queue: {capacity: 9000, count: tokens}", None),
        ("queue: {per: group}", None),
        ("queue: {per: group, capacity: 9000}", None),
        (
            "queue: {per: group}, concurrency: off",
            Some("all deployments take any number"),
        ),
        (
            "queue: {per: group, count: tokens}",
            Some("needs a `capacity`"),
        ),
        ("queue: {per: deployment, capacity: 1000}", None),
        (
            "queue: {per: deployment, capacity: 1001}",
            Some("which take 1000 requests"),
        ),
    ] {
        let plan = plan(&format!("ziggurat_settings: {{{own}}}"));
        let told = plan.warnings().iter().map(|it| it.message());
        let told: Vec<_> = told.filter(|it| !it.contains("`itpm`")).collect();
        match expected {
            None => assert_eq!(told, [""; 0], "{own}"),
            Some(expected) => {
                assert!(
                    told.len() == 1 && told[0].contains(expected),
                    "{own}: {told:?}"
                );
            }
        }
    }
}

#[test]
fn proxies_are_trusted_by_their_addresses() {
    let plan = plan("ziggurat_settings: {trusted_proxies: [10.0.0.0/8, \"::1\"]}");
    let proxies = &plan.own.trusted_proxies;
    let trusts = |address: &str| {
        let address = address.parse().expect("is an address");
        proxies.iter().any(|range| range.contains(address))
    };
    assert!(trusts("10.9.8.7") && trusts("::1") && !trusts("11.0.0.1"));
    let told = plan.explanation().to_string();
    assert!(
        told.contains("trusted_proxies") && told.contains("10.0.0.0/8"),
        "{told}"
    );
}

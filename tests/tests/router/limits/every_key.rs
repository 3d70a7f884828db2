//! Every way to write a limit does something.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;
use ziggurat::config::{Support, keys};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::{VirtualWorld, chat};

use crate::{
    limits::support::{DEAR, key, pass},
    support::{CHAT, world},
};

/// A limit in a configuration that lets two requests pass: each of three input tokens and seven output
/// tokens, a dollar each.
struct Case {
    /// Where it stands: the section and the key.
    section: &'static str,
    key: &'static str,
    value: String,
    /// What else its section needs, and what that is in.
    params: String,
    sections: String,
    /// After how many seconds two more pass.
    resets: Option<u64>,
}

const MINUTE: Option<u64> = Some(62);
const HOUR: Option<u64> = Some(3_600);

/// What an entry of a key, a team or a user may have.
const OF_CALLERS: [(&str, &str, Option<u64>); 11] = [
    ("rpm_limit", "2", MINUTE),
    ("tpm_limit", "20", MINUTE),
    ("itpm_limit", "6", MINUTE),
    ("otpm_limit", "14", MINUTE),
    ("max_parallel_requests", "2", None),
    ("max_budget", "20", None),
    ("max_budget", "20, budget_duration: 1h", HOUR),
    ("model_rpm_limit", "{gpt: 2}", MINUTE),
    ("model_tpm_limit", "{gpt: 20}", MINUTE),
    ("model_max_budget", "{gpt: 20}", None),
    (
        "model_max_budget",
        "{gpt: {budget_limit: 20, time_period: 1h}}",
        HOUR,
    ),
];

/// What a rule or a quota may have.
const OF_RULES: [(&str, &str, Option<u64>); 12] = [
    ("rpm", "2", MINUTE),
    ("rpm", "2, window: smooth", MINUTE),
    ("tpm", "20", MINUTE),
    ("itpm", "6", MINUTE),
    ("otpm", "14", MINUTE),
    ("requests", "2", MINUTE),
    ("requests", "2, per: 10", Some(11)),
    ("tokens", "20", MINUTE),
    ("tokens", "20, per: 10", Some(11)),
    ("max_parallel_requests", "2", None),
    ("max_budget", "20", None),
    ("max_budget", "20, budget_duration: 1h", HOUR),
];

fn case(
    (section, key): (&'static str, &'static str),
    (value, resets): (&str, Option<u64>),
    sections: impl Fn(&str) -> String,
) -> Case {
    Case {
        section,
        key,
        value: value.to_owned(),
        params: String::new(),
        sections: sections(&format!("{key}: {value}")),
        resets,
    }
}

fn of_callers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, value, resets) in OF_CALLERS {
        for section in ["keys", "teams", "users"] {
            cases.push(case((section, name), (value, resets), |limit| {
                let entry = |of: &str| match of == section {
                    true => format!(", {limit}"),
                    false => String::new(),
                };
                format!(
                    "ziggurat_settings:
  keys: [{{name: k, key: {}, team: t, user: u{}}}]
  teams: [{{name: t{}}}]
  users: [{{name: u{}}}]
",
                    key(0),
                    entry("keys"),
                    entry("teams"),
                    entry("users")
                )
            }));
        }
        // By the word of the request alone.
        cases.push(case(("users", name), (value, resets), |limit| {
            format!("ziggurat_settings: {{users: [{{name: end, {limit}}}]}}")
        }));
    }
    cases
}

fn of_rules() -> Vec<Case> {
    const EACH: [&str; 8] = [
        "all", "group", "provider", "key", "team", "user", "tag", "ip",
    ];
    const NAMED: [&str; 7] = [
        "group, name: gpt",
        "provider, name: openai",
        "key, name: k",
        "team, name: t",
        "user, name: u",
        "tag, name: x",
        "ip, name: 127.0.0.1",
    ];
    const SHARED: [&str; 2] = ["models: gpt", "deployments: [a]"];
    let mut cases = Vec::new();
    for (at, (name, value, resets)) in OF_RULES.into_iter().enumerate() {
        // That a name is found has nothing to do with what is limited.
        let named = NAMED.iter().filter(|_| at == 0);
        for whom in EACH.iter().chain(named) {
            cases.push(case(("limit", name), (value, resets), |limit| {
                format!(
                    "ziggurat_settings:
  keys: [{{name: k, key: {}, team: t, user: u}}]
  teams: [{{name: t}}]
  limits: {{rules: [{{for: {whom}, {limit}}}]}}
",
                    key(0)
                )
            }));
        }
        for whom in SHARED {
            cases.push(case(("quotas", name), (value, resets), |limit| {
                format!("ziggurat_settings: {{quotas: [{{name: q, {whom}, {limit}}}]}}")
            }));
        }
    }
    cases
}

fn of_all() -> Vec<Case> {
    let with_key = format!(
        "ziggurat_settings: {{keys: [{{name: k, key: {}, user: nobody}}]}}",
        key(0)
    );
    let (litellm, router) = ("litellm_settings", "router_settings");
    let budget = "20, budget_duration: 1h";
    let of_users = "20, internal_user_budget_duration: 1h";
    let by_name = |name: &str, limit: &str, time: &str| {
        [
            (format!("{{{name}: {{{limit}: 20, {time}: 1h}}}}"), HOUR),
            (format!("{{{name}: {{{limit}: 20}}}}"), None),
        ]
    };
    let mut cases = Vec::new();
    let mut add = |section, key, value: &str, resets, rest: &str| {
        cases.push(case((section, key), (value, resets), |limit| {
            format!("{section}: {{{limit}}}\n{rest}\n")
        }));
    };
    add(litellm, "max_budget", "20", None, "");
    add(litellm, "max_budget", budget, HOUR, "");
    add(litellm, "max_internal_user_budget", "20", None, &with_key);
    add(
        litellm,
        "max_internal_user_budget",
        of_users,
        HOUR,
        &with_key,
    );
    add(litellm, "max_end_user_budget", "20", None, "");
    add(
        "general_settings",
        "global_max_parallel_requests",
        "2",
        None,
        "",
    );
    add(router, "default_max_parallel_requests", "2", None, "");
    for (limit, time) in [
        ("budget_limit", "time_period"),
        ("max_budget", "budget_duration"),
    ] {
        for (value, resets) in by_name("openai", limit, time) {
            add(router, "provider_budget_config", &value, resets, "");
        }
        for (value, resets) in by_name("x", limit, time) {
            add(litellm, "tag_budget_config", &value, resets, "");
        }
    }
    cases
}

/// What a deployment says; its rates are limits by several ways.
fn of_deployments() -> Vec<Case> {
    let strict = [
        "optional_pre_call_checks: [enforce_model_rate_limits]",
        "routing_strategy: usage-based-routing",
        "routing_strategy: usage-based-routing-v2",
    ];
    let mut cases = Vec::new();
    for (key, value, resets, settings) in [
        ("rpm", "2", MINUTE, &strict[..]),
        ("rpm", "2", MINUTE, &["enable_pre_call_checks: true"]),
        ("tpm", "20", MINUTE, &strict),
        ("itpm", "6", MINUTE, &strict),
        ("otpm", "14", MINUTE, &strict),
        ("max_parallel_requests", "2", None, &[""]),
        ("max_budget", "20", None, &[""]),
        ("max_budget", "20, budget_duration: 1h", HOUR, &[""]),
    ] {
        for settings in settings {
            cases.push(Case {
                params: format!("{key}: {value}"),
                ..case(("litellm_params", key), (value, resets), |_| {
                    format!("router_settings: {{{settings}}}")
                })
            });
        }
    }
    cases
}

fn all() -> Vec<Case> {
    let all = [of_callers(), of_rules(), of_all(), of_deployments()];
    all.into_iter().flatten().collect()
}

/// How many of three requests pass, one after the other, or all at once where they are streams.
async fn passed(world: &VirtualWorld, at_once: bool) -> usize {
    let bearer = format!("Bearer {}", key(0));
    let headers = [("authorization", &*bearer)];
    let more = json!({
        "user": "end", "metadata": {"tags": ["x"]}, "max_tokens": 7, "stream": at_once,
    });
    let body = chat("gpt", more);
    let begin = || world.begin(CHAT, &body, &headers);
    if at_once {
        let answers = join_all((0..3).map(|_| begin())).await;
        return answers.iter().filter(|it| it.status == 200).count();
    }
    let mut passed = 0;
    for _ in 0..3 {
        passed += usize::from(begin().await.read().await.status == 200);
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn every_way_to_write_a_limit_takes_effect() {
    let cases = all();
    let mut wrong = Vec::new();
    for case in &cases {
        let member = format!("a {DEAR}, {}", case.params);
        let member = member.trim_end_matches([',', ' ']);
        let world = world(&[("gpt", &[member])], &case.sections);
        world.providers.script("a", Step::ok().usage(3, 7));
        let at_once = case.key.contains("parallel");
        let first = passed(&world, at_once).await;
        let second = match case.resets {
            Some(seconds) => {
                pass(seconds).await;
                passed(&world, at_once).await
            }
            None => 2,
        };
        if (first, second) != (2, 2) {
            let Case {
                key,
                value,
                sections,
                ..
            } = case;
            wrong.push(format!(
                "{key}: {value}: {first}, then {second}: {sections}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_all_pass() {
    for at_once in [false, true] {
        let member = format!("a {DEAR}");
        let world = world(&[("gpt", &[&*member])], "");
        world.providers.script("a", Step::ok().usage(3, 7));
        assert_eq!(passed(&world, at_once).await, 3);
    }
}

#[test]
fn every_key_that_limits_is_tried_above() {
    let cases = all();
    let tried: BTreeSet<_> = cases.iter().map(|it| (it.section, it.key)).collect();
    let limits = |key: &str| {
        let is_rate = ["rpm", "tpm", "itpm", "otpm"].contains(&key) || key.ends_with("pm_limit");
        let is_amount = ["requests", "tokens"].contains(&key);
        let is_budget = key.starts_with("max_") && key.ends_with("_budget")
            || ["max_budget", "model_max_budget"].contains(&key)
            || key.ends_with("_budget_config");
        is_rate || is_amount || is_budget || key.ends_with("max_parallel_requests")
    };
    // A budget of a name has two words, both tried; what stands beside `litellm_params` is the same.
    let elsewhere = ["model_max_budget", "model_info", "model_list"];
    let acted = keys().filter(|(section, key, support)| {
        *support == Support::Acted && limits(key) && !elsewhere.contains(section)
    });
    let acted: BTreeSet<_> = acted.map(|(section, key, _)| (section, key)).collect();
    assert_eq!(
        acted.difference(&tried).collect::<Vec<_>>(),
        [] as [&(&str, &str); 0]
    );
}

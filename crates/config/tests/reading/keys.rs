//! Every key that is said to be acted on changes the plan, and no other does.

mod cases;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use ziggurat_config::{Plan, RedisNodes, Severity, Support, keys};

use self::cases::CASES;

/// A section, a key in it and a value.
type Line = (&'static str, &'static str, &'static str);

/// Where a section stands, and in which key of it.
const NESTED: &[(&str, &str, &str)] = &[
    ("access_windows", "model_info", "access_windows"),
    ("routing_groups", "router_settings", "routing_groups"),
    (
        "routing_strategy_args",
        "router_settings",
        "routing_strategy_args",
    ),
    ("retry_policy", "router_settings", "retry_policy"),
    (
        "allowed_fails_policy",
        "router_settings",
        "allowed_fails_policy",
    ),
    ("caller", "fallbacks_for", "teams"),
    ("semantic", "cache", "semantic"),
    ("cache", "ziggurat_settings", "cache"),
    ("cache_params", "litellm_settings", "cache_params"),
    ("fallbacks_for", "ziggurat_settings", "fallbacks_for"),
    ("groups", "ziggurat_settings", "groups"),
    ("model_max_budget", "keys", "model_max_budget"),
    ("keys", "ziggurat_settings", "keys"),
    ("teams", "ziggurat_settings", "teams"),
    ("users", "ziggurat_settings", "users"),
    ("limit", "limits", "rules"),
    ("limits", "ziggurat_settings", "limits"),
    ("quotas", "ziggurat_settings", "quotas"),
    ("streams", "ziggurat_settings", "streams"),
    ("overload", "ziggurat_settings", "overload"),
    ("shutdown", "ziggurat_settings", "shutdown"),
    ("hedge", "ziggurat_settings", "hedge"),
    ("concurrency", "ziggurat_settings", "concurrency"),
    ("cooldown", "ziggurat_settings", "cooldown"),
    ("weights", "bandits", "weights"),
    ("bandits", "auto_route", "bandits"),
    ("rules", "auto_route", "rules"),
    ("splits", "auto_route", "splits"),
    ("auto_route", "ziggurat_settings", "auto_route"),
    ("affinity", "ziggurat_settings", "affinity"),
    ("mirror", "ziggurat_settings", "mirror"),
    ("redis", "ziggurat_settings", "redis"),
    ("classes", "queue", "classes"),
    ("queue", "ziggurat_settings", "queue"),
    ("retry_budget", "ziggurat_settings", "retry_budget"),
    ("webhooks", "alerts", "webhooks"),
    ("alerts", "ziggurat_settings", "alerts"),
    ("alerting_args", "general_settings", "alerting_args"),
    ("alerting_config", "router_settings", "alerting_config"),
    ("model_info", "model_list", "model_info"),
    ("litellm_params", "model_list", "litellm_params"),
    ("credential_list", "the file", "credential_list"),
    ("model_list", "the file", "model_list"),
    ("router_settings", "the file", "router_settings"),
    ("litellm_settings", "the file", "litellm_settings"),
    ("general_settings", "the file", "general_settings"),
    ("ziggurat_settings", "the file", "ziggurat_settings"),
];

/// The sections that are entries of a list.
const ENTRIES: &[&str] = &[
    "access_windows",
    "bandits",
    "classes",
    "credential_list",
    "limit",
    "quotas",
    "routing_groups",
    "rules",
    "keys",
    "splits",
    "teams",
    "users",
    "webhooks",
];

/// The sections that stand under a name, and one such.
const NAMED: &[(&str, &str)] = &[
    ("groups", "gpt"),
    ("caller", "red"),
    ("model_max_budget", "gpt"),
];

/// A small valid file with these lines added, or put in the place of what was there.
fn file(lines: &[Line]) -> String {
    let mut sections: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    let base = [
        ("model_list", "model_name", "gpt"),
        ("litellm_params", "model", "openai/m"),
        ("litellm_params", "api_base", "http://a/v1"),
        ("litellm_params", "api_key", "k"),
        ("model_group_alias", "model", "gpt"),
        ("credential_list", "credential_name", "a"),
    ];
    for (section, key, value) in base.iter().chain(lines) {
        sections
            .entry(section)
            .or_default()
            .insert(key, (*value).to_owned());
    }
    let flow = |keys: &BTreeMap<&str, String>| {
        let mut flow = String::from("{");
        for (key, value) in keys {
            write!(flow, "{key}: {value}, ").expect("a string takes all");
        }
        flow + "}"
    };
    let alias = format!("{{chat: {}}}", flow(&sections["model_group_alias"]));
    sections
        .entry("router_settings")
        .or_default()
        .entry("model_group_alias")
        .or_insert(alias);
    for (section, parent, key) in NESTED {
        if let Some(keys) = sections.get(section) {
            let mut value = flow(keys);
            if ENTRIES.contains(section) {
                let second = match *section {
                    "credential_list" => ", {credential_name: b, credential_values: {rpm: 9}}",
                    _ => "",
                };
                value = format!("[{value}{second}]");
            }
            if let Some((_, name)) = NAMED.iter().find(|(named, _)| named == section) {
                value = format!("{{{name}: {value}}}");
            }
            if *section == "model_list" {
                let second = "{model_name: backup, litellm_params: {model: groq/m, api_key: k}}";
                value = format!("[{value}, {second}]");
            }
            let parent = sections.entry(parent).or_default();
            parent.entry(key).or_insert(value);
        }
    }
    flow(&sections["the file"])
}

fn plan(lines: &[Line]) -> Plan {
    let text = file(lines);
    let environment = |name: &str| match name {
        "OPENAI_API_KEY" => Some("env".to_owned()),
        "LITELLM_ENVIRONMENT" => Some("production".to_owned()),
        "SLACK_WEBHOOK_URL" | "WEBHOOK_URL" => Some("https://hooks.example.com".to_owned()),
        _ => None,
    };
    Plan::parse(&text, "config.yaml", environment).unwrap_or_else(|e| panic!("{e}\nin {text}"))
}

/// All that a plan says, secrets included.
fn content(plan: &Plan) -> String {
    let keys = plan
        .deployments
        .iter()
        .map(|d| d.credential().map(|c| c.expose()));
    let params = ziggurat_config::keys().filter(|(section, _, _)| *section == "litellm_params");
    let params = params.flat_map(|(_, key, _)| {
        let deployments = plan.deployments.iter();
        deployments.filter_map(move |deployment| deployment.param(key))
    });
    let Plan {
        deployments,
        aliases,
        routing_groups,
        tag_filtering,
        fallbacks,
        router,
        general,
        own,
        callers,
        cache,
        alerts,
        limits,
        redis,
        ..
    } = plan;
    let webhooks = alerts.webhooks.iter().map(|webhook| webhook.url.expose());
    let hashes = callers.keys.iter().map(|key| key.hash.reveal());
    format!(
        "{:?} {:?} {callers:?} {cache:?} {alerts:?} {limits:?} {redis:?} {:?} {:?} {:?} {:?} {deployments:?} {aliases:?} {routing_groups:?} {tag_filtering:?} {fallbacks:?} {router:?} {general:?} {own:?}",
        hashes.collect::<Vec<_>>(),
        webhooks.collect::<Vec<_>>(),
        keys.collect::<Vec<_>>(),
        params.collect::<Vec<_>>(),
        plan.general.master_key.as_ref().map(|key| key.expose()),
        redis_secrets(plan),
    )
}

fn redis_secrets(plan: &Plan) -> Vec<String> {
    let Some(redis) = &plan.redis else {
        return Vec::new();
    };
    let of_sentinel = match &redis.nodes {
        RedisNodes::Sentinel { password, .. } => password.as_ref(),
        _ => None,
    };
    let both = [redis.password.as_ref(), of_sentinel].into_iter().flatten();
    both.map(|it| it.expose().to_owned()).collect()
}

#[test]
fn every_key_that_is_acted_on_changes_the_plan() {
    for (line, context) in CASES {
        let before = plan(context);
        let after = plan(&[*context, &[*line][..]].concat());
        assert_ne!(content(&before), content(&after), "{line:?}");
    }
}

/// Keys of which one value is right and changes nothing, and the others are errors.
const CHECKED: &[(&str, &str)] = &[("cache_params", "ssl_cert_reqs")];

#[test]
fn every_key_that_is_acted_on_is_tried_above() {
    let tried = CASES.iter().map(|((section, key, _), _)| (*section, *key));
    let tried: BTreeSet<_> = tried.chain(CHECKED.iter().copied()).collect();
    let acted: BTreeSet<_> = keys()
        .filter(|(_, _, support)| *support == Support::Acted)
        .map(|(section, key, _)| (section, key))
        .collect();
    assert_eq!(tried, acted);
    assert_eq!(
        tried.len(),
        CASES.len() + CHECKED.len(),
        "none is tried twice"
    );
}

#[test]
fn every_key_that_only_litellm_knows_is_a_warning_and_changes_nothing() {
    let before = content(&plan(&[]));
    for (section, key, _) in keys().filter(|(_, _, support)| *support == Support::Known) {
        let plan = plan(&[(section, key, "1")]);
        let expected = format!("`{key}` is known to LiteLLM, not acted on yet");
        let told = plan
            .warnings()
            .iter()
            .any(|warning| warning.message() == expected);
        assert!(told, "{section}.{key}: {:?}", plan.warnings());
        assert_eq!(content(&plan), before, "{section}.{key}");
    }
}

#[test]
fn every_key_that_must_not_be_ignored_is_an_error() {
    for (section, key, support) in keys() {
        if let Support::Refused(why) = support {
            let text = file(&[(section, key, "1")]);
            let problems = Plan::parse(&text, "config.yaml", |_| None).expect_err("is refused");
            let expected = format!("`{key}` {why}");
            let told = problems
                .iter()
                .any(|p| p.severity() == Severity::Error && p.message() == expected);
            assert!(told, "{problems}");
        }
    }
}

#[test]
fn no_key_stands_twice_in_a_section() {
    let all: Vec<_> = keys().map(|(section, key, _)| (section, key)).collect();
    let unique: BTreeSet<_> = all.iter().collect();
    assert_eq!(unique.len(), all.len());
}

//! Every key that is said to be acted on changes the plan, and no other does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use ziggurat_config::{Plan, Severity, Support, keys};

/// A section, a key in it and a value.
type Line = (&'static str, &'static str, &'static str);

/// The key under test, and what must hold before and after for it to matter.
#[rustfmt::skip]
const CASES: &[(Line, &[Line])] = &[
    (("the file", "environment_variables", "{OPENAI_API_KEY: other}"), &[("litellm_params", "api_key", "~")]),
    (("the file", "general_settings", "{master_key: other}"), &[]),
    (("the file", "litellm_settings", "{num_retries: 7}"), &[]),
    (("the file", "model_list", "[]"), &[("router_settings", "model_group_alias", "~")]),
    (("the file", "router_settings", "{num_retries: 7}"), &[]),
    (("the file", "ziggurat_settings", "{deadline: 7}"), &[]),
    (("model_list", "litellm_params", "{model: openai/other, api_key: k}"), &[]),
    (("model_list", "model_info", "{id: other}"), &[]),
    (("model_list", "model_name", "other"), &[("model_group_alias", "model", "backup")]),
    (("model_list", "rpm", "7"), &[]),
    (("model_list", "tpm", "7"), &[]),
    (("litellm_params", "api_base", "http://other/v1"), &[]),
    (("litellm_params", "api_key", "other"), &[]),
    (("litellm_params", "base_url", "http://other/v1"), &[("litellm_params", "api_base", "~")]),
    (("litellm_params", "cache_read_input_token_cost", "0.1"), &[]),
    (("litellm_params", "cooldown_time", "7"), &[]),
    (("litellm_params", "custom_llm_provider", "groq"), &[]),
    (("litellm_params", "extra_headers", "{x-a: b}"), &[]),
    (("litellm_params", "headers", "{x-a: b}"), &[]),
    (("litellm_params", "input_cost_per_token", "0.1"), &[]),
    (("litellm_params", "max_parallel_requests", "7"), &[]),
    (("litellm_params", "model", "openai/other"), &[]),
    (("litellm_params", "num_retries", "7"), &[]),
    (("litellm_params", "order", "7"), &[]),
    (("litellm_params", "organization", "acme"), &[]),
    (("litellm_params", "output_cost_per_token", "0.1"), &[]),
    (("litellm_params", "request_timeout", "7"), &[]),
    (("litellm_params", "rpm", "7"), &[]),
    (("litellm_params", "stream_timeout", "7"), &[]),
    (("litellm_params", "tags", "[paid]"), &[]),
    (("litellm_params", "timeout", "7"), &[]),
    (("litellm_params", "tpm", "7"), &[]),
    (("litellm_params", "weight", "7"), &[]),
    (("model_info", "blocked", "true"), &[]),
    (("model_info", "cache_read_input_token_cost", "0.1"), &[]),
    (("model_info", "cooldown_time", "7"), &[]),
    (("model_info", "first_token_timeout", "7"), &[]),
    (("model_info", "id", "other"), &[]),
    (("model_info", "idle_timeout", "7"), &[]),
    (("model_info", "input_cost_per_token", "0.1"), &[]),
    (("model_info", "max_input_tokens", "7"), &[]),
    (("model_info", "order", "7"), &[]),
    (("model_info", "output_cost_per_token", "0.1"), &[]),
    (("model_info", "rpm", "7"), &[]),
    (("model_info", "tpm", "7"), &[]),
    (("router_settings", "allowed_fails", "7"), &[]),
    (("router_settings", "content_policy_fallbacks", "[{gpt: [backup]}]"), &[]),
    (("router_settings", "context_window_fallbacks", "[{gpt: [backup]}]"), &[]),
    (("router_settings", "cooldown_time", "0.5"), &[]),
    (("router_settings", "default_fallbacks", "[backup]"), &[]),
    (("router_settings", "default_max_parallel_requests", "7"), &[]),
    (("router_settings", "default_priority", "-7"), &[]),
    (("router_settings", "disable_cooldowns", "true"), &[]),
    (("router_settings", "enable_pre_call_checks", "true"), &[]),
    (("router_settings", "enable_tag_filtering", "true"), &[]),
    (("router_settings", "fallbacks", "[{gpt: [backup]}]"), &[]),
    (("router_settings", "max_fallbacks", "7"), &[]),
    (("router_settings", "model_group_alias", "{other: gpt}"), &[]),
    (("router_settings", "num_retries", "7"), &[]),
    (("router_settings", "optional_pre_call_checks", "[enforce_model_rate_limits]"), &[]),
    (("router_settings", "retry_after", "7"), &[]),
    (("router_settings", "routing_strategy", "least-busy"), &[]),
    (("router_settings", "stream_timeout", "7"), &[]),
    (("router_settings", "tag_filtering_match_any", "false"), &[]),
    (("router_settings", "timeout", "7"), &[]),
    (("model_group_alias", "hidden", "true"), &[]),
    (("model_group_alias", "model", "backup"), &[]),
    (("litellm_settings", "allowed_fails", "7"), &[]),
    (("litellm_settings", "content_policy_fallbacks", "[{gpt: [backup]}]"), &[]),
    (("litellm_settings", "context_window_fallbacks", "[{gpt: [backup]}]"), &[]),
    (("litellm_settings", "cooldown_time", "7"), &[]),
    (("litellm_settings", "default_fallbacks", "[backup]"), &[]),
    (("litellm_settings", "fallbacks", "[{gpt: [backup]}]"), &[]),
    (("litellm_settings", "max_fallbacks", "7"), &[]),
    (("litellm_settings", "num_retries", "7"), &[]),
    (("litellm_settings", "request_timeout", "7"), &[]),
    (("general_settings", "dangerously_allow_mock_testing_request_params", "true"), &[]),
    (("general_settings", "master_key", "other"), &[]),
    (("ziggurat_settings", "connect_timeout", "7"), &[]),
    (("ziggurat_settings", "deadline", "7"), &[]),
    (("ziggurat_settings", "first_token_timeout", "7"), &[]),
    (("ziggurat_settings", "idle_timeout", "7"), &[]),
    (("ziggurat_settings", "max_attempts", "7"), &[]),
    (("ziggurat_settings", "queue", "{capacity: 7}"), &[]),
    (("ziggurat_settings", "retry_budget", "{percent: 7}"), &[]),
    (("queue", "capacity", "7"), &[]),
    (("queue", "max_waiting", "7"), &[]),
    (("retry_budget", "min_per_second", "7"), &[]),
    (("retry_budget", "percent", "7"), &[]),
];

/// Where a section stands, and in which key of it.
const NESTED: &[(&str, &str, &str)] = &[
    ("queue", "ziggurat_settings", "queue"),
    ("retry_budget", "ziggurat_settings", "retry_budget"),
    ("model_info", "model_list", "model_info"),
    ("litellm_params", "model_list", "litellm_params"),
    ("model_list", "the file", "model_list"),
    ("router_settings", "the file", "router_settings"),
    ("litellm_settings", "the file", "litellm_settings"),
    ("general_settings", "the file", "general_settings"),
    ("ziggurat_settings", "the file", "ziggurat_settings"),
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
    let environment = |name: &str| (name == "OPENAI_API_KEY").then(|| "env".to_owned());
    Plan::parse(&text, "config.yaml", environment).unwrap_or_else(|e| panic!("{e}\nin {text}"))
}

/// All that a plan says, secrets included.
fn content(plan: &Plan) -> String {
    let keys = plan
        .deployments
        .iter()
        .map(|d| d.credential().map(|c| c.expose()));
    let Plan {
        deployments,
        aliases,
        fallbacks,
        router,
        general,
        own,
        ..
    } = plan;
    format!(
        "{:?} {:?} {deployments:?} {aliases:?} {fallbacks:?} {router:?} {general:?} {own:?}",
        keys.collect::<Vec<_>>(),
        plan.general.master_key.as_ref().map(|key| key.expose()),
    )
}

#[test]
fn every_key_that_is_acted_on_changes_the_plan() {
    for (line, context) in CASES {
        let before = plan(context);
        let after = plan(&[*context, &[*line][..]].concat());
        assert_ne!(content(&before), content(&after), "{line:?}");
    }
}

#[test]
fn every_key_that_is_acted_on_is_tried_above() {
    let tried: BTreeSet<_> = CASES
        .iter()
        .map(|((section, key, _), _)| (*section, *key))
        .collect();
    let acted: BTreeSet<_> = keys()
        .filter(|(_, _, support)| *support == Support::Acted)
        .map(|(section, key, _)| (section, key))
        .collect();
    assert_eq!(tried, acted);
    assert_eq!(tried.len(), CASES.len(), "none is tried twice");
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

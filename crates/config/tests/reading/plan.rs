//! What a file without an error comes to.

use std::time::Duration;

use ziggurat_config::{Plan, Source, Strategy, Subject};

fn environment(name: &str) -> Option<String> {
    match name {
        "OPENAI_API_KEY" => Some("sk-env".to_owned()),
        "UPSTREAM" => Some("http://10.0.0.1:8000/v1".to_owned()),
        "RPM" => Some("60".to_owned()),
        "TAG" => Some("eu".to_owned()),
        _ => None,
    }
}

fn plan(text: &str) -> Plan {
    Plan::parse(text, "config.yaml", environment).unwrap_or_else(|e| panic!("{e}"))
}

fn warnings(plan: &Plan) -> Vec<String> {
    plan.warnings().iter().map(ToString::to_string).collect()
}

/// One deployment with these `litellm_params` added, without its warnings being looked at.
fn one(params: &str) -> Plan {
    plan(&format!(
        "model_list: [{{model_name: gpt, litellm_params: {{model: openai/m, {params}}}}}]"
    ))
}

const TWO: &str = r#"
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o-mini, api_base: "http://127.0.0.1:4001/v1", api_key: k, weight: 9, order: 1, tags: ["free"], timeout: 1}
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o-mini, api_base: "http://127.0.0.1:4002/v1", api_key: k, weight: 1, order: 2, tags: [paid, default], rpm: 4}
  - model_name: "openai/*"
    litellm_params: {model: "openai/*", api_base: "http://127.0.0.1:4003", api_key: k}
router_settings:
  num_retries: 0
  retry_after: 0
  cooldown_time: 3
  routing_strategy: usage-based-routing-v2
  enable_tag_filtering: true
  model_group_alias: {"chat": "gpt"}
  fallbacks: [{"gpt": ["openai/gpt-9"]}, {"*": ["gpt"]}]
  context_window_fallbacks: [{"chat": ["openai/gpt-9"]}]
general_settings: {master_key: sk-master}
"#;

#[test]
fn a_whole_file_comes_to_a_plan_without_warnings() {
    let plan = plan(TWO);
    assert_eq!(warnings(&plan), [""; 0]);
    let [a, b, wildcard] = &plan.deployments[..] else {
        panic!("three deployments");
    };
    assert_eq!(
        (a.group(), a.provider(), a.model()),
        ("gpt", "openai", "gpt-4o-mini")
    );
    assert_eq!(a.base_url(), Some("http://127.0.0.1:4001/v1"));
    assert_eq!(
        (a.weight(), a.order(), b.rpm()),
        (Some(9.0), Some(1), Some(4))
    );
    assert_eq!(a.timeouts().attempt, Some(Duration::from_secs(1)));
    assert_eq!(
        b.tags().iter().map(|tag| &**tag).collect::<Vec<_>>(),
        ["paid", "default"]
    );
    assert_eq!((wildcard.group(), wildcard.model()), ("openai/*", "*"));
    assert_eq!(plan.router.strategy, Strategy::UsageBasedV2);
    assert_eq!(plan.router.num_retries, 0);
    assert_eq!(plan.router.cooldown_time, Duration::from_secs(3));
    assert_eq!(plan.fallbacks.general.len(), 2);
    assert_eq!(&*plan.fallbacks.context_window[0].0, "chat");
    assert!(
        plan.general
            .master_key
            .as_ref()
            .is_some_and(|key| key.matches(b"sk-master"))
    );
    let snapshot = plan.snapshot();
    assert_eq!(
        snapshot.resolve("chat").map(|group| group.members().len()),
        Some(2)
    );
    assert!(snapshot.resolve("openai/anything").is_some());
}

#[test]
fn what_nobody_sets_has_the_defaults_of_litellm() {
    let plan = one("api_key: k");
    let router = &plan.router;
    assert_eq!(router.strategy, Strategy::SimpleShuffle);
    assert_eq!((router.num_retries, router.max_fallbacks), (2, 5));
    assert_eq!(router.timeout, Duration::from_secs(6000));
    assert_eq!(
        (router.retry_after, router.cooldown_time),
        (Duration::ZERO, Duration::from_secs(5))
    );
    assert!(router.tag_filtering_match_any && !router.enable_tag_filtering);
    assert!(router.allowed_fails.is_none() && plan.general.master_key.is_none());
    assert_eq!(
        plan.deployments[0].base_url(),
        Some("https://api.openai.com/v1")
    );
}

#[test]
fn an_empty_file_is_a_plan_and_a_warning() {
    for text in ["", "# nothing\n", "---\n", "model_list:\n"] {
        let told = warnings(&plan(text));
        assert_eq!(
            told,
            ["config.yaml: warning: `model_list` is empty: no model can be asked for"],
            "{text}"
        );
    }
}

#[test]
fn rpm_and_tpm_are_limits_only_where_something_enforces_them() {
    let enforced = |settings: &str| {
        let plan = plan(&format!("router_settings: {settings}"));
        (plan.enforces_rpm(), plan.enforces_tpm())
    };
    assert_eq!(enforced("{}"), (false, false));
    assert_eq!(enforced("{enable_pre_call_checks: true}"), (true, false));
    assert_eq!(
        enforced("{routing_strategy: usage-based-routing}"),
        (true, true)
    );
    assert_eq!(
        enforced("{routing_strategy: usage-based-routing-v2}"),
        (true, true)
    );
    assert_eq!(
        enforced("{optional_pre_call_checks: [enforce_model_rate_limits]}"),
        (true, true)
    );
}

#[test]
fn references_to_the_environment_are_replaced_wherever_they_stand() {
    let plan = one(
        "api_base: os.environ/UPSTREAM, rpm: os.environ/RPM, tags: [os.environ/TAG], api_key: os.environ/OPENAI_API_KEY",
    );
    let deployment = &plan.deployments[0];
    assert_eq!(deployment.base_url(), Some("http://10.0.0.1:8000/v1"));
    assert_eq!(deployment.rpm(), Some(60));
    assert_eq!(&*deployment.tags()[0], "eu");
    assert_eq!(
        deployment.credential().map(|key| key.expose()),
        Some("sk-env")
    );
}

#[test]
fn the_variables_of_the_file_win_over_those_of_the_process() {
    let text = "environment_variables: {OPENAI_API_KEY: sk-file, COPY: os.environ/OPENAI_API_KEY}\n\
        model_list:\n\
        - {model_name: a, litellm_params: {model: openai/m}}\n\
        - {model_name: b, litellm_params: {model: openai/m, api_key: os.environ/COPY}}\n";
    let plan = plan(text);
    let keys = plan
        .deployments
        .iter()
        .map(|d| d.credential().map(|key| key.expose()));
    assert_eq!(keys.collect::<Vec<_>>(), [Some("sk-file"), Some("sk-env")]);
}

#[test]
fn a_provider_gets_its_key_from_the_environment_and_a_missing_one_is_a_warning() {
    let plan = plan(
        "model_list:\n\
        - {model_name: a, litellm_params: {model: gpt-4o}}\n\
        - {model_name: b, litellm_params: {model: groq/llama}}\n\
        - {model_name: c, litellm_params: {model: hosted_vllm/llama, api_base: 'http://vllm'}}\n\
        - {model_name: d, litellm_params: {model: gpt-4o, api_base: 'http://elsewhere'}}\n",
    );
    assert_eq!(
        warnings(&plan),
        [
            "config.yaml:3:3: warning: there is no `api_key` and no environment variable `GROQ_API_KEY`: requests go without a credential",
            "config.yaml:5:3: warning: there is no `api_key`: `OPENAI_API_KEY` goes to `http://elsewhere`",
        ]
    );
    assert!(plan.deployments[0].credential().is_some());
    assert!(plan.deployments[1].credential().is_none());
    assert_eq!(
        plan.deployments[1].base_url(),
        Some("https://api.groq.com/openai/v1")
    );
}

#[test]
fn the_master_key_may_be_in_the_environment() {
    let environment = |name: &str| (name == "LITELLM_MASTER_KEY").then(|| "m".to_owned());
    let plan = Plan::parse("", "config.yaml", environment).expect("is fine");
    assert!(plan.general.master_key.is_some_and(|key| key.matches(b"m")));
}

#[test]
fn ids_do_not_depend_on_the_order_of_keys_or_on_what_may_change() {
    let id = |params: &str| one(params).deployments[0].id().clone();
    let base = id("api_base: http://a/v1, api_key: x");
    assert_eq!(base, id("api_key: x, api_base: http://a/v1"));
    assert_eq!(
        base,
        id("api_base: http://a/v1/, api_key: y, weight: 3, rpm: 5, tags: [z]")
    );
    assert_eq!(base, id("api_base: 'http://user:pass@a/v1', api_key: x"));
    assert_ne!(base, id("api_base: http://b/v1, api_key: x"));
    assert_ne!(
        base,
        id("api_base: http://a/v1, api_key: x, organization: o")
    );
    assert!(base.as_str().starts_with("gpt-"), "{base}");
}

#[test]
fn equal_deployments_are_numbered_and_given_ids_kept() {
    let plan = plan(
        "model_list:\n\
        - {model_name: gpt, litellm_params: &p {model: openai/m, api_key: k}}\n\
        - {model_name: gpt, litellm_params: *p}\n\
        - {model_name: gpt, litellm_params: *p, model_info: {id: 42}}\n\
        - {model_name: gpt, litellm_params: {<<: *p, organization: [x, y]}, model_info: {id: orgs}}\n",
    );
    let ids: Vec<_> = plan.deployments.iter().map(|d| d.id().as_str()).collect();
    let first = ids[0];
    assert_eq!(ids[1..], [&format!("{first}-2"), "42", "orgs", "orgs-2"]);
    let organization = |i: usize| plan.deployments[i].headers()[0].1.to_string();
    assert_eq!(
        (organization(3), organization(4)),
        ("x".to_owned(), "y".to_owned())
    );
}

#[test]
fn a_setting_that_has_no_effect_names_the_one_that_wins() {
    let plan = plan(
        "router_settings:\n  num_retries: 1\n  timeout: 10\n  fallbacks: []\n  max_fallbacks: 3\n\
        litellm_settings:\n  num_retries: 4\n  request_timeout: 20\n  fallbacks: []\n  max_fallbacks: 3\n\
        model_list:\n- model_name: gpt\n  rpm: 1\n  litellm_params: {model: openai/m, rpm: 2, order: 1, cooldown_time: 1}\n  model_info: {rpm: 3, order: 2, cooldown_time: 2}\n",
    );
    assert_eq!(
        warnings(&plan),
        [
            "config.yaml:7:16: warning: `litellm_settings.num_retries` has no effect: `router_settings.num_retries` in line 2 wins",
            "config.yaml:8:20: warning: `litellm_settings.request_timeout` has no effect: `router_settings.timeout` in line 3 wins",
            "config.yaml:9:14: warning: `litellm_settings.fallbacks` has no effect: `router_settings.fallbacks` in line 4 wins",
            "config.yaml:14:42: warning: `litellm_params.rpm` has no effect: `model_list.rpm` in line 13 wins",
            "config.yaml:14:70: warning: `litellm_params.cooldown_time` has no effect: `model_info.cooldown_time` in line 15 wins",
            "config.yaml:15:21: warning: `model_info.rpm` has no effect: `model_list.rpm` in line 13 wins",
            "config.yaml:15:31: warning: `model_info.order` has no effect: `litellm_params.order` in line 14 wins",
        ]
    );
    let deployment = &plan.deployments[0];
    assert_eq!((deployment.rpm(), deployment.order()), (Some(1), Some(1)));
    assert_eq!(deployment.cooldown_time(), Some(Duration::from_secs(2)));
    assert_eq!(plan.router.num_retries, 1);
}

#[test]
fn a_cooldown_of_nothing_is_the_default_and_a_warning() {
    let plan = plan("router_settings: {cooldown_time: 0}\nmodel_list: []");
    assert_eq!(plan.router.cooldown_time, Duration::from_secs(5));
    assert!(
        warnings(&plan)[1].contains("set `disable_cooldowns`"),
        "{:?}",
        warnings(&plan)
    );
}

#[test]
fn numbers_and_truth_values_may_be_quoted_and_written_as_python_takes_them() {
    let text = "router_settings: {num_retries: '3', timeout: '2.5', max_fallbacks: 1_000, allowed_fails: 4.0, enable_tag_filtering: 'True', disable_cooldowns: yes}";
    let router = plan(text).router;
    assert_eq!(
        (
            router.num_retries,
            router.max_fallbacks,
            router.allowed_fails
        ),
        (3, 1000, Some(4))
    );
    assert_eq!(router.timeout, Duration::from_millis(2500));
    assert!(router.enable_tag_filtering && router.disable_cooldowns);
}

#[test]
fn a_merge_is_overridden_by_what_stands_beside_it() {
    let plan = plan(
        "model_list:\n\
        - {model_name: a, litellm_params: &a {model: openai/m, api_key: k, rpm: 1, tpm: 1}}\n\
        - {model_name: b, litellm_params: {rpm: 2, <<: [*a, {tpm: 3, weight: 4}]}}\n",
    );
    let merged = &plan.deployments[1];
    assert_eq!(
        (merged.rpm(), merged.tpm(), merged.weight()),
        (Some(2), Some(1), Some(4.0))
    );
}

#[test]
fn a_blocked_deployment_is_kept_as_such_and_is_a_warning() {
    let plan = plan(
        "model_list:\n\
        - {model_name: gpt, litellm_params: &p {model: openai/m, api_key: k}, model_info: {blocked: true}}\n\
        - {model_name: gpt, litellm_params: *p}\n",
    );
    let blocked: Vec<_> = plan.deployments.iter().map(|d| d.is_blocked()).collect();
    assert_eq!(blocked, [true, false]);
    assert!(plan.deployments[1].id().as_str().ends_with("-2"));
    assert_eq!(
        warnings(&plan),
        ["config.yaml:2:3: warning: a deployment of `gpt` is blocked: it gets no requests"]
    );
}

#[test]
fn an_alias_may_be_hidden_lead_to_an_alias_or_hide_a_group() {
    let plan = plan(
        "model_list:\n\
        - {model_name: gpt, litellm_params: &p {model: openai/m, api_key: k}}\n\
        - {model_name: old, litellm_params: *p}\n\
        router_settings:\n  model_group_alias: {a: {model: b, hidden: true}, b: gpt, old: gpt}\n",
    );
    let snapshot = plan.snapshot();
    assert_eq!(snapshot.unalias("a"), "gpt");
    assert!(!snapshot.names().iter().any(|name| &**name == "a"));
    assert_eq!(
        warnings(&plan),
        ["config.yaml:5:60: warning: the alias `old` hides the model group of that name"]
    );
}

#[test]
fn the_explanation_tells_each_value_with_its_source_and_no_secret() {
    let plan = plan(
        "model_list:\n\
        - model_name: gpt\n  litellm_params:\n    model: openai/m\n    api_base: http://user:hunter2@a/v1\n    api_key: hunter2\n    headers: {x-key: hunter2}\n    rpm: os.environ/RPM\n\
        router_settings:\n  model_group_alias: {chat: gpt}\n  fallbacks: [{gpt: [chat]}]\n\
        general_settings: {master_key: hunter2}\n",
    );
    let explanation = plan.explanation();
    let told = explanation.to_string();
    assert!(!told.contains("hunter2"), "{told}");
    let line = |start: &str| {
        let line = told
            .lines()
            .find(|line| line.trim_start().starts_with(start));
        let words = line.expect("is told").split_whitespace();
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("config.yaml"),
        "config.yaml: 1 model groups, 1 deployments, 0 warnings"
    );
    assert_eq!(line("model  "), "model openai/m config.yaml:4");
    assert_eq!(line("api_base"), "api_base http://a/v1 config.yaml:5");
    assert_eq!(line("rpm"), "rpm 60 env RPM");
    assert_eq!(line("chat"), "chat gpt config.yaml:10");
    assert_eq!(
        line("gpt (fallbacks)"),
        "gpt (fallbacks) chat config.yaml:11"
    );
    assert_eq!(line("num_retries"), "num_retries 2 default");
    assert_eq!(line("master_key"), "master_key set config.yaml:12");
    let rpm = explanation
        .entries()
        .iter()
        .find(|entry| entry.name() == "rpm");
    let rpm = rpm.expect("is there");
    assert_eq!(
        *rpm.subject(),
        Subject::Deployment(plan.deployments[0].id().clone())
    );
    assert!(matches!(rpm.source(), Source::Env { variable, .. } if &**variable == "RPM"));
}

#[test]
fn debug_output_of_a_plan_holds_no_secret() {
    let plan = one("api_base: 'http://a/v1', api_key: hunter2");
    assert!(!format!("{plan:?}").contains("hunter2"));
}

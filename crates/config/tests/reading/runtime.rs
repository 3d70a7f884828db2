//! Changes while the router runs.

use serde_json::{Value, json};
use ziggurat_config::{Plan, Problems, Source, Strategy};
use ziggurat_core::{Deployment, Snapshot};

const FILE: &str = "environment_variables: {KEY: sk-file}\n\
    model_list:\n\
    - {model_name: gpt, litellm_params: {model: openai/m, api_key: k, silent_model: claude}}\n\
    - {model_name: claude, litellm_params: {model: openai/n, api_key: k}}\n\
    router_settings:\n  num_retries: 3\n  retry_policy: {BadRequestErrorRetries: 1, TimeoutErrorRetries: 4, DefaultRetries: 2}\n  model_group_retry_policy: {gpt: {ContentPolicyViolationErrorRetries: 1}}\n  allowed_fails_policy: {BadGatewayErrorAllowedFails: 9, InternalServerErrorAllowedFails: 8}\n  enable_weighted_failover: true\n  redis_password: hunter2\n  model_group_alias: {chat: gpt, old: {model: chat, hidden: true}}\n  fallbacks: [{gpt: [claude]}, {'*': [chat]}]\n  routing_groups: [{group_name: both, models: [gpt, claude], routing_strategy: p2c}]\n  default_litellm_params: {timeout: 30}\n  optional_pre_call_checks: [session_affinity]\n  model_group_affinity_config: {claude: []}\n  routing_strategy: latency-based-routing\n  routing_strategy_args: {ttl: 60, ttft_percentile: 0.9}\n\
    litellm_settings: {default_fallbacks: [claude], allowed_fails: 7, drop_params: true}\n\
    general_settings: {master_key: k}\n\
    ziggurat_settings: {auto_route: {splits: [{model: half, to: {both: 1}}]}}\n";

fn file() -> Plan {
    // The entry `*` and the default are the same.
    let text = FILE.replace("default_fallbacks: [claude], ", "");
    Plan::parse(&text, "config.yaml", |_| None).unwrap_or_else(|e| panic!("{e}"))
}

fn update(plan: &Plan, settings: &Value) -> Result<Plan, Problems> {
    plan.with_settings(settings.as_object().expect("is an object"))
}

fn refused(plan: &Plan, settings: &Value) -> String {
    let problems = update(plan, settings).expect_err("is refused");
    let errors = problems
        .iter()
        .filter(|it| it.severity() == ziggurat_config::Severity::Error);
    let errors: Vec<_> = errors.map(ToString::to_string).collect();
    errors.join("\n")
}

fn routing(plan: &Plan) -> String {
    let Plan {
        aliases,
        routing_groups,
        fallbacks,
        router,
        own,
        ..
    } = plan;
    format!("{aliases:?} {routing_groups:?} {fallbacks:?} {router:?} {own:?}")
}

#[test]
fn settings_are_what_makes_the_same_plan() {
    let plan = file();
    let settings = plan.settings();
    let again = update(&plan, &settings).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(again.settings(), settings);
    assert_eq!(routing(&again), routing(&plan));
    assert_eq!(settings["num_retries"], 3);
    assert_eq!(settings["default_fallbacks"], json!(["chat"]));
    assert_eq!(
        settings["model_group_alias"]["old"],
        json!({"model": "chat", "hidden": true})
    );
}

const OVERRIDES: &str = "model_list:\n\
    - {model_name: gpt, litellm_params: {model: openai/m, api_key: k}}\n\
    - {model_name: claude, litellm_params: {model: openai/n, api_key: k}}\n\
    router_settings:\n  fallbacks:\n  - gpt: [claude, &a {model: claude, api_key: canary-a, api_base: 'http://user:canary-b@a/v1/', temperature: 0.5}, {<<: *a, api_key: canary-c}, {model: gpt, messages: []}]\n  - '*': [{model: claude, extra_headers: {x-any: canary-d}}]\n";

#[test]
fn no_credential_of_a_fallback_is_shown_and_each_stays_where_it_was() {
    let plan = Plan::parse(OVERRIDES, "config.yaml", |_| None).unwrap_or_else(|e| panic!("{e}"));
    let settings = plan.settings();
    let hidden =
        json!({"model": "claude", "api_key": "***", "api_base": "http://a/v1", "temperature": 0.5});
    assert_eq!(
        settings["fallbacks"],
        json!([{"gpt": ["claude", hidden, hidden, {"model": "gpt", "messages": []}]}])
    );
    assert_eq!(
        settings["default_fallbacks"],
        json!([{"model": "claude", "extra_headers": {"x-any": "***"}}])
    );
    assert!(!format!("{settings} {}", plan.explanation()).contains("canary"));
    let debug = format!("{plan:?}");
    for secret in ["canary-a", "canary-c", "canary-d"] {
        assert!(!debug.contains(secret), "{debug}");
    }
    let again = update(&plan, &settings).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(again.fallbacks, plan.fallbacks, "credentials included");

    let updates = json!({"fallbacks": [{"gpt": [hidden]}], "default_fallbacks": null});
    let fewer = update(&again, &updates).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        fewer.fallbacks.general[0].1,
        plan.fallbacks.general[0].1[1..2]
    );
    let told = refused(&fewer, &json!({"fallbacks": [{"gpt": [hidden, hidden]}]}));
    assert!(
        told.contains("`***` stands for what settings do not show"),
        "{told}"
    );
    let elsewhere = json!({"model": "claude", "api_key": "***", "api_base": "http://evil/v1"});
    refused(&plan, &json!({"fallbacks": [{"gpt": [elsewhere]}]}));
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let plan = file();
    let updates = json!({"cooldown_time": 0.5, "num_retries": null, "fallbacks": [], "routing_strategy": "headroom"});
    let updated = update(&plan, &updates).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(updated.router.cooldown_time.as_millis(), 500);
    assert_eq!(updated.router.num_retries, 2, "null takes the key away");
    assert_eq!(updated.router.strategy, Strategy::Headroom);
    assert!(updated.fallbacks.general.is_empty());
    assert_eq!(updated.router.allowed_fails, Some(7));
    assert!(updated.router.drop_params);
    let ids = |plan: &Plan| {
        plan.deployments
            .iter()
            .map(|d| d.id().clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&updated), ids(&plan));
    let second = update(&updated, &json!({"timeout": 5})).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        second.router.cooldown_time.as_millis(),
        500,
        "updates add up"
    );

    let told = second.explanation().entries().iter();
    let told: Vec<_> = told
        .filter(|entry| entry.name() == "cooldown_time")
        .collect();
    assert_eq!(
        (told[0].value(), told[0].source()),
        ("500ms", &Source::Runtime)
    );
    let text = second.explanation().to_string();
    assert!(
        text.contains("set at run time") && text.contains("master_key"),
        "{text}"
    );
}

#[test]
fn an_update_that_is_wrong_is_refused_as_a_whole() {
    let plan = file();
    assert_eq!(
        refused(
            &plan,
            &json!({"num_retries": -1, "timeout": "soon", "retry_after": 3})
        ),
        "settings: error: `num_retries` must be a whole number, 0 or more, got -1\n\
         settings: error: `timeout` must be a number of seconds over 0, got \"soon\""
    );
    assert_eq!(
        refused(
            &plan,
            &json!({"default_litellm_params": {}, "polling_interval": 1, "enable_health_check_routing": true, "nun_retries": 1, "frobnicate": 1})
        ),
        "settings: error: `default_litellm_params` does not change while the router runs: change the file\n\
         settings: error: `enable_health_check_routing` does not change while the router runs: change the file\n\
         settings: error: unknown key `frobnicate`\n\
         settings: error: unknown key `nun_retries`; did you mean `num_retries`?\n\
         settings: error: `polling_interval` is known to LiteLLM, not acted on yet"
    );
    assert_eq!(
        refused(&plan, &json!({"model_group_alias": {}})),
        "config.yaml:13:39: error: fallback `chat` is no model group",
        "what the file says is checked again"
    );
    assert_eq!(
        refused(&plan, &json!({"routing_groups": null})),
        "config.yaml:22:62: error: auto_route: `both` is no model group"
    );
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    assert!(refused(&plan, &json!({"fallbacks": deep})).contains("nested more than 64 deep"));
}

#[test]
fn an_update_sees_the_deployments_that_the_plan_has_now() {
    let mut plan = file();
    let fallbacks = json!({"fallbacks": [{"gpt": ["new"]}]});
    assert!(refused(&plan, &fallbacks).contains("fallback `new` is no model group"));
    plan.deployments.push(Deployment::new("n", "new", "m"));
    let plan = update(&plan, &fallbacks).unwrap_or_else(|e| panic!("{e}"));
    assert!(plan.snapshot().resolve("new").is_some());
}

#[test]
fn a_strategy_can_be_named() {
    let plan = file().with_strategy("least-busy").expect("is one");
    assert_eq!(plan.router.strategy, Strategy::LeastBusy);
    let told = plan.with_strategy("least-bussy").expect_err("is none");
    assert!(told.contains("did you mean `least-busy`?"), "{told}");
}

fn added(plan: &Plan, entry: &Value) -> Result<Deployment, Problems> {
    plan.deployment(entry, &plan.snapshot(), |name| {
        (name == "LITELLM_ENVIRONMENT").then(|| "staging".to_owned())
    })
}

#[test]
fn an_entry_is_read_as_the_file_would() {
    let plan = file();
    let entry = json!({
        "model_name": "gpt",
        "litellm_params": {"model": "openai/m", "api_key": "os.environ/KEY", "silent_model": "chat", "temperature": 0},
    });
    let deployment = added(&plan, &entry).unwrap_or_else(|e| panic!("{e}"));
    let first = plan.deployments[0].id();
    assert_eq!(
        deployment.id().as_str(),
        format!("{first}-2"),
        "the id is free"
    );
    assert_eq!(
        deployment.credential().map(|key| key.expose()),
        Some("sk-file")
    );
    assert_eq!(
        deployment.timeouts().attempt.map(|time| time.as_secs()),
        Some(30)
    );
    assert_eq!(&*deployment.mirrors()[0], "chat");
    assert_eq!(deployment.default_fields()[0].name(), "temperature");
    let alone = plan.deployment(&entry, &Snapshot::default(), |_| None);
    let told = alone.expect_err("leads nowhere").to_string();
    assert_eq!(
        told,
        "deployment: error: silent_model: `chat` is no model group"
    );
}

#[test]
fn an_entry_that_is_wrong_is_refused_with_all_that_is_wrong() {
    let plan = file();
    let told = |entry: &Value| added(&plan, entry).expect_err("is refused").to_string();
    let params = json!({"model": "openai/m", "api_key": "hunter2", "weight": -1, "rmp": 3});
    assert_eq!(
        told(&json!({"litellm_params": params})),
        "deployment: error: unknown key `rmp`; did you mean `rpm`?\n\
         deployment: error: a deployment needs a `model_name`\n\
         deployment: error: `weight` must be a number, 0 or more, got -1"
    );
    let params = json!({"model": "openai/m", "api_key": "k"});
    let info = json!({"supported_environments": ["production"]});
    assert!(
        told(&json!({"model_name": "a", "litellm_params": params, "model_info": info}))
            .contains("not for this environment")
    );
    let params = json!({"model": "openai/m", "api_key": "k", "organization": ["a", "b"]});
    assert!(
        told(&json!({"model_name": "a", "litellm_params": params}))
            .contains("add one deployment for each `organization`")
    );
    assert!(told(&json!([])).contains("an entry of `model_list` must be a mapping"));
}

#[test]
fn debug_output_holds_nothing_of_the_file() {
    let shown = format!("{:?}", file());
    assert!(
        !shown.contains("hunter2") && !shown.contains("sk-file"),
        "{shown}"
    );
}

//! What a file says of routing.

use std::time::Duration;

use serde_json::json;
use ziggurat_config::{AffinityKey, AffinityKind, Plan, Source, Strategy, StrategyArgs};
use ziggurat_core::{
    Capability, Deployment, DeploymentId, FieldSet, LongContext, Mode, ServiceTier, Support,
    TagPattern, Usage,
};

fn environment(name: &str) -> Option<String> {
    match name {
        "LITELLM_ENVIRONMENT" => Some("production".to_owned()),
        "REGION" => Some("eu-west-1".to_owned()),
        _ => None,
    }
}

fn plan(text: &str) -> Plan {
    Plan::parse(text, "config.yaml", environment).unwrap_or_else(|e| panic!("{e}"))
}

fn warnings(plan: &Plan) -> Vec<String> {
    let warnings = plan.warnings().iter();
    warnings.map(ToString::to_string).collect()
}

/// One deployment with these `litellm_params` and `model_info`.
fn one(params: &str, info: &str) -> Deployment {
    let plan = plan(&format!(
        "model_list: [{{model_name: gpt, litellm_params: {{model: openai/m, api_key: k, {params}}}, model_info: {{{info}}}}}]"
    ));
    plan.deployments[0].clone()
}

/// The value and the source of an entry of the explanation.
fn told<'a>(plan: &'a Plan, name: &str) -> (&'a str, &'a Source) {
    let mut entries = plan.explanation().entries().iter();
    let entry = entries.find(|entry| entry.name() == name);
    let entry = entry.unwrap_or_else(|| panic!("`{name}` is told"));
    (entry.value(), entry.source())
}

const GROUPS: &str = "model_list:\n\
    - {model_name: gpt, litellm_params: {model: openai/m, api_key: k}}\n\
    - {model_name: claude, litellm_params: {model: openai/n, api_key: k}}\n";

#[test]
fn the_first_key_of_a_region_counts() {
    let region = |params| one(params, "").region().map(ToOwned::to_owned);
    assert_eq!(
        region("aws_region_name: os.environ/REGION").as_deref(),
        Some("eu-west-1")
    );
    assert_eq!(
        region("vertex_location: us, region_name: eu").as_deref(),
        Some("eu")
    );
}

#[test]
fn what_the_model_is_may_be_said() {
    let model = one(
        "cache_creation_input_token_cost: 4, input_cost_per_token_above_200k_tokens: 6, cache_read_input_token_cost_above_200k_tokens: 7",
        "mode: embedding, max_tokens: 9, supports_vision: false, supports_function_calling: true, supported_openai_params: [temperature, top_p, frobnicate], output_cost_per_reasoning_token: 5, output_cost_per_token_above_200k_tokens: 8",
    );
    assert_eq!(model.mode(), Some(Mode::Embedding));
    assert_eq!(model.max_output_tokens(), Some(9));
    let capabilities = model.capabilities();
    assert_eq!(capabilities.get(Capability::Vision), Support::No);
    assert_eq!(capabilities.get(Capability::Tools), Support::Yes);
    assert_eq!(capabilities.get(Capability::Pdf), Support::Unknown);
    let fields = ["temperature", "top_p"].into_iter().collect::<FieldSet>();
    assert_eq!(model.fields(), Some(fields));
    let prices = model.prices();
    assert_eq!(
        (prices.cache_write, prices.reasoning),
        (Some(4.0), Some(5.0))
    );
    let long = LongContext {
        above: 200_000,
        input: Some(6.0),
        output: Some(8.0),
        cached_input: Some(7.0),
        ..LongContext::default()
    };
    assert_eq!(prices.long, Some(long));
}

#[test]
fn the_catalog_says_what_the_file_does_not() {
    let text = "model_list:\n\
        - {model_name: a, litellm_params: {model: gpt-4o, api_key: k}, model_info: {max_input_tokens: 7, supports_vision: false}}\n\
        - {model_name: b, litellm_params: {model: openai/mine, api_key: k, base_model: gpt-4o}}\n\
        - {model_name: c, litellm_params: {model: openai/mine, api_key: k}, model_info: {base_model: unheard-of}}\n";
    let plan = plan(text);
    let [own, based, unknown] = &plan.deployments[..] else {
        panic!("three deployments");
    };
    assert_eq!(own.max_input_tokens(), Some(7));
    assert_eq!(own.capabilities().get(Capability::Vision), Support::No);
    assert_eq!(own.capabilities().get(Capability::Tools), Support::Yes);
    assert_eq!(based.max_input_tokens(), Some(128_000));
    assert_eq!(based.mode(), Some(Mode::Chat));
    assert!(based.prices().input.is_some_and(|price| price > 0.0));
    assert_eq!(unknown.max_input_tokens(), None);
    assert_eq!(
        warnings(&plan),
        ["config.yaml:4:94: warning: the catalog has no model `unheard-of`"]
    );
    assert_eq!(
        told(&plan, "max_output_tokens"),
        ("16384", &Source::Catalog)
    );
    assert!(plan.explanation().to_string().contains("  catalog\n"));
}

#[test]
fn prices_of_all_units_and_classes_of_service_may_be_said() {
    let model = one(
        "cache_creation_input_token_cost_above_1hr: 1, input_cost_per_audio_token: 2, input_cost_per_second: 3, input_cost_per_query: 4, input_cost_per_image: 5, input_cost_per_token_flex: 6",
        "output_cost_per_token_flex: 7, input_cost_per_request: 8",
    );
    let prices = model.prices();
    let units = &prices.units;
    let read = [
        prices.cache_write_1h,
        units.audio_input,
        units.second,
        units.query,
        units.image,
        units.request,
    ];
    assert_eq!(read, [1.0, 2.0, 3.0, 4.0, 5.0, 8.0].map(Some));
    let flex = model.tier_prices(ServiceTier::Flex).expect("has some");
    assert_eq!((flex.input, flex.output), (Some(6.0), Some(7.0)));
    assert_eq!(model.tier_prices(ServiceTier::Batch), None);
}

#[test]
fn what_the_file_bills_by_another_unit_is_not_billed_by_the_tokens_of_the_catalog() {
    let deployment = |params: &str| {
        let text = format!(
            "model_list: [{{model_name: a, litellm_params: {{model: gpt-4o-transcribe, api_key: k{params}}}}}]"
        );
        plan(&text).deployments[0].clone()
    };
    let usage = Usage {
        audio_time: Some(std::time::Duration::from_secs(10)),
        ..Usage::new(1_000, 100)
    };
    let cost = |params: &str| {
        let cost = deployment(params).cost(&usage);
        cost.map(|cost| cost.to_string())
    };
    // 1,000 × 2.5 + 100 × 10 millionths; then 10 × 0.5.
    assert_eq!(cost("").as_deref(), Some("0.0035"));
    assert_eq!(cost(", input_cost_per_second: 0.5").as_deref(), Some("5"));
}

#[test]
fn classes_of_service_of_the_catalog_hold_unless_the_file_has_prices() {
    let deployment = |params: &str| {
        let text = format!(
            "model_list: [{{model_name: a, litellm_params: {{model: gpt-5, api_key: k{params}}}}}]"
        );
        plan(&text).deployments[0].clone()
    };
    let listed = deployment("");
    let flex = listed.tier_prices(ServiceTier::Flex).expect("is listed");
    assert!(flex.input < listed.prices().input);
    let own = deployment(", input_cost_per_token: 1");
    assert_eq!(own.tier_prices(ServiceTier::Flex), None);
}

#[test]
fn a_price_keeps_out_the_discounts_of_the_catalog() {
    let prices = |params: &str| {
        let text = format!(
            "model_list: [{{model_name: a, litellm_params: {{model: gpt-4o, api_key: k, {params}}}}}]"
        );
        *plan(&text).deployments[0].prices()
    };
    let listed = prices("");
    assert!(listed.cached_input.is_some());
    let free = prices("input_cost_per_token: 0");
    assert_eq!((free.input, free.cached_input), (Some(0.0), None));
    assert_eq!(free.output, listed.output);
}

#[test]
fn fields_of_requests_are_filled_in_as_json() {
    let deployment = one(
        "temperature: 0.2, stop: ['1', two], seed: 7, tools: [{type: function, function: {name: f, strict: true}}], user: null, extra_body: {a: 1}",
        "",
    );
    let fields: Vec<_> = deployment.default_fields().iter().collect();
    let names: Vec<_> = fields.iter().map(|field| field.name()).collect();
    assert_eq!(names, ["temperature", "stop", "seed", "tools"]);
    let values = [
        json!(0.2),
        json!(["1", "two"]),
        json!(7),
        json!([{"type": "function", "function": {"name": "f", "strict": true}}]),
    ];
    for (field, value) in fields.into_iter().zip(values) {
        let expected = ziggurat_core::DefaultField::new(field.name(), &value);
        assert_eq!(Some(field.clone()), expected);
    }
}

#[test]
fn who_may_use_a_deployment_may_be_said() {
    let deployment = one(
        "tags: [paid], tag_regex: '^User-Agent: curl', configurable_clientside_auth_params: [api_key, api_base]",
        "team_id: red, team_public_model_name: big, access_groups: [beta], access_windows: [{start: '22:00', end: '06:30', timezone: europe/berlin, team_ids: [blue]}]",
    );
    assert_eq!(deployment.team(), Some("red"));
    assert_eq!(deployment.team_model().map(|name| &**name), Some("big"));
    assert_eq!(&*deployment.access_groups()[0], "beta");
    assert!(deployment.allows_client_credentials());
    let pattern = TagPattern::new("^User-Agent: curl").expect("is an expression");
    assert_eq!(deployment.tag_patterns(), [pattern]);
    let window = &deployment.access_windows()[0];
    assert_eq!(window.time_zone(), "Europe/Berlin");
    assert!(
        window.contains(23 * 60) && window.contains(6 * 60 + 29) && !window.contains(6 * 60 + 30)
    );
    assert_eq!(&*window.teams()[0], "blue");
}

#[test]
fn a_deployment_for_another_environment_is_left_out_and_its_group_is_known() {
    let text = "model_list:\n\
        - {model_name: gpt, litellm_params: &p {model: openai/m, api_key: k}, model_info: {supported_environments: [production, staging]}}\n\
        - {model_name: lab, litellm_params: *p, model_info: {supported_environments: [development]}}\n\
        router_settings: {fallbacks: [{gpt: [lab]}]}\n";
    let here = plan(text);
    assert_eq!(here.deployments.len(), 1);
    assert_eq!(
        warnings(&here),
        ["config.yaml:3:78: warning: a deployment is left out: it is not for `production`"]
    );
    let anywhere = Plan::parse(text, "config.yaml", |_| None).expect("is fine");
    assert_eq!(anywhere.deployments.len(), 2);
    let elsewhere = Plan::parse(text, "config.yaml", |name| {
        (name == "LITELLM_ENVIRONMENT").then(|| "prod".to_owned())
    });
    let told = elsewhere.expect_err("is no environment").to_string();
    assert!(
        told.contains("`LITELLM_ENVIRONMENT` is `prod`; use one of"),
        "{told}"
    );
}

#[test]
fn mirrors_may_be_one_name_or_several_and_lead_to_groups() {
    let text = "model_list:\n\
        - {model_name: gpt, litellm_params: {model: openai/m, api_key: k, silent_model: [chat, lab]}}\n\
        - {model_name: lab, litellm_params: {model: openai/m, api_key: k, silent_model: gpt}}\n\
        router_settings: {model_group_alias: {chat: gpt}}\n";
    let plan = plan(text);
    let mirrors = |i: usize| plan.deployments[i].mirrors().iter().map(|name| &**name);
    assert!(mirrors(0).eq(["chat", "lab"]) && mirrors(1).eq(["gpt"]));
}

#[test]
fn default_params_hold_where_a_deployment_says_nothing() {
    let plan = plan(
        "model_list:\n\
        - {model_name: a, litellm_params: {model: openai/m, api_key: k}}\n\
        - {model_name: b, rpm: 2, litellm_params: {model: openai/m, api_key: k, request_timeout: 3, temperature: 1}, model_info: {order: 4, max_tokens: 9, cooldown_time: ~}}\n\
        router_settings:\n  default_litellm_params: {timeout: 30, rpm: 100, order: 1, temperature: 0, max_tokens: 5, cooldown_time: 8, max_retries: 3}\n",
    );
    let [a, b] = &plan.deployments[..] else {
        panic!("two deployments");
    };
    let seconds = |n| Some(Duration::from_secs(n));
    let field = |deployment: &Deployment, name: &str| {
        let mut fields = deployment.default_fields().iter();
        fields.find(|field| field.name() == name).cloned()
    };
    let value = |name: &str, value| ziggurat_core::DefaultField::new(name, &json!(value));
    assert_eq!(
        (a.timeouts().attempt, a.rpm(), a.order()),
        (seconds(30), Some(100), Some(1))
    );
    assert_eq!(
        (b.timeouts().attempt, b.rpm(), b.order()),
        (seconds(3), Some(2), Some(4))
    );
    assert_eq!(
        (a.cooldown_time(), b.cooldown_time()),
        (seconds(8), seconds(8))
    );
    assert_eq!(field(a, "temperature"), value("temperature", 0));
    assert_eq!(field(b, "temperature"), value("temperature", 1));
    assert_eq!(field(b, "max_tokens"), value("max_tokens", 5));
    assert_eq!(
        warnings(&plan),
        ["config.yaml:5:110: warning: `max_retries` is known to LiteLLM, not acted on yet"]
    );
    let (_, source) = told(&plan, "timeout");
    assert!(matches!(source, Source::File { line: 5, .. }), "{source:?}");
}

#[test]
fn default_params_cannot_multiply_long_texts() {
    let deployments = "- {model_name: a, litellm_params: {model: m, api_key: k}}\n".repeat(2000);
    let text = format!(
        "model_list:\n{deployments}router_settings: {{default_litellm_params: {{user: {}}}}}\n",
        "x".repeat(1 << 20)
    );
    let problems = Plan::parse(&text, "config.yaml", environment).expect_err("is too much");
    assert!(problems.to_string().contains("more than 500000 values"));
}

#[test]
fn every_strategy_has_a_name() {
    for strategy in Strategy::all() {
        let plan = plan(&format!(
            "{GROUPS}router_settings: {{routing_strategy: {strategy}}}"
        ));
        assert_eq!(plan.router.strategy, strategy);
    }
    let budgets = plan(&format!(
        "{GROUPS}router_settings: {{routing_strategy: provider-budget-routing}}"
    ));
    assert_eq!(budgets.router.strategy, Strategy::SimpleShuffle);
    assert!(warnings(&budgets)[0].contains("`provider_budget_config`"));
}

#[test]
fn a_routing_group_unites_groups_under_a_strategy() {
    let plan = plan(&format!(
        "{GROUPS}router_settings:\n  routing_strategy: affinity\n  routing_strategy_args: {{load_factor: 1.25, key: prompt}}\n  model_group_alias: {{best: tiers}}\n  fallbacks: [{{gpt: [both]}}]\n  \
        routing_groups:\n  - {{group_name: both, models: [gpt, claude], routing_strategy: p2c, routing_strategy_args: {{decay: 10}}}}\n  - {{group_name: tiers, models: [claude, gpt], model_priorities: {{claude: 1, gpt: 2}}}}\n"
    ));
    let of = |group| {
        let (strategy, args) = plan.strategy_of(group);
        (strategy, args.decay, args.load_factor, args.key)
    };
    let decay = Some(Duration::from_secs(10));
    assert_eq!(of("gpt"), (Strategy::P2c, decay, None, None));
    assert_eq!(of("both"), of("gpt"));
    let router = (
        Strategy::Affinity,
        None,
        Some(1.25),
        Some(AffinityKey::Prompt),
    );
    assert_eq!(
        of("tiers"),
        router,
        "what it does not say it has from the router"
    );
    assert_eq!(of("other"), router);
    let snapshot = plan.snapshot();
    let group = snapshot.resolve("best").expect("the alias leads to it");
    let orders = group.members().iter().map(|member| member.order());
    assert!(orders.eq([Some(1), Some(2)]));
    assert_eq!(told(&plan, "both").0, "p2c of gpt, claude");
    assert_eq!(told(&plan, "tiers").0, "affinity of claude (1), gpt (2)");
}

#[test]
fn affinities_hold_for_all_groups_or_for_one() {
    let plan = plan(&format!(
        "{GROUPS}router_settings:\n  optional_pre_call_checks: [session_affinity, prompt_caching, enforce_model_rate_limits]\n  deployment_affinity_ttl_seconds: 60\n  model_group_affinity_config: {{claude: [deployment_affinity]}}\n"
    ));
    let affinity = &plan.router.affinity;
    assert_eq!(
        affinity.of("gpt"),
        [AffinityKind::Session, AffinityKind::PromptCaching]
    );
    assert_eq!(affinity.of("claude"), [AffinityKind::Deployment]);
    assert_eq!(affinity.ttl, Duration::from_secs(60));
    assert!(plan.router.enforce_model_rate_limits && !affinity.is_off());
    assert!(self::plan(GROUPS).router.affinity.is_off());
}

#[test]
fn a_group_may_say_by_one_deployment_whether_tags_choose() {
    let plan = plan(
        "model_list:\n\
        - {model_name: gpt, litellm_params: &p {model: openai/m, api_key: k}, model_info: {enable_tag_filtering: true}}\n\
        - {model_name: gpt, litellm_params: *p, model_info: {enable_tag_filtering: false}}\n",
    );
    let said: Vec<_> = plan
        .tag_filtering
        .iter()
        .map(|(group, on)| (&**group, *on))
        .collect();
    assert_eq!(said, [("gpt", true)]);
    assert!(warnings(&plan)[0].contains("another deployment of `gpt` says otherwise first"));
}

#[test]
fn names_of_auto_routing_can_be_asked_for() {
    let plan = plan(&format!(
        "{GROUPS}ziggurat_settings:\n  auto_route:\n    rules:\n    - {{name: long, models: [auto, 'smart*'], min_input_tokens: 50000, images: true, tools: false, to: claude}}\n    bandits:\n    - {{model: learned, among: [gpt, claude], weights: {{cost: 0.3}}, explore: 0.05}}\n    splits:\n    - {{model: half, to: {{gpt: 90, claude: 10}}}}\n\
        router_settings:\n  model_group_alias: {{best: smart-1}}\n  fallbacks: [{{auto: [gpt]}}, {{half: [claude]}}]\n"
    ));
    assert_eq!(warnings(&plan), [""; 0]);
    let auto = &plan.own.auto_route;
    let models: Vec<_> = auto.models().map(|name| &**name).collect();
    assert_eq!(models, ["auto", "smart*", "learned", "half"]);
    let rule = &auto.rules[0];
    assert!(rule.needs.contains(Capability::Vision) && rule.lacks.contains(Capability::Tools));
    assert_eq!((rule.min_input_tokens, &*rule.to), (Some(50_000), "claude"));
    assert_eq!(auto.bandits[0].weights.cost, Some(0.3));
    assert_eq!(auto.splits[0].to[1].1, 10.0);
    assert_eq!(told(&plan, "split half").0, "gpt 90 %, claude 10 %");
}

#[test]
fn a_blocked_deployment_is_in_the_snapshot() {
    let plan = plan(
        "model_list: [{model_name: gpt, litellm_params: {model: openai/m, api_key: k}, model_info: {id: a, blocked: true}}]",
    );
    let snapshot = plan.snapshot();
    let deployment = snapshot.get(&DeploymentId::new("a")).expect("is kept");
    assert!(deployment.is_blocked());
}

#[test]
fn arguments_are_none_where_nobody_says_anything() {
    assert_eq!(plan(GROUPS).router.strategy_args, StrategyArgs::default());
}

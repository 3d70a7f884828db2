//! What a file says of failures.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use serde_json::json;
use ziggurat_config::{
    CallerName, FirstTokenSetting, GroupSettings, HoldBackSetting, OnBreakSetting, Plan, Source,
};
use ziggurat_core::{
    Capability, Clock, ConcurrencyMode, ErrorKind, FallbackTarget, LlmRequest, Redirect, Support,
};

const GROUPS: &str = "model_list:\n\
    - {model_name: gpt, litellm_params: {model: openai/m, api_key: k}}\n\
    - {model_name: claude, litellm_params: {model: openai/n, api_key: k}}\n\
    - {model_name: 'openai/*', litellm_params: {model: 'openai/*', api_key: k}}\n";

fn environment(name: &str) -> Option<String> {
    (name == "KEY").then(|| "sk-env".to_owned())
}

fn plan(text: &str) -> Plan {
    let text = format!("{GROUPS}{text}");
    Plan::parse(&text, "config.yaml", environment).unwrap_or_else(|e| panic!("{e}"))
}

fn warnings(plan: &Plan) -> Vec<String> {
    plan.warnings().iter().map(ToString::to_string).collect()
}

/// The value and the source of an entry of the explanation.
fn told<'a>(plan: &'a Plan, name: &str) -> (&'a str, &'a Source) {
    let mut entries = plan.explanation().entries().iter();
    let entry = entries.find(|entry| entry.name() == name);
    let entry = entry.unwrap_or_else(|| panic!("`{name}` is told"));
    (entry.value(), entry.source())
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What a policy says of some kinds.
fn of<const N: usize>(numbers: &[(ErrorKind, u32)], kinds: [ErrorKind; N]) -> [Option<u32>; N] {
    kinds.map(|kind| {
        let found = numbers.iter().find(|(it, _)| *it == kind);
        found.map(|(_, number)| *number)
    })
}

#[test]
fn a_field_of_a_retry_policy_holds_for_the_kinds_that_come_closest() {
    use ErrorKind::{
        BadAnswer, BadRequest, Connect, ContentPolicy, ContextWindow, Internal, Overloaded,
        Permission, StreamBroken, Timeout, Unavailable, Unprocessable,
    };
    let plan = plan(
        "router_settings: {retry_policy: {BadRequestErrorRetries: 1, TimeoutErrorRetries: 2, InternalServerErrorRetries: 3, ServiceUnavailableErrorRetries: '4', NotFoundErrorRetries: ~, DefaultRetries: 0}}",
    );
    let policy = &plan.router.retry_policy;
    assert_eq!(policy.default, Some(0));
    let by_kind = &policy.by_kind;
    assert_eq!(
        of(
            by_kind,
            [BadRequest, Unprocessable, ContextWindow, ContentPolicy]
        ),
        [Some(1); 4]
    );
    let clocks = [
        Clock::Connect,
        Clock::FirstToken,
        Clock::Idle,
        Clock::Attempt,
    ];
    assert_eq!(of(by_kind, clocks.map(Timeout)), [Some(2); 4]);
    assert_eq!(
        of(by_kind, [Internal, Connect, StreamBroken, BadAnswer]),
        [Some(3); 4]
    );
    assert_eq!(of(by_kind, [Unavailable, Overloaded]), [Some(4); 2]);
    assert_eq!(
        of(
            by_kind,
            [Timeout(Clock::Total), Permission, ErrorKind::NotFound]
        ),
        [None; 3]
    );
    let (told, source) = told(&plan, "retry_policy");
    assert!(
        told.starts_with("bad_request 1, ") && told.ends_with(", others 0"),
        "{told}"
    );
    assert!(matches!(source, Source::File { line: 5, .. }));
}

#[test]
fn a_nearer_class_wins_and_a_group_has_a_policy_of_its_own() {
    let plan = plan(
        "router_settings:\n  retry_policy: {BadRequestErrorRetries: 1}\n  model_group_retry_policy: {gpt: {BadRequestErrorRetries: 1, ContentPolicyViolationErrorRetries: 2}, openai/x: {}}\n  \
        allowed_fails_policy: {InternalServerErrorAllowedFails: 5, BadGatewayErrorAllowedFails: 6}\n",
    );
    let [(gpt, policy), (wild, empty)] = &plan.router.group_retry_policies[..] else {
        panic!("two groups");
    };
    assert_eq!((&**gpt, &**wild), ("gpt", "openai/x"));
    let content = [ErrorKind::ContentPolicy, ErrorKind::ContextWindow];
    assert_eq!(of(&policy.by_kind, content), [Some(2), Some(1)]);
    assert_eq!((empty.by_kind.len(), empty.default), (0, None));
    let internal = [ErrorKind::Internal, ErrorKind::StreamBroken];
    assert_eq!(
        of(&plan.router.allowed_fails_policy, internal),
        [Some(5), Some(6)]
    );
    let ours = told(&plan, "retry_policy of gpt").0;
    assert_eq!(
        ours,
        "bad_request 1, context_window 1, content_policy 2, unprocessable 1"
    );
    assert_eq!(warnings(&plan), [""; 0]);
}

#[test]
fn a_deployment_may_say_how_it_fails_and_how_its_health_is_checked() {
    let plan = Plan::parse(
        "model_list: [{model_name: gpt, litellm_params: {model: openai/m, api_key: k, mock_response: 'hello'}, model_info: {allowed_fails: 0, allowed_fails_policy: {RateLimitErrorAllowedFails: 9}, accept_any_answer: true, supports_continuation: true, health_check_model: small, health_check_timeout: 5, health_check_max_tokens: 3, health_check_params: {temperature: 0}, disable_background_health_check: true}}]",
        "config.yaml",
        |_| None,
    );
    let plan = plan.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(warnings(&plan), [""; 0]);
    let deployment = &plan.deployments[0];
    assert_eq!(deployment.allowed_fails(), Some(0));
    assert_eq!(deployment.allowed_fails_of(), [(ErrorKind::RateLimited, 9)]);
    assert_eq!(deployment.mock_response().map(|it| &**it), Some("hello"));
    assert!(deployment.takes_any_answer());
    let continues = deployment.capabilities().get(Capability::Continuation);
    assert_eq!(continues, Support::Yes);
    let check = deployment.health_check();
    assert_eq!(check.model.as_deref(), Some("small"));
    assert_eq!(
        (check.timeout, check.max_tokens),
        (Some(seconds(5)), Some(3))
    );
    assert_eq!(json!(check.params), json!({"temperature": 0}));
    assert!(check.disabled);
    assert_eq!(told(&plan, "allowed_fails_policy").0, "rate_limited 9");
    assert_eq!(told(&plan, "mock_response").0, "set");
}

#[test]
fn a_fallback_may_override_what_a_request_says() {
    let plan = plan(
        "router_settings:\n  fallbacks:\n  - gpt: [{model: gpt, temperature: 0, messages: [{role: user, content: short}]}, {model: claude, api_key: os.environ/KEY, api_base: 'http://a/v1/'}, {model: claude}, claude, {model: claude, temperature: 1}, gpt, {model: claude, temperature: 1}]\n",
    );
    let targets = &plan.fallbacks.general[0].1;
    let groups: Vec<_> = targets.iter().map(|target| &**target.group()).collect();
    assert_eq!(groups, ["gpt", "claude", "claude", "claude"]);
    let first = targets[0].overrides().expect("has some");
    assert_eq!(first.fields()["temperature"], 0);
    let second = targets[1].overrides().expect("has some");
    let sent = LlmRequest::chat("gpt", "hi").with_overrides(second);
    let client = sent.expect("applies").controls().client.clone();
    let client = client.expect("is set");
    assert_eq!(client.base_url.as_deref(), Some("http://a/v1"));
    assert!(client.api_key.is_some_and(|key| key.matches(b"sk-env")) && client.is_owners);
    assert_eq!(targets[2], FallbackTarget::new("claude"));
    let told_twice = warnings(&plan);
    assert_eq!(told_twice.len(), 3, "{told_twice:?}");
    assert!(told_twice[0].contains("`claude` stands twice"));
    assert!(told_twice[1].contains("`gpt` is no fallback for itself"));
    assert_eq!(
        told(&plan, "gpt (fallbacks)").0,
        "gpt with messages and temperature, claude with api_base and api_key, claude, claude with temperature"
    );
}

#[test]
fn a_caller_may_have_fallbacks_of_its_own() {
    let plan = plan(
        "ziggurat_settings:\n  fallbacks_for:\n    keys: {batch: {context_window_fallbacks: [{gpt: [claude]}]}}\n    teams: {red: {fallbacks: [{gpt: [{model: claude, seed: 1}]}], default_fallbacks: [gpt]}, blue: {}}\n",
    );
    let [(red, maps), (blue, none), (batch, windows)] = &plan.own.fallbacks_for[..] else {
        panic!("three callers");
    };
    assert_eq!(*red, CallerName::Team(Arc::from("red")));
    assert_eq!(*blue, CallerName::Team(Arc::from("blue")));
    assert_eq!(*batch, CallerName::Key(Arc::from("batch")));
    let keys: Vec<_> = maps.general.iter().map(|(group, _)| &**group).collect();
    assert_eq!(keys, ["gpt", "*"]);
    assert_eq!(windows.context_window[0].1, [FallbackTarget::new("claude")]);
    assert!(none.general.is_empty());
    assert_eq!(
        told(&plan, "gpt (fallbacks of team red)").0,
        "claude with seed"
    );
}

#[test]
fn streams_are_what_is_said_of_them_or_have_defaults() {
    let first_token = |text: &str| plan(text).own.first_token;
    assert_eq!(first_token(""), FirstTokenSetting::Auto);
    let says = |value: &str| {
        first_token(&format!(
            "ziggurat_settings: {{first_token_timeout: {value}}}"
        ))
    };
    assert_eq!(says("auto"), FirstTokenSetting::Auto);
    assert_eq!(says("off"), FirstTokenSetting::Off);
    assert_eq!(
        says("'2.5'"),
        FirstTokenSetting::After(Duration::from_millis(2500))
    );

    let default = plan("").own.streams;
    assert_eq!(default.on_break, OnBreakSetting::Continue);
    assert_eq!(default.hold_back, None);
    assert_eq!(default.keep_alive, Some(seconds(15)));
    assert!(!default.drain_on_cancel);
    let streams = |text: &str| {
        plan(&format!("ziggurat_settings: {{streams: {text}}}"))
            .own
            .streams
    };
    let set = streams("{on_break: fail, hold_back: 20, keep_alive: off, drain_on_cancel: on}");
    assert_eq!(set.on_break, OnBreakSetting::Fail);
    assert_eq!(set.hold_back, Some(HoldBackSetting::Events(20)));
    assert_eq!(set.keep_alive, None);
    assert!(set.drain_on_cancel);
    assert_eq!(
        streams("{hold_back: all}").hold_back,
        Some(HoldBackSetting::All)
    );
    for nothing in ["0", "off", "none", "false"] {
        let streams = streams(&format!("{{hold_back: {nothing}}}"));
        assert_eq!(streams.hold_back, None, "{nothing}");
    }
}

#[test]
fn what_a_gateway_bears_and_how_it_ends_can_be_said() {
    let default = plan("").own;
    let overload = default.overload;
    assert_eq!(overload.body_timeout, Some(seconds(30)));
    assert_eq!((overload.body_bytes, overload.connections), (None, None));
    assert_eq!(overload.connections_per_address, None);
    assert_eq!(
        (default.shutdown.grace, default.shutdown.limit),
        (None, None)
    );

    let plan = plan(
        "ziggurat_settings:\n  overload: {body_bytes: 1000, body_timeout: off, connections: 20, connections_per_address: 3}\n  shutdown: {grace: 0, limit: 2.5}\n",
    );
    let (overload, shutdown) = (plan.own.overload, plan.own.shutdown);
    assert_eq!(overload.body_bytes, Some(1000));
    assert_eq!(overload.body_timeout, None);
    assert_eq!(overload.connections, Some(20));
    assert_eq!(overload.connections_per_address, Some(3));
    assert_eq!(shutdown.grace, Some(seconds(0)));
    assert_eq!(shutdown.limit, Some(Duration::from_millis(2500)));
    assert_eq!(told(&plan, "overload.connections").0, "20");
    assert_eq!(told(&plan, "shutdown.limit").0, "2.5s");
}

#[test]
fn a_group_may_differ_from_the_others() {
    let plan = plan(
        "ziggurat_settings:\n  groups:\n    gpt: {timeout: 1, stream_timeout: 2, first_token_timeout: 3, idle_timeout: 4, on_break: fail, hold_back: off, hedge: false}\n    'openai/*': {hedge: on}\n    '*': {}\n",
    );
    let [(gpt, ours), (wild, hedged), (rest, nothing)] = &plan.own.groups[..] else {
        panic!("three groups");
    };
    assert_eq!((&**gpt, &**wild, &**rest), ("gpt", "openai/*", "*"));
    let clocks = ours.timeouts;
    let all = [
        clocks.attempt,
        clocks.stream,
        clocks.first_token,
        clocks.idle,
    ];
    assert_eq!(all, [1, 2, 3, 4].map(|n| Some(seconds(n))));
    assert_eq!(ours.on_break, Some(OnBreakSetting::Fail));
    assert_eq!(ours.hold_back, Some(HoldBackSetting::Events(0)));
    assert_eq!((ours.hedge, hedged.hedge), (Some(false), Some(true)));
    assert_eq!(*nothing, GroupSettings::default());
    assert_eq!(told(&plan, "timeout of gpt").0, "1s");
}

#[test]
fn hedging_is_off_unless_it_is_turned_on() {
    let hedge = |text: &str| plan(&format!("ziggurat_settings: {text}")).own.hedge;
    assert_eq!(hedge("{}"), None);
    assert_eq!(hedge("{hedge: off}"), None);
    for on in ["{hedge: {}}", "{hedge: on}"] {
        let hedge = hedge(on).expect("is on");
        assert_eq!(
            (hedge.percentile, hedge.budget, hedge.min_delay),
            (95.0, 5.0, None)
        );
    }
    let set = hedge("{hedge: {percentile: 50, budget: 100, min_delay: 0.5}}").expect("is on");
    assert_eq!((set.percentile, set.budget), (50.0, 100.0));
    assert_eq!(set.min_delay, Some(Duration::from_millis(500)));
}

#[test]
fn cooldowns_leave_to_the_layer_what_nobody_says() {
    let cooldown = plan("ziggurat_settings: {cooldown: {failure_share: 1, slow_start: 0}}")
        .own
        .cooldown;
    assert_eq!(cooldown.failure_share, Some(1.0));
    assert_eq!(cooldown.slow_start, Some(Duration::ZERO), "is turned off");
    assert_eq!(
        (
            cooldown.min_requests,
            cooldown.window,
            cooldown.max_retry_after
        ),
        (None, None, None)
    );
}

#[test]
fn what_may_be_in_flight_is_a_number_a_mode_or_both() {
    let of_all = |text: &str| plan(&format!("ziggurat_settings: {text}")).own.concurrency;
    let all = of_all("{}");
    assert_eq!(all.mode, Some(ConcurrencyMode::Fixed), "is the default");
    assert_eq!((all.min, all.initial, all.max), (None, None, None));
    for (text, mode) in [
        ("off", ConcurrencyMode::Off),
        ("false", ConcurrencyMode::Off),
        ("aimd", ConcurrencyMode::Aimd),
        ("gradient", ConcurrencyMode::Gradient),
        ("{mode: fixed}", ConcurrencyMode::Fixed),
    ] {
        let said = of_all(&format!("{{concurrency: {text}}}"));
        assert_eq!((said.mode, said.max), (Some(mode), None), "{text}");
    }
    let fixed = of_all("{concurrency: 20}");
    assert_eq!(fixed.mode, Some(ConcurrencyMode::Fixed));
    assert_eq!(fixed.max, NonZeroU32::new(20));
    let whole = "{concurrency: {mode: gradient, min: 2, initial: 10, max: 50}}";
    let whole = of_all(whole);
    assert_eq!(whole.mode, Some(ConcurrencyMode::Gradient));
    let numbers = [whole.min, whole.initial, whole.max].map(|n| n.map(NonZeroU32::get));
    assert_eq!(numbers, [Some(2), Some(10), Some(50)]);
}

#[test]
fn a_deployment_may_say_how_much_may_be_in_flight_at_it() {
    let text = "model_list:\n\
        - {model_name: gpt, litellm_params: {model: openai/m, api_key: k}, model_info: {concurrency: {max: 7}}}\n\
        ziggurat_settings: {concurrency: gradient}\n";
    let plan = Plan::parse(text, "config.yaml", environment).unwrap_or_else(|e| panic!("{e}"));
    let own = plan.deployments[0].concurrency();
    assert_eq!((own.mode, own.max), (None, NonZeroU32::new(7)));
    let both = own.or(plan.own.concurrency);
    assert_eq!(both.mode, Some(ConcurrencyMode::Gradient));
    assert_eq!(told(&plan, "concurrency.max").0, "7");
}

#[test]
fn bounds_of_what_is_in_flight_that_contradict_each_other_are_errors() {
    for (text, error) in [
        (
            "{min: 9, max: 8}",
            "`concurrency.min` is more than `concurrency.max`",
        ),
        (
            "{initial: 9, max: 8}",
            "`concurrency.initial` is more than `concurrency.max`",
        ),
        (
            "{min: 9, initial: 8}",
            "`concurrency.min` is more than `concurrency.initial`",
        ),
        ("{min: 0}", "`min` must be a whole number over 0"),
        ("fixed", "a mapping, a whole number over 0"),
        ("0", "a mapping, a whole number over 0"),
        ("{mode: vegas}", "`off`, `fixed`, `aimd` or `gradient`"),
    ] {
        let text = format!("ziggurat_settings: {{concurrency: {text}}}");
        let problems = Plan::parse(&text, "config.yaml", |_| None).expect_err("is refused");
        let told = problems.to_string();
        assert!(told.contains(error), "{told}");
    }
}

#[test]
fn retries_of_a_request_bound_its_attempts_unless_those_are_said() {
    let plan_of = |own: &str| {
        plan(&format!(
            "litellm_settings: {{num_retries_per_request: 2}}\nziggurat_settings: {{{own}}}\n"
        ))
    };
    let bound = plan_of("");
    assert_eq!(bound.own.max_attempts, Some(3));
    assert_eq!(told(&bound, "max_attempts").0, "3");
    let said = plan_of("max_attempts: 9");
    assert_eq!(said.own.max_attempts, Some(9));
    assert!(
        warnings(&said)[0].contains("`litellm_settings.num_retries_per_request` has no effect")
    );
    assert_eq!(plan("").own.max_attempts, None);
}

#[test]
fn health_is_checked_as_either_section_says() {
    let plan_of = |text: &str| plan(text).general.health;
    let default = plan_of("");
    assert!(!default.enabled && !default.routing && !default.ignore_transient);
    assert_eq!(default.interval, seconds(300));
    assert_eq!((default.concurrency, default.staleness), (None, None));
    assert_eq!(default.groups, None);
    let text = "general_settings: {background_health_checks: true, enable_health_check_routing: false, health_check_interval: 60, health_check_concurrency: 4, health_check_staleness_threshold: 9, background_health_check_model_groups: [gpt]}\n\
        router_settings: {enable_health_check_routing: true, health_check_ignore_transient_errors: true, health_check_staleness_threshold: 7}\n";
    let health = plan_of(text);
    assert!(health.enabled && health.routing && health.ignore_transient);
    assert_eq!(health.interval, seconds(60));
    assert_eq!(
        (health.concurrency, health.staleness),
        (Some(4), Some(seconds(7)))
    );
    assert_eq!(health.groups, Some(vec![Arc::from("gpt")]));
    let plan = plan(text);
    assert_eq!(warnings(&plan).len(), 2);
    assert!(
        warnings(&plan)[0].contains("`router_settings.enable_health_check_routing` in line 6 wins")
    );
    let updated = plan.with_settings(json!({"num_retries": 1}).as_object().expect("is one"));
    let updated = updated.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(updated.general.health, plan.general.health);
    assert_eq!(told(&updated, "health_check_interval").0, "60s");
}

//! Whole simulations.

use ziggurat_simulate::{Report, Scenario, SimulationError, StrategyReport, run, run_with};

/// A scenario about deployments of the group `gpt`, with further keys.
fn scenario(ids: &[&str], keys: &str) -> Scenario {
    set(ids, keys, "{}")
}

/// The same with `ziggurat_settings`.
fn set(ids: &[&str], keys: &str, settings: &str) -> Scenario {
    let mut text = format!("{keys}\nconfig: |\n  model_list:\n");
    for id in ids {
        text.push_str(&format!(
            "    - {{model_name: gpt, litellm_params: {{model: openai/m, api_key: k-{id}}}, model_info: {{id: {id}}}}}\n"
        ));
    }
    text.push_str("  router_settings: {num_retries: 2}\n");
    text.push_str(&format!("  ziggurat_settings: {settings}\n"));
    Scenario::parse(&text, "test.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn report(ids: &[&str], keys: &str) -> Report {
    run(&scenario(ids, keys)).expect("can be simulated")
}

fn only(mut report: Report) -> StrategyReport {
    assert_eq!(report.strategies.len(), 1);
    report.strategies.remove(0)
}

fn near(got: f64, want: f64, part: f64) {
    assert!((got / want - 1.0).abs() < part, "{got} is not near {want}");
}

fn check_accounts(s: &StrategyReport) {
    let ended = s.answered + s.failures() + s.hung_up + s.unfinished;
    assert_eq!(ended, s.requests, "{}: every request ends once", s.strategy);
    let attempts: u64 = s.deployments.iter().map(|d| d.attempts).sum();
    assert_eq!(attempts, s.attempts, "{}", s.strategy);
    for d in &s.deployments {
        assert_eq!(d.calls, d.attempts, "{}: calls are attempts", d.id);
    }
    let served: u64 = s.deployments.iter().map(|d| d.served).sum();
    assert_eq!(served, s.answered, "{}", s.strategy);
}

const STORM: &str = "
seed: 3
requests: 1500
arrival: {rate: 10, profile: [{at: 40, rate: 20}, {at: 60, rate: 10}]}
strategies: [simple-shuffle, least-busy, usage-based-routing-v2]
classes:
  - {model: gpt, stream: true, users: 9, hang_up: {share: 0.2, after: {mean: 2}}}
  - {model: gpt, tools: true, session: {turns: {min: 1, max: 6}, think_time: {mean: 2}}}
providers:
  a: {capacity: 5, max_concurrent: 20, prompt_cache: {ttl: 60}}
  b: {rpm: 300, tpm: 100000, outages: [{from: 10, to: 20, kind: down}, {from: 30, to: 40, kind: throttled}, {from: 50, to: 60, kind: slow}]}
  c:
    failures:
      - {share: 0.1, kind: internal}
      - {share: 0.1, kind: broken}
      - {share: 0.05, kind: hang}
      - {share: 0.01, kind: authentication, after: 0.1}
";

#[test]
fn the_same_scenario_gives_the_same_report_to_the_byte() {
    let scenario = scenario(&["a", "b", "c"], STORM);
    let first = run(&scenario).expect("can be simulated");
    fastrand::seed(99);
    let second = run(&scenario).expect("can be simulated");
    assert_eq!(first.to_json(), second.to_json());
    assert_eq!(first.svg(), second.svg());
    let other = run(&scenario.with_seed(4)).expect("can be simulated");
    assert_ne!(
        first.to_json(),
        other.to_json(),
        "another seed is another run"
    );
}

#[test]
fn every_request_is_accounted_for_and_every_call_is_an_attempt() {
    let report = report(&["a", "b", "c"], STORM);
    for strategy in &report.strategies {
        assert_eq!(strategy.requests, 1_500);
        assert!(strategy.hung_up > 20 && strategy.retries > 50, "{report}");
        check_accounts(strategy);
    }
}

#[test]
fn requests_in_flight_are_the_rate_times_the_time_they_take() {
    let s = only(report(
        &["a", "b"],
        "requests: 5000\narrival: {rate: 50}
classes: [{model: gpt, stream: true, output_tokens: {min: 50, max: 250}}]",
    ));
    check_accounts(&s);
    assert_eq!(s.answered, s.requests);
    near(s.requests as f64 / s.seconds, 50.0, 0.1);
    // What the deployments saw at each moment, against what the clients measured.
    let load: f64 = s.deployments.iter().map(|d| d.load).sum();
    near(load, s.requests as f64 / s.seconds * s.total.mean, 0.02);
    let over_time: f64 = s.deployments.iter().flat_map(|d| &d.in_flight).sum();
    near(over_time * s.step, load * s.seconds, 0.02);
}

/// M/G/1 with processor sharing: the mean time is that of the work over what is left of the capacity,
/// whatever the spread of the work.
#[test]
fn a_deployment_that_is_half_busy_takes_twice_as_long() {
    for work in ["{mean: 1}", "1"] {
        let s = only(report(
            &["a"],
            &format!(
                "seed: 5\nrequests: 20000\narrival: {{rate: 0.5}}
classes: [{{model: gpt, input_tokens: 1, output_tokens: 1}}]
providers: {{a: {{first_token: {work}, seconds_per_token: 0, capacity: 1}}}}"
            ),
        ));
        near(s.total.mean, 2.0, 0.06);
        near(s.deployments[0].load, 1.0, 0.08);
    }
}

#[test]
fn clients_of_a_closed_loop_wait_for_their_answers() {
    let s = only(report(
        &["a"],
        "duration: 2000\narrival: {clients: 10, think_time: 3}
classes: [{model: gpt, output_tokens: 100}]
providers: {a: {first_token: 1, seconds_per_token: 0.01}}",
    ));
    check_accounts(&s);
    // Each takes 1 + 100 × 0.01 seconds, and three to think.
    near(s.requests as f64, 10.0 * 2_000.0 / 5.0, 0.01);
    assert_eq!(s.deployments[0].peak, 10);
}

#[test]
fn least_busy_beats_shuffle_where_one_is_slow_and_one_fails() {
    let report = report(
        &["a", "b", "slow", "failing"],
        "requests: 3000\narrival: {rate: 15}\nstrategies: [simple-shuffle, least-busy]
classes: [{model: gpt, stream: true}]
providers:
  '*': {first_token: {median: 0.3, p95: 0.8}, capacity: 30}
  slow: {first_token: {median: 1.5, p95: 4}, seconds_per_token: 0.05, capacity: 100}
  failing: {failures: [{share: 1, kind: rate_limited}]}",
    );
    let [shuffle, least_busy] = &report.strategies[..] else {
        panic!("there are two");
    };
    assert_eq!(
        (shuffle.answered, least_busy.answered),
        (3_000, 3_000),
        "{report}"
    );
    assert!(
        least_busy.first_token.p95 < 0.8 * shuffle.first_token.p95,
        "{report}"
    );
    for strategy in [shuffle, least_busy] {
        assert_eq!(strategy.deployments[3].served, 0);
        let attempts = strategy.deployments[3].attempts as f64;
        assert!(
            attempts < 0.1 * 3_000.0,
            "one that fails at once draws no traffic: {report}"
        );
    }
}

#[test]
fn a_provider_answers_429_beyond_its_limits_and_recovers_as_it_said() {
    let s = only(report(
        &["a"],
        "duration: 600\narrival: {rate: 3}\nclasses: [{model: gpt, output_tokens: 1}]
providers: {a: {first_token: 0.1, rpm: 60}}",
    ));
    check_accounts(&s);
    // A minute's worth at once, then one a second.
    near(s.answered as f64, 60.0 + 600.0, 0.1);
    assert!(
        s.failed
            .keys()
            .any(|kind| kind.contains("cooldown") || kind == "rate_limited"),
        "{s:?}"
    );
}

#[test]
fn a_cached_prompt_saves_time_and_money() {
    let sessions = |cache: &str| {
        only(report(
            &["a"],
            &format!(
                "requests: 600\narrival: {{rate: 0.2}}
classes: [{{model: gpt, stream: true, input_tokens: 500, session: {{turns: 20, think_time: 5}}}}]
providers: {{a: {{first_token: 1, {cache}}}}}"
            ),
        ))
    };
    let cold = sessions("");
    let warm = sessions("prompt_cache: {ttl: 300, first_token: 0.1}");
    assert_eq!(cold.deployments[0].cached_tokens, 0);
    assert!(warm.deployments[0].cached_tokens * 10 > warm.deployments[0].input_tokens * 8);
    assert!(warm.first_token.p50 < 0.4 && cold.first_token.p50 >= 1.0);
    assert_eq!(warm.stickiness, Some(1.0), "there is one deployment only");
}

#[test]
fn stickiness_and_skew_are_those_of_a_shuffle() {
    let s = only(report(
        &["a", "b"],
        "requests: 4000\narrival: {rate: 1}
classes: [{model: gpt, input_tokens: 2, output_tokens: 2, session: {turns: 50, think_time: 1}}]",
    ));
    // The larger part of fifty throws of a coin is 0.556 on average.
    near(s.stickiness.expect("there are sessions"), 0.556, 0.04);
    near(s.skew.expect("both are alike"), 1.0, 0.05);
}

#[test]
fn a_trace_is_replayed_as_it_was() {
    let lines: String = (0..300)
        .map(|i| {
            format!("{{\"at\": {}, \"model\": \"gpt\", \"input_tokens\": 200, \"output_tokens\": 10, \"stream\": {}, \"session\": \"s{}\"}}\n", f64::from(i) * 0.5, i % 2 == 0, i % 7)
        })
        .collect();
    let scenario = scenario(&["a", "b"], "providers: {'*': {first_token: 1}}");
    let scenario = scenario
        .with_trace(lines.as_bytes(), "t.jsonl")
        .expect("is a trace");
    let (mut last, mut shown) = (0.0, String::new());
    let report = run_with(&scenario, |progress| {
        assert_eq!(progress.expected, Some(300));
        assert!(progress.at >= last);
        last = progress.at;
        shown = progress.to_string();
    });
    let s = only(report.expect("can be simulated"));
    assert_eq!((s.requests, s.answered), (300, 300));
    assert!(
        shown.starts_with("simple-shuffle (1 of 1): 299 of 300 requests, 15"),
        "{shown}"
    );
    assert!(s.stickiness.is_some());
    assert!(
        s.seconds > 150.0 && s.seconds < 153.0 && last > 149.0,
        "{}",
        s.seconds
    );
}

#[test]
fn what_hangs_without_end_ends_the_simulation_all_the_same() {
    let keys = "requests: 5\narrival: {rate: 1}\nclasses: [{model: gpt}]
providers: {a: {failures: [{share: 1, kind: hang}]}}";
    let s = only(report(&["a"], keys));
    check_accounts(&s);
    assert_eq!(s.answered, 0);
}

#[test]
fn more_than_can_ever_be_served_is_an_error() {
    let keys = "duration: 100\nmax_in_flight: 900\narrival: {rate: 100}\nclasses: [{model: gpt, input_tokens: 1}]
providers: {a: {first_token: 500}}";
    match run(&scenario(&["a"], keys)) {
        Err(SimulationError::Overrun { in_flight, .. }) => assert_eq!(in_flight, 901),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_simulation_inside_of_a_runtime_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("builds");
    let result = runtime.block_on(async { run(&Scenario::built_in()) });
    assert!(
        matches!(result, Err(SimulationError::InsideRuntime)),
        "{result:?}"
    );
}

#[test]
fn the_text_has_a_row_for_each_strategy_and_deployment() {
    let report = run(&Scenario::built_in().with_requests(500)).expect("can be simulated");
    let text = report.to_string();
    for strategy in &report.strategies {
        check_accounts(strategy);
        let rows = text
            .lines()
            .filter(|line| line.trim_start().starts_with(&strategy.strategy));
        assert!(rows.count() >= 3, "{text}");
    }
    for id in ["healthy-1", "slow", "failing", "small"] {
        assert_eq!(
            text.matches(&format!("\n  {id} ")).count(),
            report.strategies.len()
        );
        assert!(report.svg().contains(id));
    }
    assert!(serde_json::from_str::<serde_json::Value>(&report.to_json()).is_ok());
}

#[test]
fn a_configuration_alone_is_put_under_a_steady_load() {
    let config = "
model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_key: os.environ/NO_SUCH_KEY_1}, model_info: {id: a}}
  - {model_name: claude, litellm_params: {model: openai/m, api_key: os.environ/NO_SUCH_KEY_2}, model_info: {id: b}}
";
    let plan = Scenario::built_in().with_config(config, "config.yaml");
    let plan = plan.expect("variables need not be set").plan().clone();
    let s = only(run(&Scenario::new(plan).with_requests(400)).expect("can be simulated"));
    check_accounts(&s);
    assert_eq!(s.answered, 400);
    near(s.deployments[0].share, 0.5, 0.2);
}

#[test]
fn clients_that_think_for_hours_are_waited_for() {
    let s = only(report(
        &["a"],
        "requests: 20\narrival: {clients: 2, think_time: 20000}\nclasses: [{model: gpt}]",
    ));
    assert_eq!(s.answered, 20);
    // Ten rounds, and one in which the other learns that it is over.
    assert!((200_000.0..221_000.0).contains(&s.seconds), "{}", s.seconds);
}

const LINE: &str = "
seed: 4
duration: 60
arrival: {rate: 2, profile: [{at: 10, rate: 6}, {at: 40, rate: 1}]}
classes:
  - {name: urgent, model: gpt, priority: 0, share: 1, output_tokens: 50}
  - {name: patient, model: gpt, priority: 3, share: 3, key: batch, output_tokens: 50}
config: |
  model_list:
    - {model_name: gpt, litellm_params: {model: openai/m, api_key: k}, model_info: {id: a}}
  ziggurat_settings:
    queue: {capacity: 4}
    keys: [{name: batch, key: sk-0123456789abcdef}]
";

#[test]
fn a_queue_is_told_of_by_class_and_agrees_with_littles_law() {
    let report = run(&Scenario::parse(LINE, "line.yaml").expect("is valid")).expect("runs");
    let s = &report.strategies[0];
    check_accounts(s);
    let [urgent, patient] = &s.classes[..] else {
        panic!("there are two classes");
    };
    assert_eq!(urgent.requests + patient.requests, s.requests);
    assert_eq!(patient.key.as_deref(), Some("batch"));
    assert!(
        urgent.wait.p95 < patient.wait.p50,
        "{urgent:?}\n{patient:?}"
    );
    near(urgent.share + patient.share, 1.0, 1e-9);
    for class in &s.classes {
        let mean: f64 = class.waiting.iter().sum::<f64>() * s.step;
        near(mean, class.wait.mean * class.requests as f64, 0.01);
        assert!(class.running.iter().all(|running| *running <= 4.0 + 1e-9));
    }
    assert!(report.svg().contains("Waiting for a turn"));
    assert!(report.to_string().contains("waits for a turn"));
}

#[test]
fn where_nobody_waits_no_queue_is_told_of() {
    let report = report(
        &["a"],
        "requests: 50\narrival: {rate: 1}\nclasses: [{model: gpt}]",
    );
    assert!(!report.svg().contains("Waiting for a turn"));
    assert!(!report.to_string().contains("waits for a turn"));
}

#[test]
fn of_a_queue_is_told_however_few_wait() {
    let scenario = set(
        &["a"],
        "seed: 1\nrequests: 1000\narrival: {rate: 0.1}
classes: [{model: gpt, input_tokens: 1, output_tokens: 1}]
providers: {a: {first_token: 0.03, seconds_per_token: 0}}",
        "{queue: {capacity: 1}}",
    );
    let report = run(&scenario).expect("can be simulated");
    let wait = report.strategies[0].classes[0].wait;
    assert!(wait.mean > 0.0 && wait.p99 == 0.0, "{wait:?}");
    assert!(report.svg().contains("Waiting for a turn"));
    assert!(report.to_string().contains("waits for a turn"));
}

#[test]
fn those_wait_too_whose_turn_never_comes() {
    let scenario = set(
        &["a"],
        "requests: 5\narrival: {rate: 10}
classes: [{model: gpt, input_tokens: 1, output_tokens: 1}]
providers: {a: {first_token: 100, seconds_per_token: 0}}",
        "{queue: {capacity: 1, max_wait: 2}}",
    );
    let report = run(&scenario).expect("can be simulated");
    let s = &report.strategies[0];
    assert_eq!((s.classes[0].refused, s.classes[0].wait.p99), (4, 0.0));
    near(s.classes[0].waiting.iter().sum::<f64>() * s.step, 8.0, 0.01);
    assert!(report.to_string().contains("waits for a turn"));
}

#[test]
fn who_waits_for_room_in_a_limit_does_not_wait_for_a_turn() {
    let scenario = set(
        &["a"],
        "requests: 60\narrival: {rate: 1}\nclasses: [{model: gpt, key: batch}]",
        "{limits: {pacing: 70}, keys: [{name: batch, key: sk-0123456789abcdef, rpm_limit: 6}]}",
    );
    let s = only(run(&scenario).expect("can be simulated"));
    let class = &s.classes[0];
    assert!(class.refused > 0 && s.total.p99 > 10.0, "{s:?}");
    assert!(class.waiting.iter().all(|waiting| *waiting == 0.0));
}

//! `ziggurat simulate`.

use std::{ffi::OsStr, path::Path};

use crate::support::{Done, file, run};

const SCENARIO: &str = "
requests: 300
arrival: {rate: 20}
strategies: [simple-shuffle, least-busy]
classes:
  - {model: gpt, stream: true, output_tokens: {median: 50, p95: 200}}
providers:
  us: {first_token: 2}
config: |
  model_list:
    - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: none}, model_info: {id: eu}}
    - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: none}, model_info: {id: us}}
";

fn simulate(scenario: &Path, more: &[&str]) -> Done {
    let arguments = [OsStr::new("simulate"), scenario.as_os_str()];
    run(arguments.into_iter().chain(more.iter().map(OsStr::new)))
}

#[test]
fn a_scenario_is_a_table_of_its_strategies() {
    let scenario = file("simulate_table", "mix.yaml", SCENARIO);
    let table = simulate(&scenario, &[]).ok();
    for part in [
        "p50",
        "p95",
        "p99",
        "simple-shuffle",
        "least-busy",
        "failed",
        "share",
        "cost $",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let other = simulate(&scenario, &["--strategies", "round-robin,p2c"]).ok();
    assert!(
        other.contains("round-robin") && other.contains("p2c"),
        "{other}"
    );
    assert!(!other.contains("least-busy"), "{other}");
}

/// All but how long the simulation itself took.
fn result(done: Done) -> String {
    let out = done.ok();
    let lines = out.lines().filter(|line| !line.contains(" simulated in "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_same_seed_gives_the_same_result_and_another_gives_another() {
    let scenario = file("simulate_seed", "mix.yaml", SCENARIO);
    let with = |seed| simulate(&scenario, &["--seed", seed]);
    assert_eq!(result(with("7")), result(with("7")));
    assert_ne!(
        result(with("7")).replace("seed 7", ""),
        result(with("8")).replace("seed 8", "")
    );
    let json = |seed| simulate(&scenario, &["--json", "--seed", seed]).ok();
    assert_eq!(json("7"), json("7"));
}

#[test]
fn it_can_be_json_and_a_drawing() {
    let scenario = file("simulate_drawing", "mix.yaml", SCENARIO);
    let drawing = scenario.with_file_name("drawing.svg");
    let name = drawing.display().to_string();
    let done = simulate(&scenario, &["--json", "--svg", &name]);
    assert!(done.err.contains(&name), "{done:?}");
    let report: serde_json::Value = serde_json::from_str(&done.ok()).expect("is JSON");
    let strategies = report["strategies"].as_array().expect("is a list").iter();
    let seen = strategies.map(|it| (it["strategy"].as_str(), it["requests"].as_u64()));
    let expected = [Some("simple-shuffle"), Some("least-busy")].map(|name| (name, Some(300)));
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    let drawing = std::fs::read_to_string(drawing).expect("was written");
    assert!(drawing.starts_with("<svg") && drawing.trim_end().ends_with("</svg>"));
}

#[test]
fn a_configuration_alone_is_enough_and_wins_over_that_of_the_scenario() {
    let config = "model_list: [{model_name: gpt, litellm_params: {model: openai/m, api_key: k}, model_info: {id: only}}]";
    let config = file("simulate_config", "config.yaml", config)
        .display()
        .to_string();
    let other = SCENARIO.replace("  us: {first_token: 2}", "  only: {first_token: 1}");
    let scenario = file("simulate_config", "mix.yaml", &other);
    let table = simulate(&scenario, &["--config", &config]).ok();
    assert!(table.contains("only") && !table.contains("eu "), "{table}");
    let alone = run(["simulate", "--config", &config, "--seed", "1"]).ok();
    assert!(alone.contains("only") && alone.contains("10000"), "{alone}");
}

#[test]
fn a_scenario_that_is_wrong_is_told_with_its_place() {
    let wrong = |name: &str, from: &str, to: &str| {
        let text = SCENARIO.replace(from, to);
        let scenario = file("simulate_wrong", name, &text);
        (
            simulate(&scenario, &[]).failed(),
            scenario.display().to_string(),
        )
    };
    let (told, name) = wrong("key.yaml", "median", "medium");
    assert!(
        told.starts_with(&format!("{name}:6:")) && told.contains("`medium`"),
        "{told}"
    );
    let (told, name) = wrong("type.yaml", "requests: 300", "requests: many");
    assert!(told.starts_with(&format!("{name}:2:11: ")), "{told}");
    let (told, name) = wrong(
        "config.yaml",
        "model_name: gpt, litellm",
        "model_nam: gpt, litellm",
    );
    assert!(told.contains(&name) && told.contains("model_nam"), "{told}");
    let (told, _) = wrong("nobody.yaml", "us: {first", "mars: {first");
    assert!(
        told.contains("`providers.mars` matches no deployment"),
        "{told}"
    );
    let (told, _) = wrong("strategy.yaml", "least-busy", "fastest");
    assert!(
        told.contains("`fastest`") && told.contains("least-busy"),
        "{told}"
    );
    let missing = Path::new("/nothing/here.yaml");
    assert!(
        simulate(missing, &[])
            .failed()
            .contains("/nothing/here.yaml")
    );
    let scenario = file("simulate_wrong", "right.yaml", SCENARIO);
    let done = simulate(&scenario, &["--svg", "/nothing/here.svg"]);
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("/nothing/here.svg"), "{done:?}");
}

#[test]
fn recorded_requests_take_the_place_of_the_workload() {
    let scenario = file("simulate_trace", "mix.yaml", SCENARIO);
    let line = |at: u32| {
        format!(
            "{{\"at\": {at}, \"model\": \"gpt\", \"input_tokens\": 100, \"output_tokens\": 9}}\n"
        )
    };
    let trace: String = (0..7).map(line).collect();
    let trace = file("simulate_trace", "requests.jsonl", &trace);
    let told = simulate(&scenario, &["--trace", &trace.to_string_lossy(), "--json"]).ok();
    assert!(told.contains("\"requests\": 7,"), "{told}");

    let broken = file("simulate_trace", "broken.jsonl", "{\"at\": 0}\n");
    let why = simulate(&scenario, &["--trace", &broken.to_string_lossy()]).failed();
    assert!(why.contains("broken.jsonl:1"), "{why}");
}

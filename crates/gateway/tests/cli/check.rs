//! `ziggurat check`.

use std::{path::Path, process::Command};

use crate::support::{Done, file, run};

const GOOD: &str = "
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o, api_key: sk-canary, tags: [eu], region_name: eu}
    model_info: {id: a}
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o, api_key: sk-canary, tags: [default]}
    model_info: {id: b, team_id: red, team_public_model_name: smart, supports_function_calling: false}
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o, api_key: sk-canary, tag_regex: '^User-Agent: curl/', order: 2}
    model_info: {id: c, max_input_tokens: 50}
router_settings: {enable_pre_call_checks: true, enable_tag_filtering: true}
ziggurat_settings:
  auto_route: {splits: [{model: auto, to: {gpt: 1}}]}
";

fn good(test: &str) -> std::path::PathBuf {
    file(test, "config.yaml", GOOD)
}

fn check(config: &Path, more: &[&str]) -> Done {
    let arguments = ["check".as_ref(), config.as_os_str()];
    run(arguments.into_iter().chain(more.iter().map(AsRef::as_ref)))
}

/// What is said of a request.
fn explained(config: &Path, request: &str, more: &[&str]) -> String {
    let mut arguments = vec!["--request", request];
    arguments.extend(more);
    check(config, &arguments).ok()
}

#[test]
fn a_good_configuration_is_explained_without_its_secrets() {
    let config = good("check_good");
    let done = check(&config, &[]);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    for part in [
        "3 deployments",
        "deployment a",
        "split auto",
        "layers, from the client to the provider",
    ] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
    assert!(!done.out.contains("canary"), "{}", done.out);
}

#[test]
fn the_layers_are_named_in_their_order() {
    let out = check(&good("check_layers"), &[]).ok();
    let (_, layers) = out.split_once("layers, ").expect("are listed");
    let places = [
        "auto-route",
        "fallback",
        "retry",
        "load-balance",
        "cooldown",
        "concurrency",
        "rate-limit",
    ];
    let places = places.map(|layer| {
        layers
            .find(layer)
            .unwrap_or_else(|| panic!("{layer}: {layers}"))
    });
    assert!(places.is_sorted(), "{layers}");
}

#[test]
fn every_mistake_of_a_bad_configuration_is_told_with_its_place() {
    let text = GOOD
        .replace("order: 2", "order: soon")
        .replace("enable_tag_filtering", "enable_tag_filtring");
    let config = file("check_bad", "config.yaml", &text);
    let told = check(&config, &[]).failed();
    let name = config.display().to_string();
    for line in ["10:", "12:"] {
        assert!(told.contains(&format!("{name}:{line}")), "{told}");
    }
    assert!(
        told.contains("enable_tag_filtering") && !told.contains("canary"),
        "{told}"
    );
    let missing = config.with_file_name("missing.yaml");
    assert!(check(&missing, &[]).failed().contains("missing.yaml"));
}

#[test]
fn a_request_is_told_who_could_serve_it_and_why_the_others_could_not() {
    let config = good("check_request");
    let told = explained(
        &config,
        r#"{"model": "gpt", "tags": ["eu"], "allowed_model_region": "EU"}"#,
        &[],
    );
    assert!(
        told.starts_with("`gpt`: 1 of 3 deployments may serve\n"),
        "{told}"
    );
    for line in [
        "> a: may serve, would be chosen now\n",
        "  b: left out by team (",
        "  c: left out by tags (",
        "\n  attempts        at most 6\n",
        "\n  load-balance    strategy simple-shuffle (default)\n",
    ] {
        assert!(told.contains(line), "{told}");
    }
}

#[test]
fn what_a_request_needs_is_seen_and_its_error_told() {
    let config = good("check_needs");
    let long = "word ".repeat(500);
    let body = format!(
        r#"{{"model": "gpt", "messages": [{{"role": "user", "content": "{long}"}}], "tags": ["&no"]}}"#
    );
    let told = explained(&config, &body, &[]);
    assert!(
        told.starts_with("`gpt`: 0 of 3 deployments may serve\n"),
        "{told}"
    );
    assert!(told.contains("\n400 no_matching_deployment: "), "{told}");

    let request = file("check_needs", "request.json", &body.replace("\"&no\"", ""));
    let at = format!("@{}", request.display());
    let told = explained(&config, &at, &["--user-agent", "curl/8.5"]);
    assert!(told.contains("c: left out by context window ("), "{told}");
    let told = explained(
        &config,
        r#"{"model": "gpt"}"#,
        &["--user-agent", "curl/8.5"],
    );
    assert!(
        told.contains("> c: may serve, order 2, would be chosen now"),
        "{told}"
    );
}

#[test]
fn a_team_asks_by_its_own_names() {
    let config = good("check_team");
    let told = explained(&config, r#"{"model": "smart"}"#, &["--team", "red"]);
    assert!(
        told.contains("> b: may serve, would be chosen now"),
        "{told}"
    );
    let tools = r#"{"model": "smart", "tools": [{"type": "function"}]}"#;
    let told = explained(&config, tools, &["--team", "red"]);
    assert!(
        told.contains("b: left out by tags") || told.contains("b: left out by capabilities ("),
        "{told}"
    );
    let told = check(
        &config,
        &["--request", r#"{"model": "smart"}"#, "--team", "blue"],
    )
    .failed();
    assert!(told.contains("`smart` does not exist"), "{told}");
}

#[test]
fn a_name_that_auto_routing_chooses_for_is_explained_as_the_group_it_leads_to() {
    let config = good("check_auto");
    let told = explained(&config, r#"{"model": "auto", "tags": ["eu"]}"#, &[]);
    assert!(
        told.contains("`gpt`: ") && told.contains("> a: may serve"),
        "{told}"
    );
    assert!(told.contains("split of \"auto\""), "{told}");
}

#[test]
fn a_request_that_is_none_is_an_error() {
    let config = good("check_no_request");
    for (request, words) in [
        ("{", "--request: the body is not valid JSON"),
        ("", "--request: the body is not valid JSON"),
        ("{}", "--request: the body has no `model`"),
        (r#"{"model": 7}"#, "`model` must be a string"),
        (r#"{"model": "gpx"}"#, "did you mean `gpt`?"),
        ("@/nothing/here.json", "/nothing/here.json: "),
    ] {
        let told = check(&config, &["--request", request]).failed();
        assert!(told.contains(words), "{request}: {told}");
    }
    let told = check(&config, &["--team", "red"]);
    assert_eq!(told.code, Some(2), "a team alone says nothing: {told:?}");
}

#[test]
fn nothing_is_sent() {
    // A check of a provider that would hang, with a proxy that nobody answers at.
    let config = good("check_offline");
    let mut command = Command::new(crate::support::ZIGGURAT);
    command
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .arg("check");
    let request = r#"{"model": "gpt", "tags": ["eu"]}"#;
    let done = command.arg(config).args(["--request", request]).output();
    assert!(done.expect("runs").status.success());
}

//! Whatever a file holds, reading it ends, within bounds and without a panic.

use std::{collections::HashSet, fs, path::PathBuf};

use proptest::prelude::*;
use ziggurat_config::{MAX_FILE, Plan, Problems};

const VALID: &str = r#"
environment_variables: {KEY: k}
credential_list: [{credential_name: shared, credential_values: {api_key: os.environ/KEY, api_version: 2024-10-21}}]
model_list:
  - model_name: gpt
    litellm_params: &p {model: openai/m, api_base: "http://127.0.0.1/v1", api_key: os.environ/KEY, weight: 9, tags: [a, "b"]}
    model_info: {id: one, allowed_fails_policy: {NotFoundErrorAllowedFails: 1}, health_check_params: {a: 1}, accept_any_answer: true, max_input_tokens: 4096, access_windows: [{start: "22:00", end: "6:00", timezone: Asia/Tokyo, team_ids: [a]}], supports_vision: true, mode: chat}
  - model_name: "openai/*"
    rpm: 10
    litellm_params:
      <<: *p
      model: "openai/*"
      extra_headers: {x-a: b}
      timeout: 1.5
      temperature: 0.5
      stop: ["a", 1, ~]
      silent_model: gpt
      tag_regex: ["^a+"]
  - model_name: claude
    litellm_params: {model: bedrock/converse/us.anthropic.claude-sonnet-4-5, aws_region_name: us-east-1, aws_access_key_id: a, aws_secret_access_key: b, drop_params: true}
  - model_name: claude
    litellm_params: {model: vertex_ai/gemini-2.5-pro, vertex_location: eu, vertex_credentials: '{"type": "service_account", "client_email": "a@b", "private_key": "k", "project_id": "p-1"}'}
  - model_name: claude
    litellm_params: {model: azure/o_series/mine, api_base: "https://x.openai.azure.com?api-version=1", litellm_credential_name: shared}
router_settings:
  routing_strategy: affinity
  routing_strategy_args: {load_factor: 1.25, key: session}
  routing_groups: [{group_name: both, models: [gpt], model_priorities: {gpt: 1}}]
  default_litellm_params: {timeout: 9, tags: [c]}
  model_group_affinity_config: {gpt: [prompt_caching]}
  model_group_alias: {chat: {model: gpt, hidden: true}}
  fallbacks: [{gpt: [openai/x]}, {"*": [{model: gpt, api_key: sk-2, temperature: 0.5, stop: [*p]}]}]
  retry_policy: {DefaultRetries: 3, TimeoutErrorRetries: 1}
  model_group_retry_policy: {gpt: {BadRequestErrorRetries: 1}}
  allowed_fails_policy: {InternalServerErrorAllowedFails: 2}
  enable_weighted_failover: true
  optional_pre_call_checks: [enforce_model_rate_limits]
litellm_settings: {num_retries: 3}
general_settings: {master_key: sk-1, background_health_checks: true, background_health_check_model_groups: [gpt]}
ziggurat_settings:
  queue: {capacity: 3}
  first_token_timeout: auto
  streams: {on_break: fail, hold_back: 3, keep_alive: off}
  hedge: {percentile: 95.5}
  cooldown: {failure_share: 0.5, slow_start: 0}
  groups: {gpt: {timeout: 1, hold_back: all, hedge: off}}
  fallbacks_for: {teams: {red: {fallbacks: [{"*": [gpt]}]}}, keys: {k: {default_fallbacks: [{model: gpt, seed: 1}]}}}
  auto_route:
    rules: [{name: r, models: ["auto*"], keywords: [k], images: true, needs: [reasoning], to: both}]
    bandits: [{model: learned, among: [gpt, chat], weights: {cost: 1}}]
    splits: [{model: half, to: {gpt: 1, openai/x: 2.5}}]
"#;

fn parse(text: &str) -> Result<Plan, Problems> {
    Plan::parse(text, "config.yaml", |_| None)
}

/// Reads a text and uses what comes of it.
fn check(text: &str) {
    match parse(text) {
        Ok(plan) => {
            let snapshot = plan.snapshot();
            assert!(
                plan.deployments
                    .iter()
                    .all(|d| snapshot.get(d.id()).is_some())
            );
            assert!(!plan.explanation().to_string().is_empty());
            let ids: HashSet<_> = plan.deployments.iter().map(|d| d.id()).collect();
            assert_eq!(ids.len(), plan.deployments.len(), "no id stands twice");
            let names = ids.iter().flat_map(|id| id.as_str().bytes());
            assert!(names.into_iter().all(|byte| byte.is_ascii_graphic()));
            let settings = plan.settings();
            let updates = settings.as_object().expect("is an object");
            let again = plan
                .with_settings(updates)
                .unwrap_or_else(|e| panic!("{e}\nin {text}"));
            assert_eq!(again.settings(), settings);
        }
        Err(problems) => assert!(problems.to_string().contains("error: "), "{problems}"),
    }
}

/// What a mutation may put in: signs of YAML, and words that mean something somewhere.
fn token() -> impl Strategy<Value = String> {
    let words = [
        ":",
        " ",
        "\n",
        "\n  ",
        "-",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        "\"",
        "#",
        "&p ",
        "*p",
        "<<",
        "!!str ",
        "|",
        ">",
        "? ",
        "%",
        "---\n",
        "~",
        "null",
        "*",
        "os.environ/",
        "os.environ/KEY",
        "1e999",
        "-1",
        "nan",
        "model",
        "gpt",
        "chat",
        "organization: [a, b]",
        "blocked: true",
        "\t",
        "\0",
        "\u{feff}",
        "é",
    ];
    prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        ".{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_mutation_of_a_valid_file_is_read_or_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, token()), 1..6),
    ) {
        let mut text: Vec<char> = VALID.chars().collect();
        for (at, cut, new) in edits {
            let at = at.index(text.len().max(1)).min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, new.chars());
        }
        check(&text.into_iter().collect::<String>());
    }
}

#[test]
fn the_file_that_is_mutated_is_valid() {
    let plan = parse(VALID).expect("is valid");
    assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
}

#[test]
fn deep_nesting_is_refused() {
    for open in ["[", "{a: ", "- ", "? "] {
        let problems = parse(&open.repeat(100_000))
            .expect_err("is too deep")
            .to_string();
        // Of flow style the parser itself has enough, a little later.
        let told = ["nested more than 64 deep", "recursion limit exceeded"];
        assert!(
            told.iter().any(|text| problems.contains(text)),
            "{problems}"
        );
    }
}

#[test]
fn aliases_cannot_multiply_long_texts() {
    let text = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 20),
        "*a, ".repeat(1 << 16)
    );
    let problems = parse(&text).expect_err("is too much").to_string();
    assert!(problems.contains("more than 500000 values"), "{problems}");
}

#[test]
fn a_flood_of_problems_is_cut_and_hides_no_error() {
    let unknown: String = (0..5000).map(|i| format!("  zzz{i}: 1\n")).collect();
    let text = format!("general_settings:\n{unknown}  master_kex: 1\n");
    let problems = parse(&text).expect_err("the last line is wrong");
    assert_eq!(problems.iter().count(), 200);
    let told = problems.to_string();
    assert!(told.contains("did you mean `master_key`?"), "{told}");
    assert!(told.ends_with("more"), "{told}");
}

fn written(name: &str, content: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("can be written");
    path
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let missing = Plan::load("no/such/file.yaml")
        .expect_err("is missing")
        .to_string();
    assert!(
        missing.starts_with("no/such/file.yaml: error: cannot be read: "),
        "{missing}"
    );
    let binary = Plan::load(written("binary.yaml", b"a: b\nc: \xff\n")).expect_err("is no text");
    assert!(
        binary.to_string().ends_with("line 2 is not UTF-8"),
        "{binary}"
    );
    let long = Plan::load(written("long.yaml", &vec![b'#'; MAX_FILE + 1])).expect_err("is long");
    assert!(
        long.to_string().ends_with("is longer than 10485760 bytes"),
        "{long}"
    );
}

#[test]
fn a_file_is_read_by_its_path() {
    let plan = Plan::load(written("valid.yaml", VALID.as_bytes())).expect("is valid");
    assert_eq!(plan.deployments.len(), 5);
}

//! `ziggurat explain`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Done, file, run};

const CONFIG: &str = "
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o, api_key: sk-canary-1, order: 1}
    model_info: {id: eu}
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o, api_key: sk-canary-2, order: 2, timeout: 30}
    model_info: {id: us, supports_continuation: true}
  - model_name: big
    litellm_params: {model: openai/gpt-4.1, api_key: sk-canary-3}
    model_info: {id: spare, supports_continuation: true}
router_settings:
  num_retries: 2
  model_group_alias: {smart: gpt}
  fallbacks: [{gpt: [big]}]
  context_window_fallbacks: [{gpt: [big]}]
ziggurat_settings: {deadline: 60}
";

const CHAT: &str = r#"{"model": "gpt", "messages": [{"role": "user", "content": "hello there"}]}"#;
const STREAM: &str = r#"{"model": "gpt", "messages": [], "stream": true}"#;

fn config(test: &str) -> PathBuf {
    file(test, "config.yaml", CONFIG)
}

fn explain(config: &Path, request: &str, more: &[&str]) -> Done {
    let arguments = ["explain".as_ref(), config.as_os_str()];
    let more = ["--request", request]
        .into_iter()
        .chain(more.iter().copied());
    run(arguments.into_iter().chain(more.map(AsRef::as_ref)))
}

/// The story as text, without what applies.
fn replay(test: &str, request: &str, more: &[&str]) -> String {
    let told = explain(&config(test), request, more).ok();
    assert!(!told.contains("canary"), "{told}");
    let (_, replay) = told.split_once("what becomes of it").expect("is told");
    replay.to_owned()
}

/// The story as JSON.
fn story(test: &str, request: &str, more: &[&str]) -> Value {
    let more: Vec<_> = more.iter().copied().chain(["--json"]).collect();
    let told = explain(&config(test), request, &more).ok();
    assert!(!told.contains("canary"), "{told}");
    serde_json::from_str(&told).expect("is JSON")
}

/// Where the attempts went, when they began, and what came of them.
fn attempts(story: &Value) -> Vec<(String, f64, String)> {
    let attempts = story["replay"].as_array().expect("is a list").iter();
    let text = |it: &Value| it.as_str().expect("is a text").to_owned();
    let attempts = attempts.map(|it| {
        let at = it["at"].as_f64().expect("is a number");
        (text(&it["deployment"]), at, text(&it["outcome"]))
    });
    attempts.collect()
}

fn attempt(deployment: &str, at: f64, outcome: &str) -> (String, f64, String) {
    (deployment.to_owned(), at, outcome.to_owned())
}

/// Whether these texts stand in a story, in this order.
fn has_in_order(told: &str, parts: &[&str]) {
    let mut rest = told;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part}: {told}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn a_429_is_answered_by_another_deployment_and_rests_the_one_that_gave_it() {
    let told = replay("explain_429", CHAT, &["--fault", "eu=429:2s"]);
    has_in_order(
        &told,
        &[
            "0.000  attempt 1 at `eu` (openai/gpt-4o) of `gpt`: the first choice",
            "the provider plays 429:2s",
            "0.100  fails with rate_limited (429: a simulated 429), and wants 2 s",
            "speaks against the quota",
            "`eu` rests until 2.100 after rate_limited",
            "0.100  attempt 2 at `us` (openai/gpt-4o) of `gpt`: retry 1, at once",
            "0.400  answers",
            "0.400  the client has 200, and the whole answer",
            "attempts: 2, calls of providers: 2, retries: 1, fallbacks: 0",
            "x-litellm-attempted-retries: 1",
            "x-ziggurat-trail: eu=rate_limited/100ms, us=ok/300ms",
        ],
    );
}

#[test]
fn a_group_that_is_down_is_stood_in_for_by_its_fallback() {
    let story = story("explain_fallback", CHAT, &["--fault", "gpt=503*"]);
    let seen = attempts(&story);
    let (last, before) = seen.split_last().expect("there are attempts");
    assert!(
        before
            .iter()
            .all(|(_, _, outcome)| outcome == "unavailable"),
        "{seen:?}"
    );
    assert_eq!((last.0.as_str(), last.2.as_str()), ("spare", "ok"));
    let outcome = &story["outcome"];
    assert_eq!(
        (&outcome["status"], &outcome["fallbacks"]),
        (&json!(200), &json!(1))
    );
    assert_eq!(outcome["provider_calls"], seen.len());
    assert_eq!(outcome["headers"]["x-litellm-attempted-fallbacks"], "1");
    let why = &story["replay"][seen.len() - 1]["why"];
    let why = why.as_str().expect("is a text");
    assert!(
        why.contains("the group before failed with unavailable"),
        "{why}"
    );
    assert_eq!(story["replay"][seen.len() - 1]["group"], "big");
}

#[test]
fn a_request_that_is_too_long_goes_to_the_larger_model_at_once() {
    let story = story("explain_long", CHAT, &["--fault", "gpt=context_window*"]);
    let expected = [
        attempt("eu", 0.0, "context_window"),
        attempt("spare", 0.1, "ok"),
    ];
    assert_eq!(attempts(&story), expected);
}

#[test]
fn where_everything_fails_the_client_has_the_first_failure() {
    let told = replay(
        "explain_fails",
        CHAT,
        &["--fault", "gpt=500*", "--fault", "spare=connect*"],
    );
    has_in_order(
        &told,
        &[
            "fails with internal (500: a simulated 500)",
            "at `spare`",
            "the provider plays connect",
            "fails with connect (503: ",
            "the client has 500, and the error ",
            "nobody else is asked: retries made: ",
        ],
    );
}

#[test]
fn silence_costs_what_the_clocks_say() {
    let story = story(
        "explain_silence",
        STREAM,
        &[
            "--fault",
            "*=timeout*",
            "--header",
            "x-ziggurat-deadline: 12",
        ],
    );
    assert_eq!(story["request"]["deadline"], "12 s");
    let seen = attempts(&story);
    assert_eq!(seen[0], attempt("eu", 0.0, "timeout_first_token"));
    assert_eq!(
        seen[1].1, 6.0,
        "half of the time is left to others: {seen:?}"
    );
    assert_eq!(story["outcome"]["took"], 12.0);
    assert!(story["outcome"]["error"].is_string() && story["outcome"]["stopped"].is_string());
}

#[test]
fn a_stream_that_breaks_is_gone_on_with_by_who_can() {
    let story = story("explain_break", STREAM, &["--fault", "eu=break"]);
    let expected = [
        attempt("eu", 0.0, "stream_broken"),
        attempt("us", 0.3, "ok"),
    ];
    assert_eq!(attempts(&story), expected);
    let why = "goes on with the answer that broke off";
    assert_eq!(story["replay"][1]["why"], why);
    assert_eq!(
        (&story["outcome"]["status"], &story["outcome"]["error"]),
        (&json!(200), &Value::Null)
    );
}

#[test]
fn a_dead_key_uses_up_no_retry() {
    let request = CHAT.replacen('{', r#"{"num_retries": 1, "#, 1);
    let story = story(
        "explain_key",
        &request,
        &["--fault", "eu=401", "--fault", "us=500,ok"],
    );
    let seen = attempts(&story);
    assert_eq!(
        seen[..2],
        [
            attempt("eu", 0.0, "authentication"),
            attempt("us", 0.1, "internal")
        ]
    );
    assert_eq!(seen[2].0, "us", "{seen:?}");
    let why = story["replay"][1]["why"].as_str().expect("is a text");
    assert!(why.contains("uses up no retry"), "{why}");
    assert_eq!(story["outcome"]["retries"], 1);
}

#[test]
fn what_applies_is_told_with_its_source() {
    let request = CHAT.replace("gpt", "smart").replacen(
        '{',
        r#"{"tools": [{"type": "function"}], "stream": true, "#,
        1,
    );
    let told = explain(&config("explain_applies"), &request, &[]).ok();
    has_in_order(
        &told,
        &[
            "model           `smart`, which leads to `gpt`",
            "operation       chat_completions, streamed",
            "needs           function_calling",
            "deadline        60 s",
            "attempts        at most 6",
            "priority-queue  off",
            "fallback        fallbacks: big (line 15)",
            "context_window_fallbacks: big (line 16)",
            "content_policy_fallbacks: none",
            "num_retries 2 (line 13)",
            "load-balance    strategy simple-shuffle",
            "cooldown        a first rest of 5s (default)",
            "`us`: 30 s to the first token; 10",
            "deployment `us`: timeout 30s (line 7)",
            "`gpt`: 2 of 2 deployments may serve",
            "> eu: may serve, order 1, would be chosen now",
        ],
    );
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let more = ["--fault", "*=500*", "--seed", "7"];
    let told = || replay("explain_seed", CHAT, &more);
    assert_eq!(told(), told());
}

#[test]
fn embeddings_and_completions_are_told_by_their_members() {
    // A model of which it is not known what it is for.
    let text = CONFIG.replace("gpt-4o", "m");
    let config = file("explain_operation", "config.yaml", &text);
    for (request, operation) in [
        (r#"{"model": "gpt", "input": "x"}"#, "embeddings"),
        (r#"{"model": "gpt", "prompt": "x"}"#, "completions"),
    ] {
        let told = explain(&config, request, &["--fault", "eu=500", "--json"]).ok();
        let story: Value = serde_json::from_str(&told).expect("is JSON");
        assert_eq!(story["request"]["operation"], operation);
        let expected = [attempt("eu", 0.0, "internal"), attempt("us", 0.1, "ok")];
        assert_eq!(attempts(&story), expected);
    }
}

#[test]
fn a_team_falls_back_by_its_own_list() {
    let teams =
        ", fallbacks_for: {teams: {red: {fallbacks: [{gpt: [{model: big, temperature: 0}]}]}}}}";
    let text = CONFIG.replace("deadline: 60}", &format!("deadline: 60{teams}"));
    let config = file("explain_caller", "config.yaml", &text);
    let told = explain(&config, CHAT, &["--team", "red"]).ok();
    assert!(
        told.contains("fallbacks: big with temperature (line 17)"),
        "{told}"
    );
    let told = explain(&config, CHAT, &["--team", "blue"]).ok();
    assert!(told.contains("fallbacks: big (line 15)"), "{told}");
}

#[test]
fn where_nobody_may_serve_nothing_is_attempted() {
    let config = file(
        "explain_nobody",
        "config.yaml",
        &CONFIG.replace("id: spare", "id: spare, team_id: red"),
    );
    let request = CHAT.replace("gpt", "big");
    let told = explain(&config, &request, &["--json"]).ok();
    let story: Value = serde_json::from_str(&told).expect("is JSON");
    assert_eq!(
        (&story["replay"], &story["outcome"]["attempts"]),
        (&json!([]), &json!(0))
    );
    assert_eq!(story["outcome"]["stopped"], "no deployment could be asked");
    assert_eq!(story["deployments"][0]["left_out_by"], "team");
    let told = explain(&config, &request, &["--team", "red"]).ok();
    assert!(told.contains("the client has 200"), "{told}");
}

#[test]
fn what_is_wrong_is_told() {
    let config = config("explain_wrong");
    for (request, more, words) in [
        (
            CHAT,
            &["--fault", "eu=sometimes"][..],
            "`sometimes` is no fault; it is a status",
        ),
        (
            CHAT,
            &["--fault", "eu"],
            "--fault eu: it is DEPLOYMENT=FAULT",
        ),
        (
            CHAT,
            &["--fault", "eo=500"],
            "did you mean `eu`? Deployments: eu, us, spare",
        ),
        (
            CHAT,
            &["--fault", "nowhere-at-all=500"],
            "no model group. Deployments: eu, us, spare",
        ),
        (CHAT, &["--fault", "eu=500*,429"], "nothing comes after it"),
        (
            CHAT,
            &["--header", "nonsense"],
            "--header nonsense: it is NAME:VALUE",
        ),
        (
            CHAT,
            &["--header", "x-ziggurat-deadline: soon"],
            "`x-ziggurat-deadline`",
        ),
        ("{", &[], "--request: the body is not valid JSON"),
        ("{}", &[], "--request: the body has no `model`"),
        (r#"{"model": "gpx"}"#, &[], "did you mean `gpt`?"),
        ("@/nothing/here.json", &[], "/nothing/here.json: "),
    ] {
        let told = explain(&config, request, more).failed();
        assert!(told.contains(words), "{words}: {told}");
    }
    let missing = config.with_file_name("missing.yaml");
    assert!(
        explain(&missing, CHAT, &[])
            .failed()
            .contains("missing.yaml")
    );
}

#[test]
fn an_answer_that_a_deployment_plays_itself_is_no_call() {
    let text = CONFIG.replace("order: 1", "order: 1, mock_response: hello");
    let config = file("explain_mock", "config.yaml", &text);
    let told = explain(&config, CHAT, &["--fault", "eu=500*", "--json"]).ok();
    let story: Value = serde_json::from_str(&told).expect("is JSON");
    assert_eq!(attempts(&story), [attempt("eu", 0.0, "ok")]);
    assert_eq!(story["replay"][0]["provider"], "a mock answer");
    assert_eq!(story["outcome"]["provider_calls"], 0);
}

#[test]
fn a_fallback_that_is_asked_first_is_told_as_one() {
    let config = file("explain_first", "config.yaml", CONFIG);
    let request = CHAT.replacen('{', r#"{"mock_testing_fallbacks": true, "#, 1);
    let refused = explain(&config, &request, &[]).failed();
    assert!(
        refused.contains("`mock_testing_fallbacks` is for tests"),
        "{refused}"
    );
    let allowed = format!(
        "{CONFIG}general_settings: {{dangerously_allow_mock_testing_request_params: true}}\n"
    );
    let config = file("explain_first", "config.yaml", &allowed);
    let told = explain(&config, &request, &["--json"]).ok();
    let story: Value = serde_json::from_str(&told).expect("is JSON");
    assert_eq!(attempts(&story), [attempt("spare", 0.0, "ok")]);
    let why = story["replay"][0]["why"].as_str().expect("is a text");
    assert!(why.starts_with("fallback 1"), "{why}");
    assert_eq!(story["request"]["asks for"], "mock_testing_fallbacks");
}

#[test]
fn the_help_shows_faults_and_examples() {
    let help = run(["explain", "--help"]).ok();
    has_in_order(
        &help,
        &[
            "Faults:",
            "context_window  content_policy",
            "Examples:",
            "--fault eu=429:2s,ok:3s",
            "--fault 'gpt=503*'",
        ],
    );
    let help = run(["serve", "--help"]).ok();
    for part in [
        "/health?check=false",
        "x-ziggurat-first-token-timeout",
        "x-ziggurat-idle-timeout",
        "x-ziggurat-deadline",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

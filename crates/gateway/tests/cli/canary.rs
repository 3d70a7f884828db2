//! A canary in the place of every secret: no command prints it.

use crate::support::{Done, file, run};

/// In every secret.
const CANARY: &str = "canary";

const CONFIG: &str = r#"
model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_key: sk-canary-1, extra_headers: {X-Key: canary-2}, organization: org-1}, model_info: {id: openai}}
  - {model_name: gpt, litellm_params: {model: azure/m, api_base: "https://x.example?code=canary-3", azure_ad_token: canary-4}, model_info: {id: azure}}
  - {model_name: gpt, litellm_params: {model: azure/m, api_base: "https://x.example", tenant_id: t, client_id: c, client_secret: canary-5}, model_info: {id: entra}}
  - {model_name: gpt, litellm_params: {model: anthropic/m, api_key: sk-ant-oat-canary}, model_info: {id: anthropic}}
  - {model_name: gpt, litellm_params: {model: gemini/m, api_key: canary-6}, model_info: {id: gemini}}
  - model_name: gpt
    litellm_params:
      {model: vertex_ai/m, vertex_project: p, vertex_location: eu, vertex_credentials: '{"type": "authorized_user", "client_id": "c", "client_secret": "canary-7", "refresh_token": "canary-8"}'}
    model_info: {id: vertex}
  - {model_name: gpt, litellm_params: {model: bedrock/m, aws_region_name: eu, aws_access_key_id: AKIAcanary, aws_secret_access_key: canary-9, aws_session_token: canary-10}, model_info: {id: bedrock}}
  - {model_name: gpt, litellm_params: {model: cohere/m, api_key: canary-11}, model_info: {id: cohere}}
  - {model_name: gpt, litellm_params: {model: ollama/m, api_key: canary-12}, model_info: {id: ollama}}
general_settings: {master_key: sk-canary-13, allow_client_side_credentials: true}
router_settings: {num_retries: 1}
ziggurat_settings:
  keys: [{name: alice, key: sk-canary-0123456789, team: red, models: [gpt], rpm_limit: 7}]
  teams: [{name: red}]
"#;

const CHAT: &str =
    r#"{"model": "gpt", "messages": [{"role": "user", "content": "hi"}], "api_key": "canary-14"}"#;

fn assert_is_clean(done: &Done) {
    assert!(!format!("{done:?}").contains(CANARY), "{done:?}");
}

#[test]
fn no_command_prints_a_secret() {
    let config = file("secrets", "config.yaml", CONFIG);
    let config = config.to_str().expect("is text");
    let header = "authorization:Bearer canary-15";
    for arguments in [
        vec!["check", config],
        vec!["check", config, "--request", CHAT],
        vec!["explain", config, "--request", CHAT],
        vec!["explain", config, "--request", CHAT, "--json"],
        vec!["explain", config, "--request", CHAT, "--header", header],
        vec!["check", config, "--request", CHAT, "--key", "alice"],
        vec!["explain", config, "--request", CHAT, "--key", "alice"],
    ] {
        let done = run(&arguments);
        assert_is_clean(&done);
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
    }
    for fault in [
        "500",
        "401",
        "429:7",
        "timeout",
        "connect",
        "context_window",
        "break",
        "empty",
    ] {
        let fault = format!("openai={fault}");
        assert_is_clean(&run([
            "explain",
            config,
            "--request",
            CHAT,
            "--fault",
            &fault,
        ]));
    }
}

#[test]
fn no_complaint_about_a_file_prints_a_secret() {
    for (name, before, after) in [
        ("quote", "api_key: sk-canary-1", "api_key: \"sk-canary-1"),
        ("kind", "api_key: canary-6", "api_key: [canary-6]"),
        ("unknown", "api_key: canary-6", "api_kei: canary-6"),
        (
            "control",
            "api_key: canary-6",
            "api_key: \"canary-6\\u0001\"",
        ),
        (
            "url",
            "https://x.example?code=canary-3",
            "https://u:canary@x.example",
        ),
        ("file", "'{\"type\"", "'{type"),
        (
            "key",
            "master_key: sk-canary-13",
            "master_key: {a: sk-canary-13}",
        ),
    ] {
        let text = CONFIG.replace(before, after);
        assert_ne!(text, CONFIG, "{name}");
        let config = file("secrets_broken", name, &text);
        let done = run(["check".as_ref(), config.as_os_str()]);
        assert_is_clean(&done);
        assert_eq!(done.code, Some(1), "{name}: {done:?}");
    }
}

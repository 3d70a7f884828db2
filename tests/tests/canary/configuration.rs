//! Configurations that cannot be carried out.

use serde_json::{Value, json};
use ziggurat::{Router, config::Plan};

use crate::{
    canaries::{
        API_KEY, AWS_SECRET, CALLER, CLIENT_SECRET, HASH, HEADER, MASTER, ORGANIZATION,
        PRIVATE_KEY, REFRESH,
    },
    deployments,
    world::{clean, config},
};

/// What is said of a configuration, which is not carried out.
fn refused(text: &str) {
    let said = match Plan::parse(text, "test.yaml", |_| None) {
        Err(problems) => format!("{problems} {problems:?}"),
        Ok(plan) => {
            clean(
                "the plan",
                &format!("{plan:?} {} {:?}", plan.explanation(), plan.warnings()),
            );
            let Err(error) = Router::check(&plan) else {
                panic!("it is carried out: {text}");
            };
            format!("{error} {error:?} {}", error.to_json())
        }
    };
    clean("a refusal", &said);
}

/// A configuration of one deployment.
fn one(params: &Value) -> String {
    let deployment = json!({"model_name": "gpt", "litellm_params": params});
    config(&[deployment]).to_string()
}

#[test]
fn a_deployment_that_cannot_be_called_tells_no_secret() {
    let account = |key: &str, uri: &str| {
        let file = json!({
            "type": "service_account", "client_email": "a@b.example", "private_key": key,
            "token_uri": uri,
        });
        file.to_string()
    };
    let google = "https://oauth2.googleapis.com/token";
    let vertex = |credentials: &str| {
        json!({
            "model": "vertex_ai/m", "vertex_project": "p", "vertex_location": "eu",
            "vertex_credentials": credentials,
        })
    };
    let user = json!({
        "type": "authorized_user", "client_secret": CLIENT_SECRET, "refresh_token": REFRESH,
        "token_uri": "nowhere",
    });
    for params in [
        json!({"model": "openai/m", "api_key": format!("{API_KEY}\u{1}")}),
        json!({"model": "openai/m", "api_key": format!("{API_KEY}\n{API_KEY}")}),
        json!({"model": "anthropic/m", "api_key": format!("{API_KEY}\u{7f}{API_KEY}")}),
        json!({"model": "gemini/m", "api_key": format!("ä\u{0}{API_KEY}")}),
        json!({"model": "openai/m", "api_key": [API_KEY]}),
        json!({"model": "openai/m", "api_key": {"x": API_KEY}}),
        json!({"model": "openai/m", "api_key": API_KEY, "api_base": format!("https://u:{HEADER}@x.example")}),
        json!({"model": "openai/m", "api_key": API_KEY, "api_base": format!("ftp://x.example/?key={HEADER}")}),
        json!({"model": "openai/m", "api_key": API_KEY, "extra_headers": {"bad name": HEADER}}),
        json!({"model": "openai/m", "api_key": API_KEY, "extra_headers": {"x": format!("{HEADER}\n")}}),
        json!({"model": "openai/m", "api_key": API_KEY, "extra_headers": {"content-length": HEADER}}),
        json!({"model": "openai/m", "api_key": API_KEY, "extra_headers": HEADER}),
        json!({"model": "openai/m", "api_key": API_KEY, "organization": {"x": ORGANIZATION}}),
        json!({"model": "nobody/m", "api_key": API_KEY}),
        json!({"model": "bedrock/m", "aws_secret_access_key": AWS_SECRET}),
        json!({
            "model": "bedrock/m", "aws_region_name": "eu", "aws_access_key_id": "x\u{1}",
            "aws_secret_access_key": AWS_SECRET, "aws_session_token": format!("{AWS_SECRET}\u{1}"),
        }),
        json!({
            "model": "azure/m", "api_base": "https://x.example", "tenant_id": "t", "client_id": "c",
            "client_secret": CLIENT_SECRET, "azure_authority_host": "not an address",
        }),
        vertex(&account(&PRIVATE_KEY[..200], google)),
        vertex(&account(PRIVATE_KEY, "http://x.example/token")),
        vertex(&account(PRIVATE_KEY, "not an address")),
        vertex(&account(PRIVATE_KEY, google)[..900]),
        vertex(&user.to_string()),
        vertex(CLIENT_SECRET),
    ] {
        refused(&one(&params));
    }
}

#[test]
fn a_key_of_a_caller_that_is_wrong_tells_no_secret() {
    for key in [
        json!({"key": CALLER}),
        json!({"name": "a", "key": CALLER, "hash": HASH}),
        json!({"name": "a", "hash": CALLER}),
        json!({"name": "a", "hash": HASH}),
        json!({"name": "a", "hash": format!("sha256:{HASH}0")}),
        json!({"name": "a", "key": format!(" {CALLER}")}),
        json!({"name": "a", "key": [CALLER]}),
        json!({"name": "a", "key": {"x": CALLER}}),
        json!({"name": "a", "key": MASTER}),
        json!({"name": "a", "key": CALLER, "expires": CALLER}),
        json!({"name": "a", "key": CALLER, "budget_duration": CALLER}),
        json!({"name": "a", "key": CALLER, "team": CALLER}),
        json!(CALLER),
    ] {
        let file = json!({
            "general_settings": {"master_key": MASTER},
            "ziggurat_settings": {"keys": [key]},
        });
        refused(&file.to_string());
    }
}

#[test]
fn a_file_that_cannot_be_read_tells_no_secret() {
    let address = "127.0.0.1:1".parse().expect("is an address");
    let whole = format!("{:#}", config(&deployments::all(address)));
    let line =
        |line: &str| format!("model_list:\n  - model_name: gpt\n    litellm_params:\n{line}");
    let model = "      model: openai/m\n";
    for text in [
        whole.replace("\"openai/m\"", "\"openai/m"),
        whole.replace("\"num_retries\": 0", "\"num_retries\": [0"),
        whole.replace("\"num_retries\": 0", "\"num_retries\": \"often\""),
        line(&format!("{model}      api_key: \"{MASTER}\n")),
        line(&format!(
            "{model}      api_key: {MASTER}\n     {MASTER}: x\n"
        )),
        line(&format!("{model}      api_key: !secret {MASTER}\n")),
        line(&format!(
            "{model}      api_key: &{MASTER} x\n      api_base: *{ORGANIZATION}\n"
        )),
        line(&format!("{model}      rpm: {MASTER}\n")),
        line(&format!(
            "{model}      api_key: {MASTER}\n      api_key: {ORGANIZATION}\n"
        )),
    ] {
        refused(&text);
    }
}

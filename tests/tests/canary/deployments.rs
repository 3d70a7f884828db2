//! Deployments of every dialect, with every way to prove who asks.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::canaries::{
    AD_TOKEN, API_KEY, AWS_ID, AWS_SECRET, AWS_SESSION, CLIENT_SECRET, HEADER, MINTED, OAUTH,
    ORGANIZATION, PRIVATE_KEY, REFRESH,
};

/// The groups that [`all`] has, each of one deployment, and the dialect that each is answered in.
pub(crate) const GROUPS: [(&str, Dialect); 18] = [
    ("openai", Dialect::OpenAi),
    ("headers", Dialect::OpenAi),
    ("mistral", Dialect::OpenAi),
    ("azure", Dialect::OpenAi),
    ("azure-token", Dialect::OpenAi),
    ("azure-entra", Dialect::OpenAi),
    ("anthropic", Dialect::Anthropic),
    ("anthropic-oauth", Dialect::Anthropic),
    ("gemini", Dialect::Google),
    ("vertex", Dialect::Google),
    ("vertex-user", Dialect::Google),
    ("vertex-account", Dialect::Google),
    ("bedrock", Dialect::Bedrock),
    ("bedrock-key", Dialect::Bedrock),
    ("bedrock-invoke", Dialect::Invoke),
    ("cohere", Dialect::Cohere),
    ("ollama", Dialect::Ollama),
    ("voyage", Dialect::OpenAi),
];

/// How a group is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
    Google,
    Bedrock,
    Invoke,
    Cohere,
    Ollama,
}

/// The secrets of the deployment of a group.
pub(crate) fn secrets(group: &str) -> &'static [&'static str] {
    match group {
        "headers" => &[API_KEY, ORGANIZATION, HEADER],
        "azure-token" => &[AD_TOKEN],
        "azure-entra" => &[CLIENT_SECRET, MINTED],
        "anthropic-oauth" => &[OAUTH],
        "vertex-user" => &[CLIENT_SECRET, REFRESH, MINTED],
        "vertex-account" => &[MINTED],
        "bedrock" | "bedrock-invoke" => &[AWS_ID, AWS_SECRET, AWS_SESSION],
        _ => &[API_KEY],
    }
}

/// A deployment for each of the groups, at that address.
pub(crate) fn all(provider: SocketAddr) -> Vec<Value> {
    let base = format!("http://{provider}");
    at(&base, provider)
}

/// The same at another address; tokens are given at the old one.
pub(crate) fn at(base: &str, provider: SocketAddr) -> Vec<Value> {
    let user = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH, "token_uri": format!("http://{provider}/token"),
    });
    let account = json!({
        "type": "service_account", "client_email": "a@b.example", "private_key": PRIVATE_KEY,
        "private_key_id": "k", "token_uri": format!("http://{provider}/token"),
    });
    let aws = json!({
        "aws_access_key_id": AWS_ID, "aws_secret_access_key": AWS_SECRET,
        "aws_session_token": AWS_SESSION, "aws_region_name": "eu-west-1",
    });
    let key = json!({"api_key": API_KEY});
    let place = json!({"vertex_project": "p", "vertex_location": "eu"});
    let given = |group: &str| match group {
        "headers" => json!({
            "model": "openai/m", "api_key": API_KEY,
            "extra_headers": {
                "OpenAI-Organization": ORGANIZATION, "X-Proxy-Auth": format!("Bearer {HEADER}"),
            },
        }),
        "azure-token" => json!({"model": "azure/m", "azure_ad_token": AD_TOKEN}),
        "azure-entra" => json!({
            "model": "azure/m", "tenant_id": "t", "client_id": "c",
            "client_secret": CLIENT_SECRET, "azure_authority_host": format!("http://{provider}"),
        }),
        "anthropic-oauth" => json!({"model": "anthropic/m", "api_key": OAUTH}),
        "vertex" => with(json!({"model": "vertex_ai/gemini-m"}), &[&place, &key]),
        "vertex-user" => with(
            json!({"model": "vertex_ai/gemini-m", "vertex_credentials": user.to_string()}),
            &[&place],
        ),
        "vertex-account" => with(
            json!({"model": "vertex_ai/gemini-m", "vertex_credentials": account.to_string()}),
            &[&place],
        ),
        "bedrock" => with(json!({"model": "bedrock/amazon.nova-m"}), &[&aws]),
        "bedrock-invoke" => with(
            json!({"model": "bedrock/invoke/anthropic.claude-m"}),
            &[&aws],
        ),
        "bedrock-key" => with(
            json!({"model": "bedrock/amazon.nova-m", "aws_region_name": "eu-west-1"}),
            &[&key],
        ),
        other => with(json!({"model": format!("{other}/m")}), &[&key]),
    };
    let deployment = |(group, _): &(&str, Dialect)| {
        let mut params = given(group);
        params["api_base"] = base.into();
        json!({"model_name": group, "litellm_params": params, "model_info": {"id": group}})
    };
    GROUPS.iter().map(deployment).collect()
}

fn with(mut params: Value, more: &[&Value]) -> Value {
    for more in more {
        let more = more.as_object().expect("is an object").clone();
        params.as_object_mut().expect("is an object").extend(more);
    }
    params
}

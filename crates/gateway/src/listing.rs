//! The lists of models and deployments.

use axum::{Json, extract::State};
use serde_json::{Value, json};
use ziggurat::Deployment;

use crate::Gateway;

/// `GET /v1/models`: the names that can be asked for.
pub(crate) async fn models(State(gateway): State<Gateway>) -> Json<Value> {
    let snapshot = gateway.deployments().load();
    let data: Vec<_> = snapshot
        .names()
        .iter()
        .map(|name| json!({"id": name, "object": "model", "created": 1_677_610_602, "owned_by": "openai"}))
        .collect();
    Json(json!({"object": "list", "data": data}))
}

/// `GET /model/info`: each deployment.
pub(crate) async fn model_info(State(gateway): State<Gateway>) -> Json<Value> {
    let snapshot = gateway.deployments().load();
    let mut deployments: Vec<_> = snapshot.deployments().collect();
    deployments.sort_by_key(|deployment| (deployment.group().to_owned(), deployment.id().clone()));
    let data: Vec<_> = deployments
        .into_iter()
        .map(|deployment| describe(deployment))
        .collect();
    Json(json!({"data": data}))
}

/// What may be told of a deployment: no credential, no headers, no query or user of its URL.
fn describe(deployment: &Deployment) -> Value {
    let base = deployment.public_base_url();
    let timeouts = deployment.timeouts();
    let prices = deployment.prices();
    let params = json!({
        "model": format!("{}/{}", deployment.provider(), deployment.model()),
        "api_base": base,
        "weight": deployment.weight(),
        "order": deployment.order(),
        "rpm": deployment.rpm(),
        "tpm": deployment.tpm(),
        "max_parallel_requests": deployment.max_parallel(),
        "tags": deployment.tags(),
        "region_name": deployment.region(),
        "timeout": timeouts.attempt.map(|t| t.as_secs_f64()),
        "stream_timeout": timeouts.stream.map(|t| t.as_secs_f64()),
        "cooldown_time": deployment.cooldown_time().map(|t| t.as_secs_f64()),
    });
    let mut info = json!({
        "id": deployment.id().as_str(),
        "mode": deployment.mode().map(ziggurat::Mode::as_str),
        "max_input_tokens": deployment.max_input_tokens(),
        "max_output_tokens": deployment.max_output_tokens(),
        "input_cost_per_token": prices.input,
        "output_cost_per_token": prices.output,
        "cache_read_input_token_cost": prices.cached_input,
        "cache_creation_input_token_cost": prices.cache_write,
        "team_id": deployment.team(),
        "blocked": deployment.is_blocked().then_some(true),
    });
    let capabilities = deployment.capabilities();
    for (set, has) in [(capabilities.yes(), true), (capabilities.no(), false)] {
        for capability in set.iter() {
            info[format!("supports_{capability}")] = json!(has);
        }
    }
    json!({
        "model_name": deployment.group(),
        "litellm_params": without_nulls(params),
        "model_info": without_nulls(info),
    })
}

/// An object without the members of which nothing is known.
pub(crate) fn without_nulls(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    value
}

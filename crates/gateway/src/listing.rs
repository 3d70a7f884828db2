//! The lists of models and deployments.

use axum::{Extension, Json, extract::State};
use serde_json::{Value, json};
use ziggurat::Deployment;

use crate::{Gateway, Identity, key_info::Manager, passing::may_ask_for};

/// `GET /v1/models`: the names that whoever asks can ask for.
pub(crate) async fn models(
    State(gateway): State<Gateway>,
    identity: Option<Extension<Identity>>,
) -> Json<Value> {
    let snapshot = gateway.deployments().load();
    let caller = identity.as_ref().and_then(|it| it.caller()).map(|it| &**it);
    let listed = snapshot.names().iter();
    let listed = listed.filter(|name| may_ask_for(&snapshot, caller, name));
    let team = caller.and_then(|it| it.team.as_deref());
    let own = team.into_iter().flat_map(|team| snapshot.team_models(team));
    let mut own: Vec<_> = own.collect();
    own.sort_unstable();
    let may_use = |name: &str| {
        let lists = caller.map(|it| it.models.as_slice()).unwrap_or_default();
        lists.iter().all(|models| models.allows(name))
    };
    let listed = listed.chain(own.into_iter().filter(|name| may_use(name)));
    let data: Vec<_> = listed
        .map(|name| json!({"id": name, "object": "model", "created": 1_677_610_602, "owned_by": "openai"}))
        .collect();
    Json(json!({"object": "list", "data": data}))
}

/// `GET /model/info`: each deployment, for who may manage them.
pub(crate) async fn model_info(_: Manager, State(gateway): State<Gateway>) -> Json<Value> {
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

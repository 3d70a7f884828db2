//! What the gateway tells of its router, and what it is told.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{Method, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use ziggurat::{Error, ErrorKind, GroupInfo, GroupUsage, Router, auto_route::ChoiceId};

use crate::{
    Gateway, Identity,
    app::{error_response, no_route},
    key_info::Manager,
    listing::without_nulls,
    passing::may_ask_for,
};

/// Which group is asked for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Asked {
    model_group: Option<String>,
}

/// `GET /model_group/info`: each group that whoever asks can ask for, or the one that is named.
pub(crate) async fn groups(
    State(gateway): State<Gateway>,
    identity: Option<Extension<Identity>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Some(router) = gateway.the_router() else {
        return missing(Method::GET, "/model_group/info").await;
    };
    let Query(asked) = match asked {
        Ok(asked) => asked,
        Err(rejection) => return error_response(&bad(rejection.body_text())),
    };
    let snapshot = router.deployments().load();
    let caller = identity.as_ref().and_then(|it| it.caller()).map(|it| &**it);
    let group = |name: &str| {
        let info = router.group_info(name)?;
        if !may_ask_for(&snapshot, caller, name) {
            return None;
        }
        let usage = router.group_usage(name).unwrap_or_default();
        Some(describe(&info, usage))
    };
    let data: Vec<_> = match &asked.model_group {
        Some(name) => group(name).into_iter().collect(),
        None => snapshot
            .names()
            .iter()
            .filter_map(|name| group(name))
            .collect(),
    };
    Json(json!({"data": data})).into_response()
}

fn describe(info: &GroupInfo, usage: GroupUsage) -> Value {
    let mut told = json!({
        "model_group": info.name,
        "providers": info.providers,
        "num_deployments": info.deployments,
        "mode": info.mode.map(ziggurat::Mode::as_str),
        "max_input_tokens": info.max_input_tokens,
        "max_output_tokens": info.max_output_tokens,
        "input_cost_per_token": info.input_price,
        "output_cost_per_token": info.output_price,
        "rpm": info.rpm,
        "tpm": info.tpm,
        "supported_openai_params": info.fields.map(|fields| fields.names().collect::<Vec<_>>()),
        "access_groups": info.access_groups,
        "usage": without_nulls(json!({
            "in_flight": usage.in_flight,
            "in_flight_limit": usage.capacity,
            "requests": usage.requests,
            "tokens": usage.tokens,
            "requests_left": usage.requests_left,
            "tokens_left": usage.tokens_left,
        })),
    });
    for capability in info.capabilities.iter() {
        told[format!("supports_{capability}")] = json!(true);
    }
    without_nulls(told)
}

/// `GET /router/settings`: the settings that hold, for who may manage them.
pub(crate) async fn settings(_: Manager, State(gateway): State<Gateway>) -> Response {
    match gateway.the_router() {
        Some(router) => Json(json!({"current_values": router.settings()})).into_response(),
        None => missing(Method::GET, "/router/settings").await,
    }
}

/// What a caller says of an answer.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    /// The id in `x-ziggurat-route`.
    choice: String,
    /// From 0 to 1.
    outcome: f64,
}

/// `POST /outcome`: how good an answer was whose group was learned.
pub(crate) async fn outcome(
    State(gateway): State<Gateway>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(router) = gateway.the_router() else {
        return missing(Method::POST, "/outcome").await;
    };
    let body = body.map_err(|it| bad(it.body_text()).with_status(it.status()));
    match body.and_then(|body| report(router, &body)) {
        Ok(()) => Json(json!({"status": "taken"})).into_response(),
        Err(error) => error_response(&error),
    }
}

pub(crate) fn bad(message: String) -> Error {
    Error::new(ErrorKind::BadRequest, message)
}

fn report(router: &Router, body: &[u8]) -> Result<(), Error> {
    let told: Outcome = serde_json::from_slice(body).map_err(|error| {
        bad(format!(
            "the body must be {{\"choice\": …, \"outcome\": 0 to 1}}: {error}"
        ))
    })?;
    if !(0.0..=1.0).contains(&told.outcome) {
        return Err(bad("`outcome` must be a number from 0 to 1".into()).with_param("outcome"));
    }
    let choice = parse(&told.choice).ok_or_else(|| {
        bad("`choice` must be the 16 digits at the end of `x-ziggurat-route`".into())
            .with_param("choice")
    })?;
    if router.report_outcome(choice, told.outcome) {
        return Ok(());
    }
    let message = "the choice is not remembered: it is too old, or was reported on before";
    Err(Error::new(ErrorKind::NotFound, message)
        .with_param("choice")
        .with_code("unknown_choice"))
}

fn parse(choice: &str) -> Option<ChoiceId> {
    let digits = choice.bytes().all(|byte| byte.is_ascii_hexdigit());
    choice.parse().ok().filter(|_| digits && choice.len() == 16)
}

pub(crate) async fn missing(method: Method, path: &'static str) -> Response {
    no_route(method, Uri::from_static(path)).await
}

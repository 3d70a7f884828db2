//! `GET /health`: which deployments are in order.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::Method,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use ziggurat::{
    Router, cooldown,
    health::{Checkup, Report},
};

use crate::{
    Gateway,
    app::error_response,
    key_info::Manager,
    listing::without_nulls,
    tell::{bad, missing},
};

/// How it is asked for.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Asked {
    /// Whether the deployments are checked now. If nobody says so they are, unless checks are made
    /// in the background.
    check: Option<bool>,
}

/// `GET /health`: what checks say of each deployment, and what requests have shown. For who may manage
/// them: a check costs money.
pub(crate) async fn health(
    _: Manager,
    State(gateway): State<Gateway>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Some(router) = gateway.the_router() else {
        return missing(Method::GET, "/health").await;
    };
    let Query(asked) = match asked {
        Ok(asked) => asked,
        Err(rejection) => return error_response(&bad(rejection.body_text())),
    };
    let is_checked = || router.plan().general.health.enabled;
    let report = match asked.check.unwrap_or_else(|| !is_checked()) {
        true => router.check_health().await,
        false => router.health().report(),
    };
    Json(describe(router, &report)).into_response()
}

fn describe(router: &Router, report: &Report) -> Value {
    let now = Instant::now();
    let list =
        |of: &[Checkup]| -> Vec<Value> { of.iter().map(|it| endpoint(router, it, now)).collect() };
    json!({
        "healthy_endpoints": list(report.healthy()),
        "unhealthy_endpoints": list(report.unhealthy()),
        "unknown_endpoints": list(report.unknown()),
        "healthy_count": report.healthy().len(),
        "unhealthy_count": report.unhealthy().len(),
        "unknown_count": report.unknown().len(),
    })
}

/// What may be told of a deployment's health.
fn endpoint(router: &Router, checkup: &Checkup, now: Instant) -> Value {
    let deployment = checkup.deployment();
    let verdict = checkup.verdict();
    let error = verdict.and_then(|verdict| {
        let kind = verdict.error_kind()?.as_str();
        Some(json!({"kind": kind, "message": verdict.error_message()}))
    });
    let millis = |time: std::time::Duration| time.as_millis() as u64;
    let id = deployment.id();
    let known = router.cooldown().health(id);
    let (state, until, because) = match known.state {
        cooldown::State::Resting { until, because } => ("resting", Some(until), Some(because)),
        cooldown::State::HalfOpen { because } => ("half_open", None, Some(because)),
        _ => ("serving", None, None),
    };
    let slow_start = router.stats(id).slow_start;
    without_nulls(json!({
        "model": format!("{}/{}", deployment.provider(), deployment.model()),
        "model_id": id.as_str(),
        "model_name": deployment.group(),
        "api_base": deployment.public_base_url(),
        "provider": deployment.provider(),
        "error": error,
        "checked_ms_ago": verdict.map(|it| millis(now.saturating_duration_since(it.checked_at()))),
        "took_ms": verdict.map(|it| millis(it.took())),
        "state": state,
        "rests_for_ms": until.map(|until| millis(until.saturating_duration_since(now))),
        "because": because.map(ziggurat::ErrorKind::as_str),
        "failures_in_a_row": known.failures,
        "rests_in_a_row": known.rests,
        "in_flight": router.stats(id).in_flight,
        "in_flight_limit": router.in_flight_limit(deployment),
        "slow_start_percent": slow_start.map(|it| it.percent),
    }))
}

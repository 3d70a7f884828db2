//! What a key is told of itself, and what only some may see.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::Response,
};
use serde_json::{Map, Value, json};
use ziggurat::{
    Caller, Error, ErrorKind, LimitLeft, Router,
    config::{CallerLimits, Callers, ModelLimits},
    rate_limit::{Measure, Subject, money},
};

use crate::{Gateway, Identity, app::error_response, limits::left_in_json, listing::without_nulls};

/// Somebody who may see what concerns all callers.
pub(crate) struct Manager;

impl<S: Sync> FromRequestParts<S> for Manager {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let identity = parts.extensions.get::<Identity>();
        if identity.is_none_or(Identity::may_manage) {
            return Ok(Self);
        }
        let message = "this is for the master key alone (`general_settings.master_key`)";
        let error = Error::new(ErrorKind::Permission, message).with_code("master_key_only");
        Err(error_response(&error))
    }
}

/// `GET /key/info`: what the key may do that is presented, under the names of the file, and what is
/// left of it.
pub(crate) async fn key_info(
    State(gateway): State<Gateway>,
    identity: Option<Extension<Identity>>,
) -> Json<Value> {
    let caller = identity.as_ref().and_then(|it| it.caller());
    let Some(caller) = caller else {
        return Json(json!({"key": null, "info": {}}));
    };
    let policy = gateway.policies().load();
    // The names of another identity need not be those of the file.
    let callers = (policy.own.is_none()).then(|| policy.keys.callers());
    let mut told = info(caller, callers);
    if let Some(router) = gateway.the_router() {
        add_left(&mut told, caller, router);
    }
    Json(json!({"key": caller.key, "info": told}))
}

/// Adds what is left of each limit, and what the key has spent of its budget. What all requests together
/// have left is for who may manage them.
fn add_left(told: &mut Value, caller: &Caller, router: &Router) {
    let mut left = router.limits_of(caller);
    left.retain(|it| caller.is_admin || it.key.subject() != Subject::All);
    if left.is_empty() {
        return;
    }
    let is_budget = |it: &&LimitLeft| {
        let (key, measure) = (&it.key, it.left.limit.measure());
        key.subject() == Subject::Key && key.share().is_none() && measure == Measure::Money
    };
    if let Some(budget) = left.iter().find(is_budget) {
        told["spend"] = json!(money(budget.left.used).dollars());
    }
    told["left"] = json!({
        "instances": if router.shares_limits() { "all" } else { "this" },
        "limits": left.iter().map(left_in_json).collect::<Vec<_>>(),
    });
}

fn info(caller: &Caller, callers: Option<&Callers>) -> Value {
    let texts = |list: &[Arc<str>]| (!list.is_empty()).then(|| list.to_vec());
    let models = caller.models.iter();
    let models = models.map(|it| (format!("{}_models", it.whose().as_str()), json!(it.names())));
    let mut told = json!({
        "key_alias": caller.key,
        "team_id": caller.team,
        "user_id": caller.user,
        "is_admin": caller.is_admin.then_some(true),
        "tags": texts(&caller.tags),
        "priority": caller.priority,
    });
    for (name, list) in models {
        // LiteLLM's name for those of the key.
        let name = if name == "key_models" {
            "models"
        } else {
            &name
        };
        told[name] = list;
    }
    let found = callers.zip(caller.key.as_deref());
    if let Some(key) = found.and_then(|(callers, name)| callers.key(name)) {
        told["expires"] = json!(key.expires.map(|it| it.to_string()));
        add_limits(&mut told, &key.limits);
    }
    let found = callers.zip(caller.team.as_deref());
    if let Some(team) = found.and_then(|(callers, name)| callers.team(name)) {
        told["team_limits"] = limits(&team.limits);
    }
    let found = callers.zip(caller.user.as_deref());
    if let Some((callers, name)) = found {
        let user = callers.user(name).map(|user| &user.limits);
        told["user_limits"] = limits(user.unwrap_or(&callers.each_user));
    }
    without_nulls(told)
}

fn add_limits(told: &mut Value, of: &CallerLimits) {
    if let (Value::Object(told), Value::Object(limits)) = (told, limits(of)) {
        told.extend(limits);
    }
}

/// Limits under the names of the file; null if there is none.
fn limits(of: &CallerLimits) -> Value {
    if of.is_none() {
        return Value::Null;
    }
    let by_model = |read: &dyn Fn(&ModelLimits) -> Value| {
        let models = of.models.iter();
        let models = models.map(|(name, model)| (name.to_string(), read(model)));
        let models: Map<_, _> = models.filter(|(_, limit)| !limit.is_null()).collect();
        (!models.is_empty()).then_some(models)
    };
    without_nulls(json!({
        "rpm_limit": of.rpm,
        "tpm_limit": of.tpm,
        "itpm_limit": of.itpm,
        "otpm_limit": of.otpm,
        "max_parallel_requests": of.max_parallel,
        "max_budget": of.max_budget.map(|it| it.dollars()),
        "soft_budget": of.soft_budget.map(|it| it.dollars()),
        "budget_duration": of.budget_duration.map(|it| it.to_string()),
        "model_rpm_limit": by_model(&|model| json!(model.rpm)),
        "model_tpm_limit": by_model(&|model| json!(model.tpm)),
        "model_max_budget": by_model(&|model| match model.max_budget {
            None => Value::Null,
            Some(budget) => without_nulls(json!({
                "budget_limit": budget.dollars(),
                "time_period": model.budget_duration.map(|it| it.to_string()),
            })),
        }),
    }))
}

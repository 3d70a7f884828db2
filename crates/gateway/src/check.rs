//! `ziggurat check`, and how a request is described on the command line.

use std::fmt::Write as _;

use serde_json::Value;
use ziggurat::{
    Caller, Error, ErrorKind, LlmRequest, LlmResponse, Operation, ReadOptions, Routed, Router,
    config::Plan,
};

use ziggurat_gateway::Identity;

use crate::{
    cli::Check,
    explain::Description,
    stack::{load, print_warnings},
};

pub(crate) fn run(check: &Check) -> Result<(), String> {
    let plan = load(&check.file)?;
    print_warnings(&plan);
    Router::check(&plan).map_err(|error| format!("{}: {error}", check.file.display()))?;
    match &check.request {
        None => print!("{}", explain(&plan)),
        Some(request) => print!("{}", explain_request(&plan, check, request)?),
    }
    Ok(())
}

/// The body of a request: the text itself, or the content of `@FILE`.
pub(crate) fn body(request: &str) -> Result<String, String> {
    match request.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}")),
        None => Ok(request.to_owned()),
    }
}

/// What a body asks for, by its members: a chat, unless it has a `prompt`, an `input` or `contents`
/// instead.
pub(crate) fn operation(body: &str) -> Operation {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let has = |member: &str| body.get(member).is_some();
    match (has("messages"), has("prompt"), has("input")) {
        (false, true, _) => Operation::Completions,
        (false, false, true) => Operation::Embeddings,
        (false, false, false) if has("contents") => Operation::GenerateContent,
        _ => Operation::ChatCompletions,
    }
}

/// Who sends a request, as the command line says it: by the name of a key, or of a team alone.
pub(crate) fn identity(
    plan: &Plan,
    key: Option<&str>,
    team: Option<&str>,
) -> Result<Option<Identity>, String> {
    let caller = match (key, team) {
        (Some(name), _) => {
            let key = plan.callers.key(name);
            let key = key.ok_or("--key: `ziggurat_settings.keys` has no key of that name")?;
            plan.callers.caller(key)
        }
        (None, Some(team)) => Caller::new().with_team(team),
        (None, None) => return Ok(None),
    };
    Ok(Some(Identity::of(caller)))
}

/// Which deployments could serve a request, why the others could not, and what applies to it.
fn explain_request(plan: &Plan, check: &Check, request: &str) -> Result<String, String> {
    let body = body(request)?;
    let options = ReadOptions::new().client_credentials(true);
    let request = LlmRequest::read(operation(&body), body, options);
    let mut request = request.map_err(|error| format!("--request: {error}"))?;
    if let Some(identity) = identity(plan, check.key.as_deref(), check.team.as_deref())? {
        request = identity.put_into(request);
    }
    if let Some(agent) = &check.user_agent {
        request.controls_mut().user_agent = Some(agent.as_str().into());
    }
    let nowhere = tower::service_fn(async |_: Routed<LlmRequest>| {
        Err::<LlmResponse, _>(Error::new(ErrorKind::Internal, "a check sends nothing"))
    });
    let router = Router::with_leaf(plan, nowhere).map_err(|error| error.to_string())?;
    let applies = Description::of(plan, &router, &request).map_err(|error| error.to_string())?;
    Ok(format!("{}\n{applies}", applies.deployments()))
}

/// The effective plan: what the configuration says, and the layers that carry it out, in order.
fn explain(plan: &Plan) -> String {
    let mut text = plan.explanation().to_string();
    text.push_str("\nlayers, from the client to the provider\n");
    for (layer, what) in Router::layers(plan) {
        let _ = writeln!(text, "  {layer:<18} {what}");
    }
    text
}

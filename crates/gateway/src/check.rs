//! `ziggurat check`.

use std::fmt::Write as _;

use ziggurat::{
    Caller, Error, ErrorKind, HasLedger as _, Ledger, LlmRequest, LlmResponse, Operation,
    ReadOptions, Routed, Router, config::Plan,
};

use crate::{
    cli::Check,
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

/// Which deployments could serve a request, and why the others could not.
fn explain_request(plan: &Plan, check: &Check, request: &str) -> Result<String, String> {
    let body = match request.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?,
        None => request.to_owned(),
    };
    let options = ReadOptions::new().client_credentials(true);
    let request = LlmRequest::read(Operation::ChatCompletions, body, options);
    let mut request = request.map_err(|error| format!("--request: {error}"))?;
    if let Some(team) = &check.team {
        request = request.with_caller(Caller::new().with_team(team.as_str()));
    }
    if let Some(agent) = &check.user_agent {
        request.controls_mut().user_agent = Some(agent.as_str().into());
    }
    let nowhere = tower::service_fn(async |_: Routed<LlmRequest>| {
        Err::<LlmResponse, _>(Error::new(ErrorKind::Internal, "a check sends nothing"))
    });
    let router = Router::with_leaf(plan, nowhere).map_err(|error| error.to_string())?;
    let explained = router
        .explain(&request)
        .map_err(|error| error.to_string())?;
    let route = request.ledger().and_then(Ledger::route);
    let route = route.map_or_else(String::new, |why| format!("{why}\n"));
    Ok(format!("{route}{explained}"))
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

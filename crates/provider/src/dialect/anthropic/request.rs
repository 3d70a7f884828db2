//! A chat request in the words of the Messages API.

use bytes::Bytes;
use serde_json::{Map, Number, Value};
use ziggurat_core::{Deployment, Error, ErrorKind, Operation};

use super::{
    Host,
    betas::Betas,
    blocks,
    form::{self, Form},
    messages,
    model::Model,
    thinking::{self, Hindrance, Plan},
    tools::{self, Taken},
};
use crate::{
    chat::{ChatRequest, unsupported},
    dialect::Call,
};

/// The version of the API in a body on Vertex.
const VERTEX_VERSION: &str = "vertex-2023-10-16";

/// Fields of the Messages API that a chat request may hold.
const OWN: &[&str] = &[
    "anthropic_beta",
    "betas",
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "mcp_servers",
    "metadata",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "web_search_options",
];

/// The body of a request, and the betas that its header has to name.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) body: Map<String, Value>,
    pub(super) betas: Betas,
}

impl Sent {
    pub(super) fn to_bytes(&self) -> Bytes {
        // The values of JSON can always be written.
        serde_json::to_vec(&self.body).unwrap_or_default().into()
    }
}

/// Writes a chat request.
///
/// # Errors
///
/// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest), naming what cannot be said.
pub(super) fn write(call: &Call<'_>, host: Host) -> Result<Sent, Error> {
    if call.operation != Operation::ChatCompletions {
        return Err(unsupported::operation(call.operation));
    }
    let mut request = ChatRequest::read(call.body)?;
    let deployment = &**call.deployment;
    check(&request, deployment)?;
    let mut own = unsupported::known(deployment, std::mem::take(&mut request.other), OWN)?;
    let mut betas = Betas::read(deployment, &mut own)?;
    let model = Model::of(call.model);

    let form = match Form::of(request.response_format.take(), model, host) {
        Some(form) => form,
        None => {
            unsupported::refuse(deployment, "response_format", true)?;
            Form::Free
        }
    };
    let taken = Taken {
        deployment,
        strict: model.takes_schemas() && host == Host::Direct,
    };
    let search = own.remove("web_search_options");
    let tools = tools::write(&mut request, search, &form, taken, &mut betas)?;
    let talk = messages::write(std::mem::take(&mut request.messages), &mut betas)?;

    let hindrance = if tools.forces() || talk.is_prefilled {
        Hindrance::Forced
    } else if talk.forgot_thoughts {
        Hindrance::Forgotten
    } else {
        Hindrance::None
    };
    let plan = thinking::plan(&request, model, deployment.max_output_tokens(), hindrance)?;

    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("max_tokens", plan.max_tokens.into());
    put("messages", talk.messages.into());
    let mut system = talk.system;
    if form == Form::Words {
        system.extend(blocks::text(form::WORDS.to_owned(), None));
    }
    if !system.is_empty() {
        put("system", system.into());
    }
    if !tools.list.is_empty() {
        put("tools", tools.list.into());
    }
    if let Some(choice) = tools.choice {
        put("tool_choice", choice);
    }
    if call.streams {
        put("stream", true.into());
    }
    let stops = stops(&mut request, own.remove("stop_sequences"), deployment)?;
    if !stops.is_empty() {
        put("stop_sequences", stops.into());
    }
    let metadata = own.remove("metadata");
    if let Some(user) = user(metadata.as_ref(), request.user.as_deref()) {
        put("metadata", blocks::object([("user_id", user.into())]));
    }
    match own.remove("service_tier").as_ref().and_then(Value::as_str) {
        Some("auto") => put("service_tier", "auto".into()),
        Some("default" | "standard_only") => put("service_tier", "standard_only".into()),
        _ => None,
    };
    let output = output(own.remove("output_config"), form, &plan);
    if !output.is_empty() {
        put("output_config", output.into());
    }
    for (name, number) in sampling(&request, model, &plan, deployment)? {
        put(name, number.into());
    }
    if let Some(thinking) = plan.thinking {
        put("thinking", thinking);
    }
    body.extend(own);
    Ok(host.addressed(body, betas, call.model))
}

/// The body of a request in Anthropic's own words, as this host wants to have it.
///
/// # Errors
///
/// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest) if it is none.
pub(super) fn readdressed(
    body: &[u8],
    betas: Betas,
    host: Host,
    model: &str,
) -> Result<Sent, Error> {
    let mut body: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body cannot be read: {error}");
        Error::new(ErrorKind::BadRequest, message)
    })?;
    body.remove("model");
    Ok(host.addressed(body, betas, model))
}

impl Host {
    /// The body with what this host wants to have in it.
    fn addressed(self, mut body: Map<String, Value>, mut betas: Betas, model: &str) -> Sent {
        match self {
            Self::Direct => {
                body.insert("model".to_owned(), model.into());
            }
            Self::Vertex => {
                body.insert("anthropic_version".to_owned(), VERTEX_VERSION.into());
                let names = std::mem::take(&mut betas).into_names();
                if !names.is_empty() {
                    body.insert("anthropic_beta".to_owned(), names.into());
                }
            }
        }
        Sent { body, betas }
    }
}

/// Refuses what Anthropic has no word for, and what would change the answer.
fn check(request: &ChatRequest, deployment: &Deployment) -> Result<(), Error> {
    let not_zero = |number: &Option<Number>| unsupported::is_not_zero(number.as_ref());
    for (field, asks) in [
        ("n", request.asks_choices()),
        ("logprobs", request.asks_logprobs()),
        ("presence_penalty", not_zero(&request.presence_penalty)),
        ("frequency_penalty", not_zero(&request.frequency_penalty)),
    ] {
        unsupported::refuse(deployment, field, asks)?;
    }
    Ok(())
}

/// Where the answer is to stop; nowhere at blanks alone, which are refused.
fn stops(
    request: &mut ChatRequest,
    own: Option<Value>,
    deployment: &Deployment,
) -> Result<Vec<String>, Error> {
    let mut stops = std::mem::take(&mut request.stop);
    if let Some(Value::Array(own)) = own {
        let texts = own.into_iter().filter_map(|stop| match stop {
            Value::String(stop) => Some(stop),
            _ => None,
        });
        stops.extend(texts);
    }
    let all = stops.len();
    stops.retain(|stop| !stop.trim().is_empty());
    unsupported::refuse(deployment, "stop", stops.len() < all)?;
    Ok(stops)
}

/// Who asks: a name that tells nobody who that is, as an address of mail would.
fn user<'a>(metadata: Option<&'a Value>, user: Option<&'a str>) -> Option<&'a str> {
    const LONGEST: usize = 256;
    let own = metadata.and_then(|metadata| metadata.get("user_id")?.as_str());
    let user = own.or(user)?;
    (!user.is_empty() && user.len() <= LONGEST && !user.contains('@')).then_some(user)
}

/// What the client says of the answer itself, and what follows from its other words.
fn output(own: Option<Value>, form: Form, plan: &Plan) -> Map<String, Value> {
    let mut output = match own {
        Some(Value::Object(output)) => output,
        _ => Map::new(),
    };
    if let Form::Schema(schema) = form {
        let format = blocks::object([("type", "json_schema".into()), ("schema", schema)]);
        output.insert("format".to_owned(), format);
    }
    if let Some(effort) = plan.effort {
        output.entry("effort").or_insert(effort.into());
    }
    output
}

/// Temperature, `top_p` and `top_k`, as far as the model takes them; none while it thinks. A value
/// that changes nothing is left out.
fn sampling(
    request: &ChatRequest,
    model: Model,
    plan: &Plan,
    deployment: &Deployment,
) -> Result<Vec<(&'static str, Number)>, Error> {
    if plan.thinks() {
        return Ok(Vec::new());
    }
    let is_one = |number: &Number| number.as_f64() == Some(1.0);
    let temperature = request
        .temperature
        .clone()
        .map(|number| match number.as_f64() {
            Some(hot) if hot > 1.0 => Number::from(1),
            _ => number,
        });
    let top_p = request.top_p.clone().filter(|top_p| !is_one(top_p));
    let all = [
        ("temperature", temperature),
        ("top_p", top_p),
        ("top_k", request.top_k.clone()),
    ];
    let mut taken = Vec::new();
    for (name, number) in all {
        let Some(number) = number else { continue };
        let both =
            name == "top_p" && request.temperature.is_some() && model.takes_one_of_sampling();
        if both || !model.takes_sampling() {
            let asks = name != "temperature" || !is_one(&number);
            unsupported::refuse(deployment, name, asks)?;
        } else {
            taken.push((name, number));
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests;

//! What is asked, as OpenAI's chat.

use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind};

use super::{content, tools};
use crate::chat::{
    Fields,
    unsupported::{self, Fit},
    wrong,
};

/// Fields that say how Anthropic is to serve a request: another provider's answer is as good.
const HARMLESS: [&str; 6] = [
    "betas",
    "cache_control",
    "context_management",
    "service_tier",
    "speed",
    "anthropic_version",
];

/// Fields that only Anthropic can do anything with.
const ANTHROPICS: [&str; 3] = ["container", "inference_geo", "mcp_servers"];

/// The body as OpenAI's chat. A field that is not known passes as it is.
///
/// # Errors
///
/// [`ErrorKind::BadRequest`], with the place of what is wrong; a refusal of what has no like.
pub(super) fn to_chat(body: &[u8], fit: Fit) -> Result<Vec<u8>, Error> {
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body cannot be read: {error}");
        Error::new(ErrorKind::BadRequest, message)
    })?;
    let mut body = Fields::of(Some(body), "")?;
    let mut chat = Map::new();
    let mut put = |name: &str, value: Value| chat.insert(name.to_owned(), value);

    let mut messages = Vec::new();
    if let Some(system) = body.take("system") {
        messages.push(content::system(system, "system")?);
    }
    let asked = body.list("messages")?;
    if asked.is_empty() {
        return Err(missing("messages"));
    }
    content::messages(asked, &mut messages)?;
    put("messages", messages.into());
    let Some(length) = body.count("max_tokens")? else {
        return Err(missing("max_tokens"));
    };
    put("max_tokens", length.into());

    if body.flag("stream")? == Some(true) {
        put("stream", true.into());
        put("stream_options", json!({"include_usage": true}));
    }
    let stops = body.list("stop_sequences")?;
    if stops.iter().any(|stop| !stop.is_string()) {
        return Err(wrong("stop_sequences", "a list of strings"));
    }
    if !stops.is_empty() {
        put("stop", stops.into());
    }
    let offered = body.list("tools")?;
    let asks_tools = !offered.is_empty();
    let offered = tools::tools(offered, fit)?;
    let has_tools = !offered.is_empty();
    if has_tools {
        put("tools", offered.into());
    }
    // There is nothing to choose from where all were left out.
    if let Some(choice) = body
        .take("tool_choice")
        .filter(|_| has_tools || !asks_tools)
    {
        let (choice, parallel) = tools::choice(choice)?;
        put("tool_choice", choice);
        if let Some(parallel) = parallel {
            put("parallel_tool_calls", parallel.into());
        }
    }
    let mut metadata = Fields::of(body.take("metadata"), "metadata")?;
    if let Some(user) = metadata.text("user_id")? {
        put("user", user.into());
    }

    let mut config = Fields::of(body.take("output_config"), "output_config")?;
    let format = [
        (config.take("format"), "output_config.format"),
        (body.take("output_format"), "output_format"),
    ];
    for (format, at) in format {
        if let Some(format) = format {
            put("response_format", tools::format(format, at)?);
        }
    }
    let thinking = body.take("thinking");
    let effort = config.text("effort")?;
    let effort = effort.or(thinking.as_ref().and_then(effort_of).map(str::to_owned));
    if let Some(effort) = effort {
        // The only one that nobody else has.
        let effort = if effort == "max" { "high" } else { &effort };
        put("reasoning_effort", effort.into());
    }
    if let Some(thinking) = thinking {
        put("thinking", thinking);
    }

    for name in ANTHROPICS {
        let asks = match body.take(name) {
            None => false,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(_) => true,
        };
        if asks {
            fit.without(|| unsupported(name, name))?;
        }
    }
    for name in HARMLESS {
        body.take(name);
    }
    // What a deployment adds, in OpenAI's words, wins.
    for (name, value) in body.rest() {
        chat.insert(name, value);
    }
    Ok(Value::Object(chat).to_string().into_bytes())
}

/// The effort that goes with so much thinking.
fn effort_of(thinking: &Value) -> Option<&'static str> {
    if thinking.get("type")? != "enabled" {
        return None;
    }
    Some(match thinking.get("budget_tokens")?.as_u64()? {
        0..2048 => "low",
        2048..4096 => "medium",
        _ => "high",
    })
}

fn missing(name: &str) -> Error {
    let message = format!("the body has no `{name}`");
    let error = Error::new(ErrorKind::BadRequest, message);
    error
        .with_param(name)
        .with_code("missing_required_parameter")
}

/// Something that no other provider than Anthropic has.
pub(super) fn unsupported(at: &str, what: &str) -> Error {
    let message = format!("`{what}` in `{at}` is not supported by the model's provider");
    unsupported::refusal(at, message)
}

//! What is asked, as OpenAI's chat.

use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind};

use super::{config, contents, several, tools, unsupported};
use crate::{
    chat::{Fields, unsupported::Fit},
    dialect::google::camel,
};

/// Fields that say how Google is to serve a request: another provider's answer is as good.
const HARMLESS: [&str; 4] = ["labels", "safetySettings", "serviceTier", "store"];

/// Fields that only Google can do anything with.
const GOOGLES: [&str; 4] = [
    "cachedContent",
    "continuationToken",
    "modelArmorConfig",
    "outputConfig",
];

/// Fields that have their like in chat.
const SHARED: [&str; 3] = ["generationConfig", "systemInstruction", "toolConfig"];

/// The body as OpenAI's chat. A field that is not known passes as it is.
///
/// # Errors
///
/// [`ErrorKind::BadRequest`], with the place of what is wrong; a refusal of what has no like.
pub(super) fn to_chat(body: &[u8], fit: Fit) -> Result<Vec<u8>, Error> {
    let body: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body cannot be read: {error}");
        Error::new(ErrorKind::BadRequest, message)
    })?;
    let mut body = own_names(body);
    let mut chat = Map::new();
    let mut put = |name: &str, value: Value| chat.insert(name.to_owned(), value);

    let mut messages = Vec::new();
    if let Some(system) = body.take("systemInstruction") {
        messages.extend(contents::system(system)?);
    }
    let asked = several(body.take("contents"));
    if asked.is_empty() {
        return Err(missing("contents"));
    }
    contents::messages(asked, &mut messages)?;
    put("messages", messages.into());
    if body.flag("stream")? == Some(true) {
        put("stream", true.into());
        put("stream_options", json!({"include_usage": true}));
    }

    let mut offered = tools::tools(several(body.take("tools")), fit)?;
    if let Some(choice) = tools::choice(body.take("toolConfig"), &mut offered.functions)? {
        put("tool_choice", choice);
    }
    if !offered.functions.is_empty() {
        put("tools", offered.functions.into());
    }
    if offered.searches {
        put("web_search_options", json!({}));
    }
    config::read(body.take("generationConfig"), &mut chat, fit)?;

    for name in GOOGLES {
        if body.take(name).is_some() {
            fit.without(|| unsupported(name, name))?;
        }
    }
    for name in HARMLESS {
        body.take(name);
    }
    // What a deployment adds, in OpenAI's words, wins.
    chat.extend(body.rest());
    Ok(Value::Object(chat).to_string().into_bytes())
}

/// The fields, those that are Google's by the names that Google writes.
fn own_names(body: Map<String, Value>) -> Fields {
    let is_own = |name: &str| {
        let known = HARMLESS.iter().chain(&GOOGLES).chain(&SHARED);
        known.into_iter().any(|known| *known == name)
    };
    let named = body.into_iter().map(|(name, value)| match camel(&name) {
        own if name.contains('_') && is_own(&own) => (own, value),
        _ => (name, value),
    });
    Fields::new(named.collect(), "")
}

fn missing(name: &str) -> Error {
    let message = format!("the body has no `{name}`");
    let error = Error::new(ErrorKind::BadRequest, message);
    error
        .with_param(name)
        .with_code("missing_required_parameter")
}

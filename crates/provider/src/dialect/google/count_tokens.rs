//! How many tokens a request has, as the provider counts them.

use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind, Operation};

use super::{Host, request};
use crate::{
    chat::unsupported::Fit,
    dialect::Call,
    shape::{Shape as _, messages::Messages},
};

/// What of a request in Anthropic's shape is counted, and what of one in Google's Vertex counts.
const COUNTED: &[&str] = &["messages", "model", "system", "tools"];
const COUNTED_BY_VERTEX: &[&str] = &["contents", "systemInstruction", "tools"];

/// The question, for a request in Anthropic's shape.
///
/// # Errors
///
/// As [`Dialect::request`](crate::dialect::Dialect::request).
pub(super) fn question(call: &Call<'_>, host: Host) -> Result<Value, Error> {
    let mut body: Map<String, Value> = serde_json::from_slice(call.body).map_err(|error| {
        let message = format!("the body cannot be read: {error}");
        Error::new(ErrorKind::BadRequest, message)
    })?;
    body.retain(|name, _| COUNTED.contains(&name.as_str()));
    // An answer must have a length, though there is none.
    body.insert("max_tokens".to_owned(), 1.into());
    let body = Value::Object(body).to_string();
    let chat = Messages.to_chat(body.as_bytes(), Fit::of(call.deployment))?;
    let call = Call {
        operation: Operation::ChatCompletions,
        body: &chat,
        streams: false,
        ..*call
    };
    let mut asked = request::chat(&call, host)?;
    if host == Host::Studio {
        let model = call.model.strip_prefix("models/").unwrap_or(call.model);
        asked["model"] = format!("models/{model}").into();
        return Ok(json!({ "generateContentRequest": asked }));
    }
    if let Value::Object(members) = &mut asked {
        members.retain(|name, _| COUNTED_BY_VERTEX.contains(&name.as_str()));
    }
    Ok(asked)
}

/// The number in the answer.
pub(super) fn answer(body: &[u8]) -> Option<u64> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    answer.get("totalTokens")?.as_u64()
}

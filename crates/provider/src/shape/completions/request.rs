//! What is to be gone on with, as OpenAI's chat.

use serde_json::{Value, json};
use ziggurat_core::{Error, ErrorKind};

use crate::chat::{
    Fields,
    unsupported::{self, Fit},
    wrong,
};

/// The body as OpenAI's chat. What both have stays as it is.
///
/// # Errors
///
/// [`ErrorKind::BadRequest`], with the place of what is wrong; a refusal of what a conversation has
/// no place for.
pub(super) fn to_chat(body: &[u8], fit: Fit) -> Result<Vec<u8>, Error> {
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body cannot be read: {error}");
        Error::new(ErrorKind::BadRequest, message)
    })?;
    let mut body = Fields::of(Some(body), "")?;
    let prompt = prompt(body.take("prompt"))?;
    let has_suffix = body.text("suffix")?.is_some_and(|text| !text.is_empty());
    let echoes = body.flag("echo")? == Some(true);
    let choices = body.count("n")?;
    // As many as are wanted are the best of themselves.
    let best_of = body.count("best_of")?.unwrap_or(1);
    for (name, asks) in [
        ("suffix", has_suffix),
        ("echo", echoes),
        ("best_of", best_of > choices.unwrap_or(1).max(1)),
    ] {
        if asks {
            fit.without(|| {
                let message = format!("`{name}` is not supported by a model for conversations");
                unsupported::refusal(name, message)
            })?;
        }
    }
    let logprobs = body.count("logprobs")?;
    let streams = body.flag("stream")?.unwrap_or(false);
    body.take("stream_options");

    let mut chat = body.rest();
    let mut put = |name: &str, value: Value| chat.insert(name.to_owned(), value);
    put("messages", json!([{"role": "user", "content": prompt}]));
    if let Some(choices) = choices {
        put("n", choices.into());
    }
    if let Some(others) = logprobs {
        put("logprobs", true.into());
        if others > 0 {
            put("top_logprobs", others.into());
        }
    }
    if streams {
        put("stream", true.into());
        put("stream_options", json!({"include_usage": true}));
    }
    Ok(Value::Object(chat).to_string().into_bytes())
}

/// The one text that there is.
fn prompt(prompt: Option<Value>) -> Result<String, Error> {
    const AT: &str = "prompt";
    let refused = |message: &'static str| {
        let refusal = unsupported::refusal(AT, message);
        Err(refusal.with_code("unsupported_value"))
    };
    let mut list = match prompt {
        Some(Value::String(text)) => return Ok(text),
        Some(Value::Array(list)) if !list.is_empty() => list,
        _ => return Err(wrong(AT, "a text, or a list that is not empty")),
    };
    if list.iter().all(|it| it.is_number() || it.is_array()) {
        return refused("`prompt` must be text here: the model does not take tokens");
    }
    match (list.pop(), list.is_empty()) {
        (Some(Value::String(text)), true) => Ok(text),
        (Some(Value::String(_)), false) if list.iter().all(Value::is_string) => {
            refused("`prompt` must be one text here: the model answers one at a time")
        }
        _ => Err(wrong(AT, "a text, or a list of texts or of tokens")),
    }
}

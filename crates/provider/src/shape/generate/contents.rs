//! The conversation.

use serde_json::{Value, json};
use ziggurat_core::Error;

use super::{assistant::Assistant, calls::Calls, fields, object, parts::Part, several};
use crate::chat::wrong;

/// What stands before the conversation, as the first message of it.
pub(super) fn system(content: Value) -> Result<Option<Value>, Error> {
    let at = "systemInstruction";
    let list = match content {
        Value::String(text) => vec![json!({ "text": text })],
        content => several(fields(Some(content), at)?.take("parts")),
    };
    let mut parts = Vec::new();
    for part in Part::all(list, at)? {
        part.shown(&mut parts)?;
    }
    let content = content_of(parts);
    let message = object([("role", "system".into()), ("content", content)]);
    Ok(Some(message).filter(|message| message["content"] != ""))
}

/// The messages. One content may become several: each result of a call is one. Several of the model's
/// in a row, as they are kept of a stream, are one.
pub(super) fn messages(list: Vec<Value>, out: &mut Vec<Value>) -> Result<(), Error> {
    let mut calls = Calls::default();
    let mut said: Option<Assistant> = None;
    for (index, content) in list.into_iter().enumerate() {
        let at = format!("contents[{index}]");
        let mut content = fields(Some(content), &at)?;
        let role = content.text("role")?;
        let parts = Part::all(several(content.take("parts")), &at)?;
        match role.as_deref() {
            Some("model") => {
                let said = said.get_or_insert_default();
                for part in parts {
                    said.add(part, &mut calls)?;
                }
            }
            None | Some("" | "user" | "function" | "tool") => {
                out.extend(said.take().map(Assistant::into_message));
                user(parts, &mut calls, out)?;
            }
            _ => return Err(wrong(&format!("{at}.role"), "`user` or `model`")),
        }
    }
    out.extend(said.map(Assistant::into_message));
    Ok(())
}

/// The results come first: right behind the calls.
fn user(parts: Vec<Part>, calls: &mut Calls, out: &mut Vec<Value>) -> Result<(), Error> {
    let (mut shown, before) = (Vec::new(), out.len());
    for part in parts {
        match part {
            Part::Result(result) => out.push(result.into_message(calls)?),
            part => part.shown(&mut shown)?,
        }
    }
    if !shown.is_empty() || out.len() == before {
        let content = content_of(shown);
        out.push(object([("role", "user".into()), ("content", content)]));
    }
    Ok(())
}

/// One text is a string, which every server reads.
pub(super) fn content_of(mut parts: Vec<Value>) -> Value {
    match &mut parts[..] {
        [] => "".into(),
        [part] if part["text"].is_string() => part["text"].take(),
        _ => parts.into(),
    }
}

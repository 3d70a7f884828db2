//! What a request has of the answer already.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::{Step, step::Text};

/// The members of a request that an answer may begin in.
#[derive(Deserialize)]
struct Asked {
    messages: Option<Vec<Message>>,
    prompt: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    role: Option<Value>,
    content: Option<Value>,
}

/// The step with what is left of its text, if it goes on with what the request has begun.
pub(super) fn go_on<'a>(step: &'a Step, body: &[u8], text: impl Fn() -> String) -> Cow<'a, Step> {
    let begun = if step.continues { begun(body) } else { None };
    go_on_with(step, begun.as_deref(), text)
}

/// The same of what the request is known to have begun.
pub(super) fn go_on_with<'a>(
    step: &'a Step,
    begun: Option<&str>,
    text: impl Fn() -> String,
) -> Cow<'a, Step> {
    let words = begun.filter(|_| step.continues).and_then(words);
    let Some(words) = words else {
        return Cow::Borrowed(step);
    };
    let text = text();
    let rest = text.match_indices(' ').nth(words - 1);
    let rest = rest.map_or("", |(at, _)| &text[at..]);
    let mut step = step.clone();
    step.text = Text::Exact(rest.to_owned());
    Cow::Owned(step)
}

/// What a request ends with.
fn begun(body: &[u8]) -> Option<String> {
    let asked: Asked = serde_json::from_slice(body).ok()?;
    let begun = match asked.messages {
        Some(mut messages) => {
            let last = messages.pop()?;
            last.content
                .filter(|_| last.role == Some("assistant".into()))
        }
        None => asked.prompt,
    }?;
    begun.as_str().map(str::to_owned)
}

/// How many words of a healthy text a text ends with.
fn words(begun: &str) -> Option<usize> {
    // The first word of every healthy text.
    let text = &begun[begun.rfind("from ")?..];
    Some(text.split_whitespace().count())
}

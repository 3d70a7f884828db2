//! The messages of a conversation.

use serde_json::Value;
use ziggurat_core::{Error, ErrorKind};

use super::{
    betas::Betas,
    blocks::{self, object},
    ids::{self, Nameless},
};
use crate::chat::{Message, Part, Role, ToolCall};

const USER: &str = "user";
const ASSISTANT: &str = "assistant";

/// Stands where somebody must speak and has nothing to say: an empty message is refused.
const NOTHING: &str = ".";

/// A conversation in Anthropic's words.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) system: Vec<Value>,
    pub(super) messages: Vec<Value>,
    /// Whether the model is to go on with a message of its own.
    pub(super) is_prefilled: bool,
    /// Whether it waits for the results of calls, and what it thought before them is not known.
    pub(super) forgot_thoughts: bool,
}

/// Writes a conversation: what the system and the developer say comes first, wherever it stood; the
/// others take turns, the user first.
///
/// # Errors
///
/// [`ErrorKind::BadRequest`], with the place of what cannot be said.
pub(super) fn write(messages: Vec<Message>, betas: &mut Betas) -> Result<Conversation, Error> {
    let mut system = Vec::new();
    let mut turns = Turns::default();
    let mut nameless = Nameless::default();
    for (index, message) in messages.into_iter().enumerate() {
        let at = |part: usize| format!("messages[{index}].content[{part}]");
        match message.role {
            Role::System => system.extend(said(message, at)?),
            Role::User => {
                let mut blocks = blocks::of(message.content, at, betas)?;
                if blocks.is_empty() {
                    blocks.extend(blocks::text(NOTHING.to_owned(), None));
                }
                blocks::mark_last(&mut blocks, message.cache);
                turns.add(USER, blocks);
            }
            Role::Assistant => turns.add(ASSISTANT, answered(message, at, &mut nameless, betas)?),
            Role::Tool => {
                let result = result(message, index, &mut nameless, betas)?;
                turns.add(USER, vec![result]);
            }
        }
    }
    turns.into_conversation(system)
}

/// What the system says.
fn said(message: Message, at: impl Fn(usize) -> String) -> Result<Vec<Value>, Error> {
    let mut texts = Vec::new();
    for (index, part) in message.content.into_iter().enumerate() {
        match part {
            Part::Text { text, cache } => texts.extend(blocks::text(text, cache)),
            _ => return Err(blocks::unfit(&at(index), "the system speaks in text only")),
        }
    }
    blocks::mark_last(&mut texts, message.cache);
    Ok(texts)
}

/// What the model said: thoughts, words, calls.
fn answered(
    message: Message,
    at: impl Fn(usize) -> String,
    nameless: &mut Nameless,
    betas: &mut Betas,
) -> Result<Vec<Value>, Error> {
    let is_image = |part: &Part| matches!(part, Part::Image { .. } | Part::File { .. });
    if let Some(image) = message.content.iter().position(is_image) {
        return Err(blocks::unfit(
            &at(image),
            "the assistant speaks in text only",
        ));
    }
    let mut blocks: Vec<_> = message.thinking.into_iter().filter_map(thought).collect();
    blocks.extend(blocks::of(message.content, at, betas)?);
    for call in message.tool_calls {
        blocks.push(self::call(&call, nameless));
    }
    blocks::mark_last(&mut blocks, message.cache);
    Ok(blocks)
}

/// A thought with the signature of its maker; others are refused, and left out.
fn thought(mut block: Value) -> Option<Value> {
    let mut take = |name| match block.get_mut(name).map(Value::take) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let kind = take("type")?;
    match kind.as_str() {
        "thinking" => {
            let signature = take("signature").filter(|signature| !signature.is_empty())?;
            Some(object([
                ("type", kind.into()),
                ("thinking", take("thinking").unwrap_or_default().into()),
                ("signature", signature.into()),
            ]))
        }
        "redacted_thinking" => {
            let data = take("data")?;
            Some(object([("type", kind.into()), ("data", data.into())]))
        }
        _ => None,
    }
}

fn call(call: &ToolCall, nameless: &mut Nameless) -> Value {
    let id = match call.id.as_str() {
        "" => nameless.call(&call.name),
        id => ids::safe(id),
    };
    object([
        ("type", "tool_use".into()),
        ("id", id.into()),
        ("name", call.name.as_str().into()),
        ("input", call.input()),
    ])
}

fn result(
    message: Message,
    index: usize,
    nameless: &mut Nameless,
    betas: &mut Betas,
) -> Result<Value, Error> {
    let id = match message.tool_call_id.as_deref() {
        None | Some("") => nameless.result(message.name.as_deref()),
        Some(id) => Some(ids::safe(id)),
    };
    let id = id.ok_or_else(|| {
        let at = format!("messages[{index}].tool_call_id");
        let text = format!("`{at}` must be the id of a call");
        Error::new(ErrorKind::BadRequest, text).with_param(at)
    })?;
    let at = |part: usize| format!("messages[{index}].content[{part}]");
    let mut content = blocks::of(message.content, at, betas)?;
    // What is in a result cannot be marked, only the result as a whole.
    let marks = content.iter_mut().filter_map(Value::as_object_mut);
    let marks = marks.filter_map(|block| block.remove("cache_control"));
    let cache = marks.last().or(message.cache);
    let mut result = object([("type", "tool_result".into()), ("tool_use_id", id.into())]);
    if !content.is_empty() {
        result["content"] = content.into();
    }
    if message.is_error {
        result["is_error"] = true.into();
    }
    Ok(blocks::marked(result, cache))
}

/// Who spoke, and what; nobody twice in a row.
#[derive(Debug, Default)]
struct Turns(Vec<(&'static str, Vec<Value>)>);

impl Turns {
    fn add(&mut self, role: &'static str, blocks: Vec<Value>) {
        match self.0.last_mut() {
            _ if blocks.is_empty() => {}
            Some((last, said)) if *last == role => said.extend(blocks),
            _ => self.0.push((role, blocks)),
        }
    }

    fn into_conversation(mut self, mut system: Vec<Value>) -> Result<Conversation, Error> {
        if self.0.is_empty() {
            // There must be a question.
            self.add(USER, std::mem::take(&mut system));
        }
        self.trim();
        match self.0.first() {
            None => {
                let message = "`messages` has nothing to answer";
                return Err(Error::new(ErrorKind::BadRequest, message).with_param("messages"));
            }
            Some((ASSISTANT, _)) => {
                let begin = blocks::text(NOTHING.to_owned(), None);
                self.0.insert(0, (USER, begin.into_iter().collect()));
            }
            Some(_) => {}
        }
        for (_, blocks) in &mut self.0 {
            // Stable: results come first, in their order.
            blocks.sort_by_key(|block| block["type"] != "tool_result");
        }
        let forgot_thoughts = match &self.0[..] {
            [.., (_, before), (USER, last)] => {
                last[0]["type"] == "tool_result" && !blocks::is_thinking(&before[0])
            }
            _ => false,
        };
        let is_prefilled = self.0.last().is_some_and(|(role, _)| *role == ASSISTANT);
        let turns = self.0.into_iter();
        let message = |(role, blocks): (&str, Vec<Value>)| {
            object([("role", role.into()), ("content", blocks.into())])
        };
        Ok(Conversation {
            system,
            messages: turns.map(message).collect(),
            is_prefilled,
            forgot_thoughts,
        })
    }

    /// Cuts the blanks at the end of a last message of the assistant's, which are refused.
    fn trim(&mut self) {
        let Some((ASSISTANT, blocks)) = self.0.last_mut() else {
            return;
        };
        if let Some(Value::String(text)) = blocks.last_mut().and_then(|last| last.get_mut("text")) {
            text.truncate(text.trim_end().len());
        }
    }
}

#[cfg(test)]
mod tests;

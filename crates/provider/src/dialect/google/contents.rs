//! The conversation, as turns of a user and a model.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind};

use super::{Host, media, object, thinking::Model};
use crate::chat::{Media, Message, Part, Role, ToolCall, unsupported};

/// What a call is sent with whose signature is not known, because another model made it: Google
/// documents that it is not checked then.
pub(crate) const UNSIGNED: &str = "skip_thought_signature_validator";

/// What is said.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The parts of the system's.
    pub(super) system: Vec<Value>,
    turns: Vec<Turn>,
    /// Name and number of each call, by its id.
    calls: HashMap<String, (String, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    User,
    Model,
    Results,
}

#[derive(Debug)]
struct Turn {
    kind: Kind,
    /// With the number of the call that they are the result of.
    parts: Vec<(usize, Value)>,
}

impl Contents {
    /// Reads the messages of a request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`] if one holds what cannot be sent, or a result of no call.
    pub(super) fn of(messages: Vec<Message>, model: Model<'_>, host: Host) -> Result<Self, Error> {
        let mut contents = Self::default();
        for (index, message) in messages.into_iter().enumerate() {
            contents.add(message, index, model, host)?;
        }
        if model.has_no_system() || contents.turns.is_empty() {
            contents.system_as_user();
        }
        Ok(contents)
    }

    fn add(
        &mut self,
        message: Message,
        index: usize,
        model: Model<'_>,
        host: Host,
    ) -> Result<(), Error> {
        match message.role {
            Role::System => {
                let text = message.text();
                if !text.is_empty() {
                    self.system.push(object([("text", text.into())]));
                }
            }
            Role::User => {
                for part in message.content {
                    let part = one(part, host)?;
                    self.push(Kind::User, 0, part);
                }
            }
            Role::Assistant => self.answer(message, model, host)?,
            Role::Tool => self.result(message, index, model, host)?,
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind, call: usize, part: Value) {
        let goes_on = self.turns.last().is_some_and(|turn| turn.kind == kind);
        if !goes_on {
            let parts = Vec::new();
            self.turns.push(Turn { kind, parts });
        }
        if let Some(turn) = self.turns.last_mut() {
            turn.parts.push((call, part));
        }
    }

    /// What the model said. Each part goes back with the signature that it came with.
    fn answer(&mut self, message: Message, model: Model<'_>, host: Host) -> Result<(), Error> {
        let mut parts = Vec::new();
        for part in message.content {
            parts.push(one(part, host)?);
        }
        let signatures = message
            .extra
            .as_ref()
            .map(|extra| &extra["thought_signatures"]);
        let signature = signatures.and_then(|list| list.as_array()?.last()?.as_str());
        if let Some(signature) = signature {
            if parts.is_empty() {
                parts.push(json!({"text": ""}));
            }
            if let Some(last) = parts.last_mut() {
                last["thoughtSignature"] = signature.into();
            }
        }
        for part in parts {
            self.push(Kind::Model, 0, part);
        }
        let is_signed = message
            .tool_calls
            .iter()
            .any(|call| signature_of(call).is_some());
        for (index, call) in message.tool_calls.into_iter().enumerate() {
            let mut part = json!({"functionCall": {"name": call.name, "args": call.input()}});
            if model.has_levels() && !call.id.is_empty() {
                part["functionCall"]["id"] = call.id.as_str().into();
            }
            match signature_of(&call) {
                Some(signature) => part["thoughtSignature"] = signature.into(),
                None if model.has_levels() && index == 0 && !is_signed => {
                    part["thoughtSignature"] = UNSIGNED.into();
                }
                None => {}
            }
            self.push(Kind::Model, 0, part);
            let number = self.calls.len();
            self.calls.insert(call.id, (call.name, number));
        }
        Ok(())
    }

    /// The result of a call, in one turn with those of the other calls of the same step.
    fn result(
        &mut self,
        message: Message,
        index: usize,
        model: Model<'_>,
        host: Host,
    ) -> Result<(), Error> {
        let response = response(&message);
        let id = message.tool_call_id.unwrap_or_default();
        let (name, number) = match (self.calls.get(&id), message.name) {
            (Some((name, number)), _) => (name.clone(), *number),
            (None, Some(name)) => (name, self.calls.len()),
            (None, None) => {
                let at = format!("messages[{index}].tool_call_id");
                let message = format!("`{at}` is the id of no call before it");
                return Err(Error::new(ErrorKind::BadRequest, message).with_param(at));
            }
        };
        let mut result = json!({"name": name, "response": response});
        if model.has_levels() && !id.is_empty() {
            result["id"] = id.into();
        }
        let mut shown = Vec::new();
        for part in message.content {
            if !matches!(part, Part::Text { .. } | Part::Refusal(_)) {
                shown.push(one(part, host)?);
            }
        }
        // Earlier models see nothing in a result, but beside it.
        if model.has_levels() && !shown.is_empty() {
            result["parts"] = std::mem::take(&mut shown).into();
        }
        self.push(
            Kind::Results,
            number,
            object([("functionResponse", result)]),
        );
        for part in shown {
            self.push(Kind::Results, number, part);
        }
        Ok(())
    }

    fn system_as_user(&mut self) {
        let mut parts: Vec<_> = self.system.drain(..).map(|part| (0, part)).collect();
        match self.turns.first_mut() {
            Some(first) if first.kind == Kind::User => {
                parts.append(&mut first.parts);
                first.parts = parts;
            }
            _ if parts.is_empty() => {}
            _ => {
                let kind = Kind::User;
                self.turns.insert(0, Turn { kind, parts });
            }
        }
    }

    /// The turns, as they are sent.
    pub(super) fn into_turns(self) -> Value {
        let turns = self.turns.into_iter().map(|mut turn| {
            // Of calls of the same name, only the order tells whose result it is.
            turn.parts.sort_by_key(|(call, _)| *call);
            let parts: Vec<_> = turn.parts.into_iter().map(|(_, part)| part).collect();
            let role = if turn.kind == Kind::Model {
                "model"
            } else {
                "user"
            };
            object([("role", role.into()), ("parts", parts.into())])
        });
        turns.collect()
    }
}

fn signature_of(call: &ToolCall) -> Option<&str> {
    call.extra.as_ref()?.get("thought_signature")?.as_str()
}

/// The text of a result as an object: what it is if it is one, else under a name.
fn response(message: &Message) -> Value {
    let text = message.text();
    if message.is_error {
        return json!({ "error": text });
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(members)) => Value::Object(members),
        Ok(list @ Value::Array(_)) => json!({ "output": list }),
        _ => json!({ "output": text }),
    }
}

fn one(part: Part, host: Host) -> Result<Value, Error> {
    match part {
        Part::Text { text, .. } | Part::Refusal(text) => Ok(object([("text", text.into())])),
        Part::Image { media, .. } => media::part(media, "image/jpeg", host),
        Part::File { media, .. } => media::part(media, "application/pdf", host),
        Part::Audio { data, format } => Ok(media::inline(&format!("audio/{format}"), data)),
        Part::Other(part) => other(part, host),
    }
}

/// A part that OpenAI does not have: a video, or one in Google's own words.
fn other(part: Map<String, Value>, host: Host) -> Result<Value, Error> {
    const OWN: &[&str] = &["inlineData", "inline_data", "fileData", "file_data"];
    let url = part
        .get("video_url")
        .map(|video| video.get("url").unwrap_or(video));
    if let Some(url) = url.and_then(Value::as_str) {
        return media::part(Media::of(url.to_owned()), "video/mp4", host);
    }
    if OWN.iter().any(|name| part.contains_key(*name)) {
        let mut part = part;
        part.remove("type");
        return Ok(part.into());
    }
    let kind = part.get("type").and_then(Value::as_str).unwrap_or("none");
    let message = format!("a part of the type `{kind}` is not supported by the model's provider");
    Err(unsupported::content("messages", message))
}

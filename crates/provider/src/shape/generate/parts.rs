//! What a content is made of.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use ziggurat_core::Error;

use super::{calls::Calls, contents::content_of, fields, object, several, unsupported};
use crate::chat::{Fields, wrong};

/// One part.
pub(super) enum Part {
    Text {
        text: String,
        is_thought: bool,
        signature: Option<String>,
    },
    /// As a part of OpenAI's chat.
    Medium(Value),
    Call {
        id: String,
        name: String,
        arguments: Value,
        signature: Option<String>,
    },
    Result(CallResult),
    /// What a tool did that Google ran, which tells nobody else anything.
    Googles,
    /// What nobody else reads, and where it stands.
    Unknown {
        at: String,
        kind: String,
    },
}

/// What came of a call.
pub(super) struct CallResult {
    at: String,
    id: Option<String>,
    name: String,
    response: Value,
    shown: Vec<Value>,
}

/// Members that say how a part is to be read; it is read without them.
const HARMLESS: [&str; 3] = ["mediaResolution", "partMetadata", "thought"];

/// What only Google does and says.
const GOOGLES: [&str; 4] = [
    "codeExecutionResult",
    "executableCode",
    "toolCall",
    "toolResponse",
];

impl Part {
    pub(super) fn all(list: Vec<Value>, at: &str) -> Result<Vec<Self>, Error> {
        let read = |(index, part)| Self::read(part, format!("{at}.parts[{index}]"));
        list.into_iter().enumerate().map(read).collect()
    }

    fn read(part: Value, at: String) -> Result<Self, Error> {
        if let Value::String(text) = part {
            return Ok(Self::text(text));
        }
        let mut part = fields(Some(part), &at)?;
        let signature = part.text("thoughtSignature")?;
        let is_thought = part.flag("thought")? == Some(true);
        if let Some(text) = part.text("text")? {
            return Ok(Self::Text {
                text,
                is_thought,
                signature,
            });
        }
        if let Some(call) = part.take("functionCall") {
            let at = format!("{at}.functionCall");
            let mut call = fields(Some(call), &at)?;
            return Ok(Self::Call {
                id: call.text("id")?.unwrap_or_default(),
                name: required(&mut call, "name", &at)?,
                arguments: call.take("args").unwrap_or_else(|| json!({})),
                signature,
            });
        }
        if let Some(result) = part.take("functionResponse") {
            return CallResult::read(result, format!("{at}.functionResponse")).map(Self::Result);
        }
        for (name, read) in [
            (
                "inlineData",
                inline as fn(Value, &str) -> Result<Value, Error>,
            ),
            ("fileData", elsewhere),
        ] {
            if let Some(data) = part.take(name) {
                if part.take("videoMetadata").is_some() {
                    return Err(unsupported(&at, "videoMetadata"));
                }
                return read(data, &format!("{at}.{name}")).map(Self::Medium);
            }
        }
        if GOOGLES.iter().any(|name| part.take(name).is_some()) {
            return Ok(Self::Googles);
        }
        let mut rest = part.rest();
        rest.retain(|name, value| !value.is_null() && !HARMLESS.contains(&name.as_str()));
        Ok(match rest.into_iter().next() {
            Some((kind, _)) => Self::Unknown { at, kind },
            // Some clients send back what was empty when it came.
            None => Self::Text {
                text: String::new(),
                is_thought,
                signature,
            },
        })
    }

    fn text(text: String) -> Self {
        Self::Text {
            text,
            is_thought: false,
            signature: None,
        }
    }

    /// Adds it to the parts of a message, which neither thinks nor calls.
    ///
    /// # Errors
    ///
    /// A refusal of what nobody but Google reads.
    pub(super) fn shown(self, out: &mut Vec<Value>) -> Result<(), Error> {
        match self {
            Self::Text { text, .. } if !text.is_empty() => out.push(said(text)),
            Self::Text { .. } | Self::Googles => {}
            Self::Medium(part) => out.push(part),
            Self::Unknown { at, kind } => return Err(unsupported(&at, &kind)),
            Self::Call { .. } => {
                return Err(wrong(
                    "contents",
                    "a list in which only the model calls functions",
                ));
            }
            Self::Result(result) => return Err(wrong(&result.at, "in a content of the user's")),
        }
        Ok(())
    }
}

impl CallResult {
    fn read(result: Value, at: String) -> Result<Self, Error> {
        let mut result = fields(Some(result), &at)?;
        let mut shown = Vec::new();
        for part in Part::all(several(result.take("parts")), &at)? {
            part.shown(&mut shown)?;
        }
        Ok(Self {
            id: result.text("id")?.filter(|id| !id.is_empty()),
            name: required(&mut result, "name", &at)?,
            response: result.take("response").unwrap_or_default(),
            shown,
            at,
        })
    }

    /// The result as a message, with the id of its call.
    pub(super) fn into_message(self, calls: &mut Calls) -> Result<Value, Error> {
        let Some(id) = calls.answered(self.id, &self.name) else {
            return Err(wrong(&self.at, "the result of a call before it"));
        };
        let (text, is_error) = text_of(self.response);
        let mut parts = self.shown;
        if !text.is_empty() || parts.is_empty() {
            parts.insert(0, said(text));
        }
        let mut message = object([
            ("role", "tool".into()),
            ("tool_call_id", id.into()),
            ("content", content_of(parts)),
        ]);
        if is_error {
            message["is_error"] = true.into();
        }
        Ok(message)
    }
}

/// The words of a result, and whether they are those of an error: Google's own names for both are
/// `output` and `error`, and what has neither is the output as a whole.
fn text_of(response: Value) -> (String, bool) {
    let Value::Object(mut members) = response else {
        return (words(response), false);
    };
    if members.len() == 1 {
        for (name, is_error) in [("output", false), ("error", true)] {
            if let Some(only) = members.remove(name) {
                return (words(only), is_error);
            }
        }
    }
    (Value::Object(members).to_string(), false)
}

fn words(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        value => value.to_string(),
    }
}

fn required(fields: &mut Fields, name: &str, at: &str) -> Result<String, Error> {
    let text = fields.text(name)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| wrong(&format!("{at}.{name}"), "a string"))
}

pub(super) fn said(text: String) -> Value {
    object([("type", "text".into()), ("text", text.into())])
}

/// A medium that lies in the part.
fn inline(data: Value, at: &str) -> Result<Value, Error> {
    let mut data = fields(Some(data), at)?;
    let mime = required(&mut data, "mimeType", at)?;
    let name = data.text("displayName")?;
    let bytes = data.text("data")?.unwrap_or_default();
    let bytes = standard(bytes);
    let url = |bytes| format!("data:{mime};base64,{bytes}");
    Ok(match mime.split('/').next() {
        Some("image") => medium("image_url", url(bytes)),
        Some("video") => medium("video_url", url(bytes)),
        Some("audio") => {
            let audio = object([("data", bytes.into()), ("format", format_of(&mime).into())]);
            object([("type", "input_audio".into()), ("input_audio", audio)])
        }
        kind => {
            if kind == Some("text")
                && let Some(text) = decoded(&bytes)
            {
                return Ok(said(text));
            }
            let usual = match mime.as_str() {
                "application/pdf" => "document.pdf",
                _ => "document",
            };
            let name = name.unwrap_or_else(|| usual.to_owned());
            file([("file_data", url(bytes).into()), ("filename", name.into())])
        }
    })
}

/// A medium that lies somewhere else.
fn elsewhere(data: Value, at: &str) -> Result<Value, Error> {
    let mut data = fields(Some(data), at)?;
    let address = required(&mut data, "fileUri", at)?;
    let mime = data.text("mimeType")?.unwrap_or_default();
    let is_video = address.contains("youtube.com/") || address.contains("youtu.be/");
    Ok(match mime.split('/').next() {
        Some("image") => medium("image_url", address),
        Some("video") => medium("video_url", address),
        _ if is_video => medium("video_url", address),
        _ => file([("file_url", address.into())]),
    })
}

fn medium(kind: &str, url: String) -> Value {
    let url = object([("url", url.into())]);
    object([("type", kind.into()), (kind, url)])
}

fn file<const N: usize>(members: [(&str, Value); N]) -> Value {
    object([("type", "file".into()), ("file", object(members))])
}

/// The name that OpenAI has for a type of sound.
fn format_of(mime: &str) -> &str {
    let kind = mime.split(';').next().unwrap_or(mime);
    match kind.strip_prefix("audio/").unwrap_or(kind) {
        "x-wav" | "wave" | "vnd.wave" => "wav",
        "mpeg" | "mpeg3" | "x-mpeg" => "mp3",
        "x-flac" => "flac",
        "x-aac" => "aac",
        other => other,
    }
}

/// Base64 in the letters that everybody reads: Google takes those of addresses too, and its Python
/// client writes them.
pub(super) fn standard(mut data: String) -> String {
    if data.bytes().any(|byte| matches!(byte, b'-' | b'_')) {
        data = data.replace('-', "+").replace('_', "/");
    }
    while !data.len().is_multiple_of(4) {
        data.push('=');
    }
    data
}

fn decoded(data: &str) -> Option<String> {
    String::from_utf8(BASE64_STANDARD.decode(data).ok()?).ok()
}

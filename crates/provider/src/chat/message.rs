//! Messages and what is in them.

use serde_json::{Map, Value};
use ziggurat_core::Error;

use super::{
    ToolCall,
    request::{Fields, wrong},
};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The system, or the developer.
    System,
    User,
    Assistant,
    /// The result of a call.
    Tool,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) role: Role,
    pub(crate) content: Vec<Part>,
    pub(crate) name: Option<String>,
    pub(crate) tool_calls: Vec<ToolCall>,
    /// Which call this is the result of.
    pub(crate) tool_call_id: Option<String>,
    /// Whether that call failed: `is_error`, as Anthropic writes it.
    pub(crate) is_error: bool,
    /// What the model thought, in words.
    pub(crate) reasoning: Option<String>,
    /// What it thought, in blocks that its maker signed: as Anthropic writes them.
    pub(crate) thinking: Vec<Value>,
    /// `cache_control` of the message as a whole.
    pub(crate) cache: Option<Value>,
    /// What only the provider that made the message understands: `provider_specific_fields`.
    pub(crate) extra: Option<Value>,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text {
        text: String,
        cache: Option<Value>,
    },
    Image {
        media: Media,
        detail: Option<String>,
        cache: Option<Value>,
    },
    Audio {
        /// Base64.
        data: String,
        format: String,
    },
    File {
        media: Media,
        name: Option<String>,
        cache: Option<Value>,
    },
    Refusal(String),
    /// A part of no kind that OpenAI has, as it was written.
    Other(Map<String, Value>),
}

/// Where an image or a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// Here, in base64.
    Data { mime: String, data: String },
    /// At an address.
    Url(String),
    /// With the provider, under an id.
    Id(String),
}

impl Media {
    /// An address, which may hold the data itself.
    pub(crate) fn of(url: String) -> Self {
        let inside = url
            .strip_prefix("data:")
            .and_then(|rest| rest.split_once(','));
        match inside {
            Some((head, data)) if head.ends_with(";base64") => Self::Data {
                mime: head.split(';').next().unwrap_or_default().to_owned(),
                data: data.to_owned(),
            },
            _ => Self::Url(url),
        }
    }
}

impl Message {
    pub(super) fn read(value: Value, at: &str) -> Result<Self, Error> {
        let mut message = Fields::of(Some(value), at)?;
        let role = match message.text("role")?.as_deref() {
            Some("system" | "developer") => Role::System,
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("tool" | "function") => Role::Tool,
            _ => return Err(wrong(&format!("{at}.role"), "a role")),
        };
        let content = parts(message.take("content"), &format!("{at}.content"))?;
        let mut tool_calls = Vec::new();
        for (index, call) in message.list("tool_calls")?.into_iter().enumerate() {
            tool_calls.push(ToolCall::read(call, &format!("{at}.tool_calls[{index}]"))?);
        }
        if let Some(call) = message.take("function_call") {
            let call = serde_json::json!({ "function": call });
            tool_calls.push(ToolCall::read(call, &format!("{at}.function_call"))?);
        }
        let reasoning = match message.text("reasoning_content")? {
            Some(text) => Some(text),
            None => message.text("reasoning")?,
        };
        Ok(Self {
            role,
            content,
            name: message.text("name")?,
            tool_calls,
            tool_call_id: message.text("tool_call_id")?,
            is_error: message.flag("is_error")?.unwrap_or(false),
            reasoning,
            thinking: message.list("thinking_blocks")?,
            cache: message.take("cache_control"),
            extra: message.take("provider_specific_fields"),
        })
    }

    /// All text, one part after the other.
    pub(crate) fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|part| match part {
            Part::Text { text, .. } | Part::Refusal(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }
}

fn parts(content: Option<Value>, at: &str) -> Result<Vec<Part>, Error> {
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text { text, cache: None }]),
        Some(Value::Array(parts)) => {
            let read = |(index, part)| Part::read(part, &format!("{at}[{index}]"));
            parts.into_iter().enumerate().map(read).collect()
        }
        Some(_) => Err(wrong(at, "a string or a list of parts")),
    }
}

impl Part {
    fn read(value: Value, at: &str) -> Result<Self, Error> {
        if let Value::String(text) = value {
            return Ok(Self::Text { text, cache: None });
        }
        let Value::Object(mut part) = value else {
            return Err(wrong(at, "an object"));
        };
        let kind = part.get("type").and_then(Value::as_str).map(str::to_owned);
        let cache = |part: &mut Map<String, Value>| {
            let cache = part.remove("cache_control");
            cache.filter(|value| !value.is_null())
        };
        Ok(match kind.as_deref() {
            Some("text" | "input_text" | "output_text") => {
                let cache = cache(&mut part);
                let text = Fields::new(part, at).text("text")?.unwrap_or_default();
                Self::Text { text, cache }
            }
            Some("refusal") => {
                Self::Refusal(Fields::new(part, at).text("refusal")?.unwrap_or_default())
            }
            Some("image_url") => {
                let cache = cache(&mut part);
                let at = format!("{at}.image_url");
                let (url, detail) = match part.remove("image_url") {
                    Some(Value::String(url)) => (Some(url), None),
                    image => {
                        let mut image = Fields::of(image, &at)?;
                        (image.text("url")?, image.text("detail")?)
                    }
                };
                let url = url.ok_or_else(|| wrong(&format!("{at}.url"), "a string"))?;
                Self::Image {
                    media: Media::of(url),
                    detail,
                    cache,
                }
            }
            Some("input_audio") => {
                let at = format!("{at}.input_audio");
                let mut audio = Fields::of(part.remove("input_audio"), &at)?;
                Self::Audio {
                    data: audio.text("data")?.unwrap_or_default(),
                    format: audio.text("format")?.unwrap_or_else(|| "wav".to_owned()),
                }
            }
            Some("file") => {
                let cache = cache(&mut part);
                let at = format!("{at}.file");
                let mut file = Fields::of(part.remove("file"), &at)?;
                let media = match (file.text("file_data")?, file.text("file_id")?) {
                    (Some(data), _) => Media::of(data),
                    (None, Some(id)) => Media::Id(id),
                    (None, None) => match file.text("file_url")? {
                        Some(url) => Media::Url(url),
                        None => return Err(wrong(&at, "an object with `file_data` or `file_id`")),
                    },
                };
                Self::File {
                    media,
                    name: file.text("filename")?,
                    cache,
                }
            }
            _ => Self::Other(part),
        })
    }
}

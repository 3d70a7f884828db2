//! What is in a message, or in a result.

use serde_json::{Map, Value, json};
use ziggurat_core::Error;

use super::request::{some, unsupported};
use crate::chat::{Fields, wrong};

/// The content of a message or of a result.
#[derive(Debug)]
pub(super) struct Content(Vec<Value>);

impl Content {
    pub(super) fn read(content: Option<Value>, at: &str) -> Result<Self, Error> {
        match content {
            None => Ok(Self(Vec::new())),
            Some(Value::String(text)) => Ok(Self(vec![json!({"type": "text", "text": text})])),
            Some(Value::Array(parts)) => {
                let read = |(index, it)| part(it, &format!("{at}[{index}]"));
                let parts: Result<_, _> = parts.into_iter().enumerate().map(read).collect();
                Ok(Self(parts?))
            }
            Some(_) => Err(wrong(at, "a string or a list of parts")),
        }
    }

    /// One plain text is a string, which everybody takes.
    pub(super) fn any(mut self) -> Value {
        match &mut self.0[..] {
            [] => "".into(),
            [part] if part["type"] == "text" && part.get("cache_control").is_none() => {
                part["text"].take()
            }
            _ => self.0.into(),
        }
    }

    /// All text, which is all that an assistant says.
    pub(super) fn said_after(self, said: Option<&Value>) -> Value {
        let said = said.and_then(Value::as_str).unwrap_or_default();
        let texts = self.0.iter().filter_map(|part| part["text"].as_str());
        let texts: String = std::iter::once(said).chain(texts).collect();
        texts.into()
    }
}

fn part(part: Value, at: &str) -> Result<Value, Error> {
    let mut part = Fields::of(Some(part), at)?;
    let cache = part.take("cache_control");
    let kind = part.text("type")?;
    let mut written = match kind.as_deref() {
        Some("input_text" | "output_text" | "text" | "summary_text" | "reasoning_text") => {
            json!({"type": "text", "text": part.text("text")?.unwrap_or_default()})
        }
        Some("refusal") => {
            json!({"type": "text", "text": part.text("refusal")?.unwrap_or_default()})
        }
        Some("input_image" | "image_url") => image(part, at)?,
        Some("input_file" | "file") => {
            let mut file = match part.take("file") {
                Some(file) => Fields::of(Some(file), at)?,
                None => part,
            };
            let mut members = Map::new();
            for name in ["file_id", "file_data", "file_url", "filename"] {
                if let Some(text) = file.text(name)? {
                    members.insert(name.to_owned(), text.into());
                }
            }
            json!({"type": "file", "file": members})
        }
        Some("input_audio") => {
            json!({"type": "input_audio", "input_audio": part.take("input_audio")})
        }
        Some(kind) => return Err(unsupported(at, &format!("a part of type `{kind}`"))),
        None => return Err(wrong(&format!("{at}.type"), "a string")),
    };
    if let Some(cache) = cache {
        written["cache_control"] = cache;
    }
    Ok(written)
}

/// An address is a plain string here. An image that is stored with the provider has no place in
/// chat.
fn image(mut part: Fields, at: &str) -> Result<Value, Error> {
    let mut detail = part.text("detail")?;
    let url = match part.take("image_url") {
        Some(Value::String(url)) => url,
        Some(image) => {
            let at = format!("{at}.image_url");
            let mut image = Fields::of(Some(image), &at)?;
            detail = image.text("detail")?.or(detail);
            let url = image.text("url")?;
            url.ok_or_else(|| wrong(&format!("{at}.url"), "a string"))?
        }
        None if part.take("file_id").is_some() => {
            return Err(unsupported(&format!("{at}.file_id"), "a stored image"));
        }
        None => return Err(wrong(&format!("{at}.image_url"), "a string")),
    };
    let image = some(json!({"url": url, "detail": detail}));
    Ok(json!({"type": "image_url", "image_url": image}))
}

//! Messages and the blocks in them.

use serde_json::{Value, json};
use ziggurat_core::Error;

use super::{object, request::unsupported};
use crate::chat::{Fields, wrong};

/// What stands before the conversation, as the first message of it.
pub(super) fn system(content: Value, at: &str) -> Result<Value, Error> {
    let mut parts = Vec::new();
    for block in blocks(Some(content), at)? {
        block.part(&mut parts)?;
    }
    let content = content_of(parts);
    Ok(object([("role", "system".into()), ("content", content)]))
}

/// The conversation. One message may become several: each result of a tool is one.
pub(super) fn messages(list: Vec<Value>, out: &mut Vec<Value>) -> Result<(), Error> {
    for (index, message) in list.into_iter().enumerate() {
        let at = format!("messages[{index}]");
        let mut message = Fields::of(Some(message), &at)?;
        let role = message.text("role")?;
        let content = message.take("content");
        let at_content = format!("{at}.content");
        match role.as_deref() {
            Some("user") => user(content, &at_content, out)?,
            Some("assistant") => out.push(assistant(content, &at_content)?),
            Some("system") => out.push(system(content.unwrap_or_default(), &at_content)?),
            _ => return Err(wrong(&format!("{at}.role"), "`user` or `assistant`")),
        }
    }
    Ok(())
}

fn user(content: Option<Value>, at: &str, out: &mut Vec<Value>) -> Result<(), Error> {
    let (mut parts, before) = (Vec::new(), out.len());
    for block in blocks(content, at)? {
        if block.kind == "tool_result" {
            // The results come first: right behind the calls.
            out.push(block.result()?);
        } else {
            block.part(&mut parts)?;
        }
    }
    if !parts.is_empty() || out.len() == before {
        let content = content_of(parts);
        out.push(object([("role", "user".into()), ("content", content)]));
    }
    Ok(())
}

fn assistant(content: Option<Value>, at: &str) -> Result<Value, Error> {
    let (mut parts, mut thinking, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    let (mut reasoning, mut cache) = (String::new(), None);
    for mut block in blocks(content, at)? {
        match block.kind.as_str() {
            "thinking" => {
                let words = block.fields.text("thinking")?.unwrap_or_default();
                reasoning.push_str(&words);
                // What nobody signed is nothing that its maker would know again.
                let signature = block.fields.text("signature")?.unwrap_or_default();
                if !signature.is_empty() {
                    thinking.push(object([
                        ("type", "thinking".into()),
                        ("thinking", words.into()),
                        ("signature", signature.into()),
                    ]));
                }
            }
            "redacted_thinking" => {
                let data = block.required("data")?;
                let kind = "redacted_thinking".into();
                thinking.push(object([("type", kind), ("data", data.into())]));
            }
            "tool_use" => {
                cache = block.fields.take("cache_control").or(cache);
                let input = block.fields.take("input");
                let arguments = input.map_or_else(|| "{}".to_owned(), |input| input.to_string());
                let function = object([
                    ("name", block.required("name")?.into()),
                    ("arguments", arguments.into()),
                ]);
                calls.push(object([
                    ("id", block.required("id")?.into()),
                    ("type", "function".into()),
                    ("function", function),
                ]));
            }
            _ if block.is_anthropics_own() => {}
            _ => block.part(&mut parts)?,
        }
    }
    let mut message = json!({"role": "assistant"});
    message["content"] = match parts.is_empty() && !calls.is_empty() {
        true => Value::Null,
        false => joined(parts),
    };
    if !reasoning.is_empty() {
        message["reasoning_content"] = reasoning.into();
    }
    for (name, list) in [("thinking_blocks", thinking), ("tool_calls", calls)] {
        if !list.is_empty() {
            message[name] = list.into();
        }
    }
    if let Some(cache) = cache {
        message["cache_control"] = cache;
    }
    Ok(message)
}

/// One text without marks is a string, which every server reads.
fn content_of(mut parts: Vec<Value>) -> Value {
    match &mut parts[..] {
        [] => "".into(),
        [part] if is_plain(part) => part["text"].take(),
        _ => parts.into(),
    }
}

/// The same; texts without marks are one, as they are when they are read.
fn joined(parts: Vec<Value>) -> Value {
    if !parts.iter().all(is_plain) {
        return parts.into();
    }
    let texts = parts.iter().filter_map(|part| part["text"].as_str());
    texts.collect::<String>().into()
}

fn is_plain(part: &Value) -> bool {
    part["text"].is_string() && part.get("cache_control").is_none()
}

struct Block {
    kind: String,
    fields: Fields,
    at: String,
}

fn blocks(content: Option<Value>, at: &str) -> Result<Vec<Block>, Error> {
    let list = match content {
        None => Vec::new(),
        Some(Value::String(said)) => vec![text(said)],
        Some(Value::Array(list)) => list,
        Some(_) => return Err(wrong(at, "a string or a list of blocks")),
    };
    let read = |(index, block)| {
        let at = format!("{at}[{index}]");
        let mut fields = Fields::of(Some(block), &at)?;
        match fields.text("type")? {
            Some(kind) => Ok(Block { kind, fields, at }),
            None => Err(wrong(&format!("{at}.type"), "a string")),
        }
    };
    list.into_iter().enumerate().map(read).collect()
}

impl Block {
    fn required(&mut self, name: &str) -> Result<String, Error> {
        let text = self.fields.text(name)?;
        text.ok_or_else(|| wrong(&format!("{}.{name}", self.at), "a string"))
    }

    /// Whether it is what a tool did that Anthropic ran, which tells nobody else anything.
    fn is_anthropics_own(&self) -> bool {
        matches!(self.kind.as_str(), "server_tool_use" | "mcp_tool_use")
            || self.kind.ends_with("_tool_result")
    }

    /// The result of a call, as a message.
    fn result(mut self) -> Result<Value, Error> {
        let id = self.required("tool_use_id")?;
        let mut parts = Vec::new();
        let at = format!("{}.content", self.at);
        for block in blocks(self.fields.take("content"), &at)? {
            block.part(&mut parts)?;
        }
        let mut message = json!({"role": "tool", "tool_call_id": id});
        message["content"] = content_of(parts);
        if self.fields.flag("is_error")? == Some(true) {
            message["is_error"] = true.into();
        }
        if let Some(cache) = self.fields.take("cache_control") {
            message["cache_control"] = cache;
        }
        Ok(message)
    }

    /// Adds what it says to the parts of a message.
    fn part(mut self, out: &mut Vec<Value>) -> Result<(), Error> {
        let cache = self.fields.take("cache_control");
        let first = out.len();
        match self.kind.as_str() {
            "text" => out.push(text(self.required("text")?)),
            "image" => out.push(self.image()?),
            "document" => self.document(out)?,
            "search_result" => self.search_result(out)?,
            kind => return Err(unsupported(&format!("{}.type", self.at), kind)),
        }
        if let (Some(cache), Some(last)) = (cache, out[first..].last_mut()) {
            last["cache_control"] = cache;
        }
        Ok(())
    }

    /// Where the bytes are: the kind of place, and what is said of it.
    fn source(&mut self) -> Result<Self, Error> {
        let at = format!("{}.source", self.at);
        let mut fields = Fields::of(self.fields.take("source"), &at)?;
        match fields.text("type")? {
            Some(kind) => Ok(Self { kind, fields, at }),
            None => Err(wrong(&format!("{at}.type"), "a string")),
        }
    }

    fn data_url(&mut self) -> Result<String, Error> {
        let (mime, data) = (self.required("media_type")?, self.required("data")?);
        Ok(format!("data:{mime};base64,{data}"))
    }

    fn image(&mut self) -> Result<Value, Error> {
        let mut source = self.source()?;
        let url = match source.kind.as_str() {
            "base64" => source.data_url()?,
            "url" => source.required("url")?,
            "file" => {
                let id = source.required("file_id")?;
                return Ok(file(object([("file_id", id.into())])));
            }
            kind => return Err(unsupported(&format!("{}.type", source.at), kind)),
        };
        let url = object([("url", url.into())]);
        Ok(object([("type", "image_url".into()), ("image_url", url)]))
    }

    fn document(&mut self, out: &mut Vec<Value>) -> Result<(), Error> {
        let mut source = self.source()?;
        let title = self.fields.text("title")?;
        let context = self.fields.text("context")?;
        let (member, place) = match source.kind.as_str() {
            "base64" => ("file_data", source.data_url()?),
            "url" => ("file_url", source.required("url")?),
            "file" => ("file_id", source.required("file_id")?),
            "text" => {
                let said = [title, context, Some(source.required("data")?)];
                let said: Vec<_> = said.into_iter().flatten().collect();
                out.push(text(said.join("\n\n")));
                return Ok(());
            }
            "content" => {
                out.extend([title, context].into_iter().flatten().map(text));
                let content = source.fields.take("content");
                for block in blocks(content, &format!("{}.content", source.at))? {
                    block.inner(out)?;
                }
                return Ok(());
            }
            kind => return Err(unsupported(&format!("{}.type", source.at), kind)),
        };
        let mut place = object([(member, place.into())]);
        if source.kind == "base64" {
            let name = title.unwrap_or_else(|| "document.pdf".to_owned());
            place["filename"] = name.into();
        }
        out.extend(context.map(text));
        out.push(file(place));
        Ok(())
    }

    /// A block of a document, which holds none itself.
    fn inner(self, out: &mut Vec<Value>) -> Result<(), Error> {
        match self.kind.as_str() {
            "text" | "image" => self.part(out),
            kind => Err(unsupported(&format!("{}.type", self.at), kind)),
        }
    }

    fn search_result(&mut self, out: &mut Vec<Value>) -> Result<(), Error> {
        let said = [self.fields.text("title")?, self.fields.text("source")?];
        let said: Vec<_> = said.into_iter().flatten().collect();
        out.push(text(said.join("\n")));
        let at = format!("{}.content", self.at);
        for block in blocks(self.fields.take("content"), &at)? {
            block.inner(out)?;
        }
        Ok(())
    }
}

fn text(text: String) -> Value {
    object([("type", "text".into()), ("text", text.into())])
}

fn file(file: Value) -> Value {
    object([("type", "file".into()), ("file", file)])
}

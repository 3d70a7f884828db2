//! What is in a message, as blocks.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use ziggurat_core::Error;

use super::betas::{self, Betas};
use crate::chat::{Media, Part, unsupported};

/// Kinds of blocks that a client may write in Anthropic's own words.
const OWN: &[&str] = &[
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "container_upload",
    "document",
    "image",
    "mcp_tool_result",
    "mcp_tool_use",
    "redacted_thinking",
    "search_result",
    "server_tool_use",
    "text_editor_code_execution_tool_result",
    "thinking",
    "tool_result",
    "tool_use",
    "web_fetch_tool_result",
    "web_search_tool_result",
];

/// An object, made without copying what is in it.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members = members.into_iter();
    Value::Object(
        members
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// A block of text; none if there is nothing to read in it, which is refused.
pub(super) fn text(text: String, cache: Option<Value>) -> Option<Value> {
    if text.trim().is_empty() {
        return None;
    }
    let block = object([("type", "text".into()), ("text", text.into())]);
    Some(marked(block, cache))
}

/// The block, marked as the end of what is to be cached.
pub(super) fn marked(mut block: Value, cache: Option<Value>) -> Value {
    if let Some(cache) = cache {
        block["cache_control"] = cache;
    }
    block
}

/// Marks the last block, unless it is marked, or is one that cannot be.
pub(super) fn mark_last(blocks: &mut [Value], cache: Option<Value>) {
    if let (Some(cache), Some(last)) = (cache, blocks.last_mut())
        && last.get("cache_control").is_none()
        && !is_thinking(last)
    {
        last["cache_control"] = cache;
    }
}

/// Whether a block holds what the model thought.
pub(super) fn is_thinking(block: &Value) -> bool {
    block["type"] == "thinking" || block["type"] == "redacted_thinking"
}

/// The blocks of parts; `at` names the place of one.
///
/// # Errors
///
/// A refusal if one is of a kind that Anthropic does not read.
pub(super) fn of(
    parts: Vec<Part>,
    at: impl Fn(usize) -> String,
    betas: &mut Betas,
) -> Result<Vec<Value>, Error> {
    let mut blocks = Vec::with_capacity(parts.len());
    for (index, part) in parts.into_iter().enumerate() {
        let block = block(part, betas).map_err(|what| unfit(&at(index), what))?;
        blocks.extend(block);
    }
    Ok(blocks)
}

/// A part that is not taken.
pub(super) fn unfit(at: &str, what: &str) -> Error {
    unsupported::content(at, format!("`{at}`: {what}"))
}

fn block(part: Part, betas: &mut Betas) -> Result<Option<Value>, &'static str> {
    Ok(match part {
        Part::Text { text: words, cache } => text(words, cache),
        Part::Refusal(words) => text(words, None),
        Part::Image { media, cache, .. } => {
            let image = object([("type", "image".into()), ("source", image(media, betas)?)]);
            Some(marked(image, cache))
        }
        Part::File { media, name, cache } => {
            let source = document(media, betas)?;
            let kind = match source["media_type"].as_str() {
                Some(mime) if mime.starts_with("image/") => "image",
                _ => "document",
            };
            let mut block = object([("type", kind.into()), ("source", source)]);
            if let Some(name) = name.filter(|_| kind == "document") {
                block["title"] = name.into();
            }
            Some(marked(block, cache))
        }
        Part::Audio { .. } => return Err("the model does not hear audio"),
        Part::Other(block) => Some(own(block, betas)?),
    })
}

fn own(block: Map<String, Value>, betas: &mut Betas) -> Result<Value, &'static str> {
    let kind = block.get("type").and_then(Value::as_str);
    if !kind.is_some_and(|kind| OWN.contains(&kind)) {
        return Err("the model does not read parts of this type");
    }
    let source = block.get("source").and_then(|source| source.get("type"));
    if source.is_some_and(|kind| kind == "file") {
        betas.add(betas::FILES);
    }
    Ok(Value::Object(block))
}

fn image(media: Media, betas: &mut Betas) -> Result<Value, &'static str> {
    match media {
        Media::Data { mime, data } => Ok(inside(&mime, data)),
        media => elsewhere(media, betas),
    }
}

fn document(media: Media, betas: &mut Betas) -> Result<Value, &'static str> {
    let Media::Data { mime, data } = media else {
        return elsewhere(media, betas);
    };
    if mime == "application/pdf" || mime.starts_with("image/") {
        return Ok(inside(&mime, data));
    }
    if !mime.starts_with("text/") && mime != "application/json" {
        return Err("the model reads files of PDF, text and images only");
    }
    let text = STANDARD.decode(data).ok().map(String::from_utf8);
    let Some(Ok(text)) = text else {
        return Err("the file is no text in base64");
    };
    Ok(object([
        ("type", "text".into()),
        ("media_type", "text/plain".into()),
        ("data", text.into()),
    ]))
}

fn inside(mime: &str, data: String) -> Value {
    let mime = match mime {
        "image/jpg" => "image/jpeg",
        mime => mime,
    };
    object([
        ("type", "base64".into()),
        ("media_type", mime.into()),
        ("data", data.into()),
    ])
}

fn elsewhere(media: Media, betas: &mut Betas) -> Result<Value, &'static str> {
    match media {
        Media::Id(id) => {
            betas.add(betas::FILES);
            Ok(object([("type", "file".into()), ("file_id", id.into())]))
        }
        Media::Url(url) if url.starts_with("https://") || url.starts_with("http://") => {
            Ok(object([("type", "url".into()), ("url", url.into())]))
        }
        _ => Err("this is neither an address nor data in base64"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ziggurat_core::ErrorKind;

    use super::*;
    use crate::chat::ChatRequest;

    fn blocks(parts: Value) -> Result<(Vec<Value>, Vec<String>), Error> {
        let user = object([("role", "user".into()), ("content", parts)]);
        let body = object([("messages", vec![user].into())]);
        let mut request = ChatRequest::read(body.to_string().as_bytes())?;
        let mut betas = Betas::default();
        let parts = request.messages.remove(0).content;
        let blocks = of(parts, |index| format!("content[{index}]"), &mut betas)?;
        Ok((blocks, betas.into_names()))
    }

    #[test]
    fn every_part_becomes_a_block() {
        let cache = json!({"type": "ephemeral"});
        let (blocks, betas) = blocks(json!([
            {"type": "text", "text": "look", "cache_control": cache},
            {"type": "text", "text": " \n"},
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}, "cache_control": cache},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}},
            {"type": "file", "file": {"file_data": "data:text/csv;base64,YSxi"}},
            {"type": "file", "file": {"file_data": "data:image/png;base64,AAAA", "filename": "a.png"}},
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "search_result", "title": "t"},
        ]))
        .expect("can be said");
        let expected = json!([
            {"type": "text", "text": "look", "cache_control": cache},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}},
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}, "cache_control": cache},
            {"type": "document", "title": "a.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "search_result", "title": "t"},
        ]);
        assert_eq!(Value::from(blocks), expected);
        assert_eq!(betas, [betas::FILES]);
    }

    #[test]
    fn what_the_model_does_not_read_is_refused_with_its_place() {
        for part in [
            json!({"type": "input_audio", "input_audio": {"data": "AAAA"}}),
            json!({"type": "video_url", "video_url": {"url": "https://x"}}),
            json!({"type": "image_url", "image_url": {"url": "gs://bucket/x"}}),
            json!({"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}}),
            json!({"type": "file", "file": {"file_data": "data:application/zip;base64,AAAA"}}),
            json!({"type": "file", "file": {"file_data": "data:text/plain;base64,!!"}}),
        ] {
            let error = blocks(json!([{"type": "text", "text": "x"}, part])).expect_err("is unfit");
            let told = (error.kind(), error.param());
            assert_eq!(told, (ErrorKind::Rejected, Some("content[1]")), "{part}");
        }
    }
}

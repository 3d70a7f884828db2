//! The items of an answer.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// A new id, of a kind that its prefix tells.
pub(super) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{:032x}", fastrand::u128(..))
}

/// How far an item has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    /// Cut off by a limit or a filter.
    Incomplete,
}

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

pub(super) fn message(id: &str, status: Status, content: &[Value]) -> Value {
    json!({
        "id": id,
        "type": "message",
        "status": status.as_str(),
        "role": "assistant",
        "content": content,
    })
}

/// A part of a message.
pub(super) fn output_text(text: &str, annotations: &[Value], logprobs: &[Value]) -> Value {
    json!({
        "type": "output_text",
        "text": text,
        "annotations": annotations,
        "logprobs": logprobs,
    })
}

/// A part of a message.
pub(super) fn refusal(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

/// What the model thought: in words, and in the blocks that its maker signed.
pub(super) fn reasoning(id: &str, text: &str, thinking: &[Value]) -> Value {
    let summary = match text {
        "" => json!([]),
        text => json!([summary_text(text)]),
    };
    let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
    if let Some(sealed) = seal(thinking) {
        item["encrypted_content"] = sealed.into();
    }
    item
}

/// A part of what the model thought.
pub(super) fn summary_text(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

/// A call of a tool.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// That of the item.
    pub(super) id: String,
    /// That which the result goes by.
    pub(super) call_id: String,
    pub(super) name: String,
    /// The arguments of a function, or what a custom tool is given.
    pub(super) given: String,
    pub(super) is_custom: bool,
    /// What only the provider that made the call understands.
    pub(super) extra: Option<Value>,
}

impl Call {
    pub(super) fn item(&self, status: Status) -> Value {
        let (kind, place) = match self.is_custom {
            true => ("custom_tool_call", "input"),
            false => ("function_call", "arguments"),
        };
        let mut item = json!({
            "id": self.id,
            "type": kind,
            "status": status.as_str(),
            "call_id": self.call_id,
            "name": self.name,
            place: self.given,
        });
        if let Some(extra) = &self.extra {
            item["provider_specific_fields"] = extra.clone();
        }
        item
    }
}

/// An image that was made, and the data of it once it is there.
pub(super) fn image(id: &str, status: Status, data: Option<&str>) -> Value {
    json!({
        "id": id,
        "type": "image_generation_call",
        "status": status.as_str(),
        "result": data,
    })
}

/// The data of an image, of which chat has an address with the data in it.
pub(super) fn data_of_image(image: &Value) -> Option<&str> {
    let (_, data) = image["image_url"]["url"].as_str()?.split_once(";base64,")?;
    Some(data)
}

/// A citation, whose members lie one level deeper in chat.
pub(super) fn annotation(annotation: &Value) -> Value {
    let kind = annotation["type"].as_str().unwrap_or_default();
    match annotation.get(kind) {
        Some(Value::Object(members)) => {
            let mut members = members.clone();
            members.insert("type".to_owned(), kind.into());
            members.into()
        }
        _ => annotation.clone(),
    }
}

/// Signed thoughts as one text that clients keep and do not read; `None` if there are none.
fn seal(thinking: &[Value]) -> Option<String> {
    let mut blocks = thinking.iter();
    let is_sealed = blocks.any(|block| block["signature"].is_string() || block["data"].is_string());
    is_sealed.then(|| BASE64_STANDARD.encode(Value::from(thinking).to_string()))
}

/// The thoughts in such a text; `None` if it was sealed elsewhere.
pub(super) fn unseal(sealed: &str) -> Option<Vec<Value>> {
    let blocks = BASE64_STANDARD.decode(sealed).ok()?;
    let blocks: Vec<Value> = serde_json::from_slice(&blocks).ok()?;
    let is_block = |block: &Value| {
        let kind = block["type"].as_str();
        matches!(kind, Some("thinking" | "redacted_thinking"))
    };
    (!blocks.is_empty() && blocks.iter().all(is_block)).then_some(blocks)
}

/// Adds blocks of thinking to others. Those of a stream come in pieces: words first, then what
/// signs them.
pub(super) fn add_thinking(all: &mut Vec<Value>, blocks: &Value) {
    for block in blocks.as_array().into_iter().flatten() {
        let text = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
        let (words, signature) = (text(block, "thinking"), text(block, "signature"));
        let open = all.last_mut().filter(|open| {
            // Other words with a signature are a block of their own.
            let fits = words.is_empty() || signature.is_empty() || text(open, "thinking") == words;
            let is_open = text(open, "signature").is_empty();
            open["type"] == "thinking" && block["type"] == "thinking" && is_open && fits
        });
        let Some(open) = open else {
            all.push(block.clone());
            continue;
        };
        let said = text(open, "thinking");
        // Words that come again with a signature come to be signed.
        if said != words || signature.is_empty() {
            open["thinking"] = format!("{said}{words}").into();
        }
        if !signature.is_empty() {
            open["signature"] = signature.into();
        }
    }
}

/// What a message or a delta says, and what it thinks. Some write both as parts of the content.
pub(super) fn texts(message: &Value) -> (String, String) {
    let (said, mut thought) = match &message["content"] {
        Value::String(text) => (text.clone(), String::new()),
        Value::Array(parts) => parts.iter().fold(Default::default(), |mut texts, part| {
            let (said, thought): &mut (String, String) = &mut texts;
            said.push_str(part["text"].as_str().unwrap_or_default());
            let thoughts = part["thinking"].as_array().into_iter().flatten();
            let thoughts = thoughts.filter_map(|part| part["text"].as_str());
            thought.extend(thoughts);
            texts
        }),
        _ => Default::default(),
    };
    for name in ["reasoning_content", "reasoning"] {
        if let (true, Some(text)) = (thought.is_empty(), message[name].as_str()) {
            text.clone_into(&mut thought);
        }
    }
    (said, thought)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_thoughts_survive_a_client() {
        let blocks = [
            json!({"type": "thinking", "thinking": "so \u{e4}", "signature": "EqQB"}),
            json!({"type": "redacted_thinking", "data": "AAAA"}),
        ];
        let item = reasoning("rs_1", "so", &blocks);
        let sealed = item["encrypted_content"].as_str().expect("is sealed");
        assert_eq!(unseal(sealed).as_deref(), Some(&blocks[..]));
        let unsigned = [json!({"type": "thinking", "thinking": "so"})];
        assert!(
            reasoning("rs_1", "so", &unsigned)
                .get("encrypted_content")
                .is_none()
        );
        for foreign in ["gAAAAABoyXusnBzv", "", "W10=", "not base64"] {
            assert_eq!(unseal(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn thoughts_in_pieces_become_blocks() {
        let mut all = Vec::new();
        for blocks in [
            json!([{"type": "thinking", "thinking": "a"}]),
            json!([{"type": "thinking", "thinking": "a", "signature": ""}]),
            json!([{"type": "thinking", "thinking": "", "signature": "s"}]),
            json!([{"type": "thinking", "thinking": "c"}]),
            json!([{"type": "thinking", "thinking": "c", "signature": "t"}]),
            json!([{"type": "redacted_thinking", "data": "d"}]),
            json!([{"type": "thinking", "thinking": "unsigned"}]),
            json!([{"type": "thinking", "thinking": "e", "signature": "u"}]),
            json!(7),
        ] {
            add_thinking(&mut all, &blocks);
        }
        assert_eq!(
            all,
            [
                json!({"type": "thinking", "thinking": "aa", "signature": "s"}),
                json!({"type": "thinking", "thinking": "c", "signature": "t"}),
                json!({"type": "redacted_thinking", "data": "d"}),
                json!({"type": "thinking", "thinking": "unsigned"}),
                json!({"type": "thinking", "thinking": "e", "signature": "u"}),
            ]
        );
    }

    #[test]
    fn what_is_said_and_what_is_thought_are_told_apart() {
        let parts = json!([
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
            {"type": "text", "text": "so"},
        ]);
        for (message, said, thought) in [
            (json!({"content": "so"}), "so", ""),
            (json!({"content": "so", "reasoning": "hm"}), "so", "hm"),
            (
                json!({"reasoning_content": "hm", "reasoning": "hm"}),
                "",
                "hm",
            ),
            (json!({"content": parts}), "so", "hm"),
            (json!({"content": null, "refusal": "no"}), "", ""),
            (json!({"content": 7}), "", ""),
            (json!(7), "", ""),
        ] {
            assert_eq!(
                texts(&message),
                (said.to_owned(), thought.to_owned()),
                "{message}"
            );
        }
    }

    #[test]
    fn citations_lie_flat() {
        let chat = json!({"type": "url_citation", "url_citation": {"url": "u", "start_index": 1}});
        let flat = json!({"type": "url_citation", "url": "u", "start_index": 1});
        assert_eq!(annotation(&chat), flat);
        assert_eq!(annotation(&flat), flat);
    }
}

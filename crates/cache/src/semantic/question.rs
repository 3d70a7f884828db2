//! What is asked, apart from all else that a request says.

use serde_json::{Map, Value};
use ziggurat_core::{LlmRequest, Operation};

use crate::{CacheKey, Keys};

/// The longest question that is looked up, in bytes: about what models for embeddings take.
const LONGEST: usize = 32 * 1024;

/// The last thing that the user says, and what stands for all the rest.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) partition: CacheKey,
    pub(crate) text: String,
}

impl Keys {
    /// The question of a request; `None` if it has none that could be compared.
    pub(crate) fn question(&self, request: &LlmRequest) -> Option<Question> {
        if !self.is_wanted(request) {
            return None;
        }
        let (mut digest, mut body) = self.begin(request, &self.group(request))?;
        let text = take(request.operation(), &mut body)?;
        if text.trim().is_empty() || text.len() > LONGEST {
            return None;
        }
        // Another name than that of an answer.
        digest.part(b"semantic");
        digest.value(&Value::Object(body));
        Some(Question {
            partition: digest.finish(),
            text,
        })
    }
}

/// Takes the last text of the user out of a body.
fn take(operation: Operation, body: &mut Map<String, Value>) -> Option<String> {
    match operation {
        Operation::ChatCompletions | Operation::Messages => {
            last(body.get_mut("messages")?, "content")
        }
        Operation::GenerateContent => last(body.get_mut("contents")?, "parts"),
        Operation::Completions => text(body.get_mut("prompt")?),
        Operation::Responses => match body.get_mut("input")? {
            input @ Value::String(_) => text(input),
            input => last(input, "content"),
        },
        _ => None,
    }
}

fn last(messages: &mut Value, content: &str) -> Option<String> {
    let last = messages.as_array_mut()?.last_mut()?;
    if last.get("role")? != "user" {
        return None;
    }
    text(last.get_mut(content)?)
}

/// Takes a text, or the only text among parts.
fn text(content: &mut Value) -> Option<String> {
    let parts = match content {
        Value::String(text) => return Some(std::mem::take(text)),
        Value::Array(parts) => parts,
        _ => return None,
    };
    let mut texts = parts.iter_mut().filter_map(|part| part.get_mut("text"));
    match (texts.next()?, texts.next()) {
        (Value::String(text), None) => Some(std::mem::take(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ziggurat_core::ReadOptions;

    use super::*;

    fn question(operation: Operation, body: &Value) -> Option<Question> {
        let bytes = body.to_string();
        let request = match operation {
            Operation::GenerateContent => {
                LlmRequest::read_for(operation, bytes, "m", false, ReadOptions::new())
            }
            _ => LlmRequest::from_bytes(operation, bytes),
        };
        Keys::new().question(&request.expect("is a request"))
    }

    #[test]
    fn the_question_is_the_last_text_of_the_user_whatever_the_shape() {
        use Operation::{ChatCompletions, Completions, GenerateContent, Messages, Responses};
        let said = |content: Value| json!([{"role": "user", "content": content}]);
        for (operation, member, value) in [
            (ChatCompletions, "messages", said(json!("why?"))),
            (
                ChatCompletions,
                "messages",
                said(
                    json!([{"type": "text", "text": "why?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]),
                ),
            ),
            (
                Messages,
                "messages",
                said(json!([{"type": "text", "text": "why?"}])),
            ),
            (Completions, "prompt", json!("why?")),
            (Responses, "input", json!("why?")),
            (
                Responses,
                "input",
                said(json!([{"type": "input_text", "text": "why?"}])),
            ),
            (
                GenerateContent,
                "contents",
                json!([{"role": "user", "parts": [{"text": "why?"}]}]),
            ),
        ] {
            let mut body = json!({"model": "m"});
            body[member] = value;
            let found = question(operation, &body);
            assert_eq!(found.map(|it| it.text).as_deref(), Some("why?"), "{body}");
        }
        for messages in [
            json!([]),
            json!([{"role": "user", "content": "why?"}, {"role": "assistant", "content": "so"}]),
            json!([{"role": "user", "content": " "}]),
            json!([{"role": "user", "content": "x".repeat(LONGEST + 1)}]),
            json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]),
        ] {
            let body = json!({"model": "m", "messages": messages});
            assert!(question(ChatCompletions, &body).is_none(), "{body}");
        }
        let input = json!({"model": "m", "input": "why?"});
        assert!(question(Operation::Embeddings, &input).is_none());
    }

    #[test]
    fn all_but_the_question_makes_the_partition() {
        let chat = |system: &str, ask: &str, more: Value| {
            let mut body = json!({"model": "m", "messages": [
                {"role": "system", "content": system}, {"role": "user", "content": ask},
            ]});
            let more = more.as_object().expect("is one").clone();
            body.as_object_mut().expect("is one").extend(more);
            let found = question(Operation::ChatCompletions, &body);
            found.expect("has one").partition
        };
        let own = chat("be kind", "why?", json!({}));
        assert_eq!(chat("be kind", "why, then?", json!({})), own);
        for other in [
            chat("be brief", "why?", json!({})),
            chat("be kind", "why?", json!({"temperature": 1})),
            chat("be kind", "why?", json!({"model": "n"})),
            chat("be kind", "why?", json!({"user": "u"})),
            chat("be kind", "why?", json!({"stream": true})),
        ] {
            assert_ne!(other, own);
        }
    }
}

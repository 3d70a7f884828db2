//! The items of a conversation, as messages of chat.
//!
//! An answer is several items here and one message there: what comes between two turns of others
//! (thoughts, text, calls) becomes one message of the assistant.

use serde_json::{Value, json};
use ziggurat_core::Error;

use super::{content::Content, items, request::unsupported, tools};
use crate::chat::{Fields, wrong};

/// Items that say nothing that the message after them does not say.
const SILENT: &[&str] = &["web_search_call"];

/// The messages of an input.
pub(super) fn messages(input: Value) -> Result<Vec<Value>, Error> {
    let mut messages = Messages::default();
    match input {
        Value::String(text) => messages.push(json!({"role": "user", "content": text})),
        Value::Array(items) => {
            for (index, item) in items.into_iter().enumerate() {
                messages.item(item, &format!("input[{index}]"))?;
            }
        }
        _ => return Err(wrong("input", "a string or a list")),
    }
    messages.end_turn();
    Ok(messages.list)
}

#[derive(Debug, Default)]
struct Messages {
    list: Vec<Value>,
    turn: Turn,
}

/// What the assistant says in one message.
#[derive(Debug, Default)]
struct Turn {
    content: Option<Value>,
    reasoning: String,
    thinking: Vec<Value>,
    calls: Vec<Value>,
}

impl Messages {
    fn push(&mut self, message: Value) {
        self.end_turn();
        self.list.push(message);
    }

    fn end_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        if turn.content.is_none() && turn.calls.is_empty() {
            // Thoughts that led to nothing.
            return;
        }
        let mut message = json!({"role": "assistant", "content": turn.content});
        if !turn.reasoning.is_empty() {
            message["reasoning_content"] = turn.reasoning.into();
        }
        if !turn.thinking.is_empty() {
            message["thinking_blocks"] = turn.thinking.into();
        }
        if !turn.calls.is_empty() {
            message["tool_calls"] = turn.calls.into();
        }
        self.list.push(message);
    }

    /// Ends the turn before what cannot follow its text.
    fn after_text(&mut self) {
        if self.turn.content.is_some() && self.turn.calls.is_empty() {
            self.end_turn();
        }
    }

    fn item(&mut self, item: Value, at: &str) -> Result<(), Error> {
        let mut item = Fields::of(Some(item), at)?;
        let kind = item.text("type")?;
        match kind.as_deref() {
            None | Some("message") => self.message(item, at),
            Some("reasoning") => self.reasoning(item, at),
            Some("function_call") => self.call(item, "arguments"),
            Some("custom_tool_call") => self.call(item, "input"),
            Some("function_call_output" | "custom_tool_call_output") => {
                let content = item.take("output");
                let content = Content::read(content, &format!("{at}.output"))?;
                self.push(json!({
                    "role": "tool",
                    "tool_call_id": item.text("call_id")?,
                    "content": content.any(),
                }));
                Ok(())
            }
            Some("item_reference") => Err(unsupported(at, "conversation state")),
            Some(kind) if SILENT.contains(&kind) => Ok(()),
            Some(kind) => Err(unsupported(at, &format!("an item of type `{kind}`"))),
        }
    }

    fn message(&mut self, mut item: Fields, at: &str) -> Result<(), Error> {
        let Some(role) = item.text("role")? else {
            return Err(match item.take("id") {
                Some(_) => unsupported(at, "conversation state"),
                None => wrong(&format!("{at}.role"), "a role"),
            });
        };
        let content = Content::read(item.take("content"), &format!("{at}.content"))?;
        match role.as_str() {
            "user" => self.push(json!({"role": "user", "content": content.any()})),
            "system" | "developer" => {
                self.push(json!({"role": "system", "content": content.any()}));
            }
            "assistant" => {
                self.after_text();
                let said = self.turn.content.take();
                self.turn.content = Some(content.said_after(said.as_ref()));
            }
            _ => return Err(wrong(&format!("{at}.role"), "a role")),
        }
        Ok(())
    }

    fn reasoning(&mut self, mut item: Fields, at: &str) -> Result<(), Error> {
        self.after_text();
        let mut texts = item.list("summary")?;
        // What was thought says more than the summary of it.
        let content = item.list("content")?;
        if !content.is_empty() {
            texts = content;
        }
        for text in &texts {
            let Some(text) = text["text"].as_str() else {
                return Err(wrong(at, "texts in its summary and content"));
            };
            if !self.turn.reasoning.is_empty() {
                self.turn.reasoning.push_str("\n\n");
            }
            self.turn.reasoning.push_str(text);
        }
        let sealed = item.text("encrypted_content")?.unwrap_or_default();
        // What another maker sealed is of no use to anybody here.
        let blocks = items::unseal(&sealed).unwrap_or_default();
        self.turn.thinking.extend(blocks);
        Ok(())
    }

    fn call(&mut self, mut item: Fields, place: &str) -> Result<(), Error> {
        let given = item.text(place)?.unwrap_or_default();
        let arguments = match place {
            "input" => tools::arguments(&given),
            _ => given,
        };
        let mut call = json!({
            "id": item.text("call_id")?,
            "type": "function",
            "function": {"name": item.text("name")?, "arguments": arguments},
        });
        if let Some(extra) = item.take("provider_specific_fields") {
            call["provider_specific_fields"] = extra;
        }
        self.turn.calls.push(call);
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn read(input: Value) -> Value {
        messages(input).expect("is valid").into()
    }

    #[test]
    fn messages_of_every_role_become_those_of_chat() {
        let input = json!([
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "he", "annotations": []},
                {"type": "refusal", "refusal": "no"},
            ]},
            {"role": "assistant", "content": "and so"},
            {"role": "user", "content": ""},
        ]);
        let expected = json!([
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "heno"},
            {"role": "assistant", "content": "and so"},
            {"role": "user", "content": ""},
        ]);
        assert_eq!(read(input), expected);
        assert_eq!(
            read(json!("hi")),
            json!([{"role": "user", "content": "hi"}])
        );
        assert_eq!(read(json!([])), json!([]));
    }

    #[test]
    fn parts_of_every_kind_become_those_of_chat() {
        let audio = json!({"data": "AAAA", "format": "wav"});
        let input = json!([{"role": "user", "content": [
            {"type": "input_text", "text": "look", "cache_control": {"type": "ephemeral"}},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
            {"type": "input_image", "image_url": {"url": "https://x/y.png"}, "file_id": null},
            {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
            {"type": "input_file", "file_id": "file_1"},
            {"type": "input_file", "file_url": "https://x/a.pdf"},
            {"type": "input_audio", "input_audio": audio},
        ]}]);
        let expected = json!([
            {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "file", "file": {"file_url": "https://x/a.pdf"}},
            {"type": "input_audio", "input_audio": audio},
        ]);
        assert_eq!(read(input)[0]["content"], expected);
    }

    #[test]
    fn what_the_assistant_does_in_one_turn_is_one_message() {
        let call = |id: &str| {
            json!({"type": "function_call", "id": "fc_1", "call_id": id, "name": "f",
            "arguments": "{}", "provider_specific_fields": {"thought_signature": id}})
        };
        let output =
            |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "42"});
        let thought = |text: &str| {
            json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA",
            "summary": [{"type": "summary_text", "text": text}]})
        };
        let input = json!([
            thought("a"),
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            thought("b"), call("c"), call("d"), output("c"), output("d"),
            thought("e"), {"role": "assistant", "content": "so"},
            thought("nothing comes of it"),
            {"role": "user", "content": "well"},
            {"type": "reasoning", "summary": [{"text": "short"}], "content": [{"type": "reasoning_text", "text": "long"}]},
            {"role": "assistant", "content": "yes"}, call("f"),
        ]);
        let made = |id: &str| {
            json!({"id": id, "type": "function",
            "function": {"name": "f", "arguments": "{}"}, "provider_specific_fields": {"thought_signature": id}})
        };
        let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "42"});
        let expected = json!([
            {"role": "assistant", "content": null, "reasoning_content": "a\n\nb", "tool_calls": [made("c"), made("d")]},
            result("c"),
            result("d"),
            {"role": "assistant", "content": "so", "reasoning_content": "e"},
            {"role": "user", "content": "well"},
            {"role": "assistant", "content": "yes", "reasoning_content": "long", "tool_calls": [made("f")]},
        ]);
        assert_eq!(read(input), expected);
    }

    #[test]
    fn what_has_no_place_in_chat_is_refused_where_it_stands() {
        let part = |part: Value| json!({"role": "user", "content": [part]});
        for (item, at) in [
            (json!({"type": "item_reference", "id": "msg_1"}), "input[0]"),
            (json!({"id": "msg_1"}), "input[0]"),
            (json!({"type": "computer_call"}), "input[0]"),
            (json!({"content": "hi"}), "input[0].role"),
            (json!({"role": "king", "content": "hi"}), "input[0].role"),
            (json!({"role": "user", "content": 7}), "input[0].content"),
            (json!(7), "input[0]"),
            (json!({"type": "reasoning", "summary": [7]}), "input[0]"),
            (
                part(json!({"type": "input_image", "file_id": "f"})),
                "input[0].content[0].file_id",
            ),
            (
                part(json!({"type": "input_image"})),
                "input[0].content[0].image_url",
            ),
            (part(json!({"type": "input_video"})), "input[0].content[0]"),
            (part(json!({})), "input[0].content[0].type"),
        ] {
            let error = messages(json!([item])).expect_err("is refused");
            assert_eq!(
                (error.status(), error.param()),
                (http::StatusCode::BAD_REQUEST, Some(at)),
                "{error}"
            );
        }
    }
}

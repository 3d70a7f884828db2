//! A whole answer.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{form, usage::Counts};
use crate::{
    chat::{Answer, Choice, Finish, ToolCall},
    dialect::Call,
};

/// The answer in OpenAI's words. What is no message stays as it is: it is found to be none.
pub(crate) fn read(call: &Call<'_>, body: &[u8]) -> Bytes {
    let message = serde_json::from_slice(body).ok();
    let Some(Value::Object(mut message)) = message else {
        return Bytes::copy_from_slice(body);
    };
    let Some(Value::Array(content)) = message.remove("content") else {
        return Bytes::copy_from_slice(body);
    };
    let mut said = Said::default();
    for block in content {
        said.add(block);
    }
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    let mut counts = Counts::default();
    let mut other = Map::new();
    if let Some(usage) = message.get("usage") {
        counts.take(usage);
        if let Some(tier) = usage.get("service_tier").filter(|tier| tier.is_string()) {
            other.insert("service_tier".to_owned(), tier.clone());
        }
    }
    let mut choice = said.choice;
    choice.finish = text("stop_reason").map_or(Finish::Unknown, |reason| {
        finish(reason, !choice.tool_calls.is_empty())
    });
    if choice.content.is_empty() {
        choice.refusal = message.get("stop_details").and_then(refusal);
    }
    let mut extra = Map::new();
    if !said.citations.is_empty() {
        extra.insert("citations".to_owned(), said.citations.into());
    }
    if let Some(container) = message.get("container").filter(|it| it.is_object()) {
        extra.insert("container".to_owned(), container.clone());
    }
    choice.extra = (!extra.is_empty()).then(|| extra.into());
    let answer = Answer {
        id: text("id").map(str::to_owned),
        model: text("model").unwrap_or(call.model).to_owned(),
        created: call.now,
        choices: vec![choice],
        usage: counts.tokens(),
        other,
    };
    answer.into_json().into()
}

/// Why an answer ended, in OpenAI's words. An end that nobody knows is one.
pub(super) fn finish(reason: &str, calls: bool) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" | "compaction" => Finish::Length,
        "refusal" => Finish::ContentFilter,
        _ if calls => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// Why the model declines, if it says so.
pub(super) fn refusal(details: &Value) -> Option<String> {
    let words = details.get("explanation")?.as_str()?;
    (!words.is_empty()).then(|| words.to_owned())
}

/// A place in the web that a text refers to, in OpenAI's words; none if it is no such place.
pub(super) fn annotation(citation: &Value, start: u64, end: u64) -> Option<Value> {
    let url = citation.get("url")?.as_str()?;
    Some(json!({
        "type": "url_citation",
        "url_citation": {
            "url": url,
            "title": citation.get("title").and_then(Value::as_str).unwrap_or_default(),
            "start_index": start,
            "end_index": end,
        },
    }))
}

/// What the blocks say.
#[derive(Debug, Default)]
struct Said {
    choice: Choice,
    /// As they were written.
    citations: Vec<Value>,
    /// How many characters of text there are.
    chars: u64,
}

impl Said {
    fn add(&mut self, mut block: Value) {
        let choice = &mut self.choice;
        let mut text = |name: &str| match block.get_mut(name).map(Value::take) {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        match text("type").as_str() {
            "text" => {
                let said = text("text");
                let start = self.chars;
                self.chars += said.chars().count() as u64;
                choice.content.push_str(&said);
                if let Some(Value::Array(citations)) = block.get_mut("citations").map(Value::take) {
                    let noted = |citation| annotation(citation, start, self.chars);
                    choice
                        .annotations
                        .extend(citations.iter().filter_map(noted));
                    self.citations.extend(citations);
                }
            }
            "tool_use" => {
                let (id, name) = (text("id"), text("name"));
                let input = block.get("input").filter(|input| input.is_object());
                let arguments = input.map_or_else(|| "{}".to_owned(), Value::to_string);
                if name == form::TOOL {
                    choice.content.push_str(&arguments);
                    return;
                }
                choice.tool_calls.push(ToolCall {
                    id,
                    name,
                    arguments,
                    extra: None,
                });
            }
            "thinking" => {
                let (thought, signature) = (text("thinking"), text("signature"));
                choice.reasoning.push_str(&thought);
                choice.thinking.push(thinking(&thought, &signature));
            }
            "redacted_thinking" => choice.thinking.push(redacted(&text("data"))),
            // What Anthropic's own tools did: nobody is called for it.
            _ => {}
        }
    }
}

/// A thought, to be given back as it is.
pub(super) fn thinking(thought: &str, signature: &str) -> Value {
    json!({"type": "thinking", "thinking": thought, "signature": signature})
}

/// A thought that nobody may read.
pub(super) fn redacted(data: &str) -> Value {
    json!({"type": "redacted_thinking", "data": data})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::anthropic::test::asked;

    fn answer(message: &Value) -> Value {
        let body = json!({"messages": [{"role": "user", "content": "hi"}]});
        let answer = asked(&body, |call| read(call, message.to_string().as_bytes()));
        serde_json::from_slice(&answer).expect("is JSON")
    }

    #[test]
    fn every_block_has_its_place() {
        let answer = answer(&json!({
            "id": "msg_1", "type": "message", "model": "claude-x", "stop_reason": "tool_use",
            "container": {"id": "c"},
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}},
                {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []},
                {"type": "text", "text": "Grüße: "},
                {"type": "text", "text": "here", "citations": [
                    {"type": "web_search_result_location", "url": "https://x", "title": "X"},
                    {"type": "char_location", "cited_text": "y"},
                ]},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "u", "name": "g", "input": {}},
            ],
            "usage": {"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 3, "service_tier": "standard"},
        }));
        assert_eq!(
            (&answer["id"], &answer["model"]),
            (&json!("msg_1"), &json!("claude-x"))
        );
        assert_eq!(answer["service_tier"], "standard");
        assert_eq!(answer["usage"]["prompt_tokens"], 3);
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
        let message = &answer["choices"][0]["message"];
        assert_eq!(message["content"], "Grüße: here");
        assert_eq!(message["reasoning_content"], "hm");
        assert_eq!(
            message["thinking_blocks"],
            json!([thinking("hm", "s"), redacted("d")])
        );
        let place = json!({"url": "https://x", "title": "X", "start_index": 7, "end_index": 11});
        let annotation = json!({"type": "url_citation", "url_citation": place});
        assert_eq!(message["annotations"], json!([annotation]));
        let extra = &message["provider_specific_fields"];
        assert_eq!(extra["citations"][1]["cited_text"], "y");
        assert_eq!(extra["container"]["id"], "c");
        let calls = message["tool_calls"].as_array().expect("are there");
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0]["id"], "t");
        assert_eq!(
            calls[0]["function"],
            json!({"name": "f", "arguments": "{\"a\":1}"})
        );
        assert_eq!(calls[1]["function"]["arguments"], "{}");
    }

    #[test]
    fn a_call_that_takes_the_answer_is_the_answer() {
        let answer = answer(&json!({
            "stop_reason": "tool_use",
            "content": [{"type": "tool_use", "id": "t", "name": form::TOOL, "input": {"a": 1}}],
        }));
        let choice = &answer["choices"][0];
        assert_eq!(choice["message"]["content"], "{\"a\":1}");
        assert_eq!(choice["message"].get("tool_calls"), None);
        assert_eq!(choice["finish_reason"], "stop");
        assert_eq!(answer["model"], "claude-sonnet-4-5");
    }

    #[test]
    fn every_end_has_its_word() {
        for (reason, plain, calling) in [
            ("end_turn", Finish::Stop, Finish::ToolCalls),
            ("stop_sequence", Finish::Stop, Finish::ToolCalls),
            ("pause_turn", Finish::Stop, Finish::ToolCalls),
            ("tool_use", Finish::Stop, Finish::ToolCalls),
            ("max_tokens", Finish::Length, Finish::Length),
            (
                "model_context_window_exceeded",
                Finish::Length,
                Finish::Length,
            ),
            ("compaction", Finish::Length, Finish::Length),
            ("refusal", Finish::ContentFilter, Finish::ContentFilter),
            ("something_new", Finish::Stop, Finish::ToolCalls),
        ] {
            let read = (finish(reason, false), finish(reason, true));
            assert_eq!(read, (plain, calling), "{reason}");
        }
        let open = answer(&json!({"content": [], "stop_reason": null}));
        assert_eq!(open["choices"][0]["finish_reason"], Value::Null);
    }

    #[test]
    fn who_declines_says_why() {
        let details = json!({"type": "refusal", "category": "cyber", "explanation": "no"});
        let message = |content: Value| json!({"content": content, "stop_reason": "refusal", "stop_details": details});
        let silent = answer(&message(json!([])));
        assert_eq!(silent["choices"][0]["message"]["refusal"], "no");
        assert_eq!(silent["choices"][0]["finish_reason"], "content_filter");
        let begun = answer(&message(json!([{"type": "text", "text": "Well"}])));
        assert_eq!(begun["choices"][0]["message"]["content"], "Well");
    }

    #[test]
    fn what_is_no_message_stays_as_it_is() {
        for body in [
            "",
            "<html>",
            "[]",
            r#"{"type":"error","error":{"type":"api_error"}}"#,
        ] {
            let request = json!({"messages": []});
            let read = asked(&request, |call| read(call, body.as_bytes()));
            assert_eq!(read, body);
        }
        // Blocks of any shape are read.
        let odd = json!({"content": [7, null, {"type": 7}, {"type": "tool_use"}, {"type": "text", "citations": {}}]});
        assert_eq!(
            answer(&odd)["choices"][0]["message"]["tool_calls"][0]["id"],
            ""
        );
    }
}

//! Chat that was asked for in another shape.

use serde_json::{Map, Value, json};
use ziggurat_core::{Deployment, Error, ErrorKind};

use crate::chat::unsupported;

/// Who knows `cache_control`.
const CACHES: &[&str] = &["litellm_proxy", "openrouter"];
/// Who is told how to think by `thinking`.
const THINKS: &[&str] = &["deepseek", "zai"];
/// Who wants to have its thoughts back.
const REMEMBERS: &[&str] = &[
    "deepseek",
    "hosted_vllm",
    "litellm_proxy",
    "moonshot",
    "openrouter",
    "sglang",
    "vllm",
    "zai",
];
/// Who chooses among the `top_k`.
const TOP_K: &[&str] = &[
    "deepinfra",
    "fireworks_ai",
    "hosted_vllm",
    "huggingface",
    "litellm_proxy",
    "llamafile",
    "lm_studio",
    "nvidia_nim",
    "openrouter",
    "sglang",
    "together",
    "together_ai",
    "vllm",
];
/// Who has a new name for the length of an answer, and refuses the old one for some models.
const NEW_LENGTH: &[&str] = &["azure", "openai"];

/// The chat that another shape became, without what the provider does not know. `asks_usage` is
/// whether it can be asked for usage at the end of a stream.
///
/// # Errors
///
/// A refusal if it does not know something that makes a difference.
pub(crate) fn fitted(
    chat: &[u8],
    deployment: &Deployment,
    asks_usage: bool,
) -> Result<Vec<u8>, Error> {
    let Ok(mut chat) = serde_json::from_slice::<Map<String, Value>>(chat) else {
        return Err(Error::new(ErrorKind::Internal, "a request became no chat"));
    };
    let knows = |names: &[&str]| names.contains(&deployment.provider());
    if !asks_usage {
        chat.remove("stream_options");
    }
    if !knows(TOP_K) {
        unsupported::refuse(deployment, "top_k", chat.remove("top_k").is_some())?;
    }
    if let Some(thinking) = chat.remove("thinking").filter(|_| knows(THINKS)) {
        let kind = match thinking["type"] == "disabled" {
            true => "disabled",
            false => "enabled",
        };
        chat.insert("thinking".to_owned(), json!({"type": kind}));
    }
    if knows(NEW_LENGTH)
        && let Some(length) = chat.remove("max_tokens")
    {
        chat.entry("max_completion_tokens").or_insert(length);
    }
    let caches = knows(CACHES);
    if let Some(Value::Array(tools)) = chat.get_mut("tools").filter(|_| !caches) {
        tools.iter_mut().for_each(unmark);
    }
    if let Some(Value::Array(messages)) = chat.get_mut("messages") {
        for message in messages.iter_mut() {
            plain(message, caches, knows(REMEMBERS));
        }
        *messages = apart(std::mem::take(messages));
    }
    Ok(Value::Object(chat).to_string().into_bytes())
}

fn unmark(value: &mut Value) {
    if let Value::Object(members) = value {
        members.remove("cache_control");
    }
}

/// Takes out of a message what only others know.
fn plain(message: &mut Value, caches: bool, remembers: bool) {
    let Value::Object(members) = message else {
        return;
    };
    members.remove("is_error");
    members.remove("thinking_blocks");
    if !remembers {
        members.remove("reasoning_content");
        let calls = members.get_mut("tool_calls").and_then(Value::as_array_mut);
        for call in calls.into_iter().flatten().filter_map(Value::as_object_mut) {
            call.remove("provider_specific_fields");
        }
    }
    if caches {
        return;
    }
    members.remove("cache_control");
    let Some(content) = members.get_mut("content") else {
        return;
    };
    if let Value::Array(parts) = content {
        parts.iter_mut().for_each(unmark);
        if let [part] = &mut parts[..]
            && part["text"].is_string()
        {
            *content = part["text"].take();
        }
    }
}

/// The messages, with what is no text in the results of tools in a message of the user's behind
/// them.
fn apart(messages: Vec<Value>) -> Vec<Value> {
    let mut out = Vec::with_capacity(messages.len());
    let mut shown = Vec::new();
    for mut message in messages {
        if message["role"] != "tool" {
            show(&mut shown, &mut out);
        } else if let Value::Array(parts) = &mut message["content"] {
            let (texts, others): (Vec<_>, Vec<_>) = std::mem::take(parts)
                .into_iter()
                .partition(|part| part["text"].is_string());
            let texts: Vec<_> = texts
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect();
            message["content"] = match texts[..] {
                [] => "see the next message of the user".into(),
                _ => texts.join("\n").into(),
            };
            shown.extend(others);
        }
        out.push(message);
    }
    show(&mut shown, &mut out);
    out
}

fn show(shown: &mut Vec<Value>, out: &mut Vec<Value>) {
    if !shown.is_empty() {
        let content = std::mem::take(shown);
        out.push(json!({"role": "user", "content": content}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(chat: &Value, provider: &str) -> Result<Value, Error> {
        let deployment = Deployment::new("a", "gpt", "m").with_provider(provider);
        let fitted = fitted(chat.to_string().as_bytes(), &deployment, false)?;
        Ok(serde_json::from_slice(&fitted).expect("is JSON"))
    }

    fn marked() -> Value {
        let mark = json!({"type": "ephemeral"});
        json!({
            "model": "m", "max_tokens": 7, "stream_options": {"include_usage": true},
            "thinking": {"type": "adaptive"},
            "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": mark}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": mark}]},
                {"role": "assistant", "content": "b", "thinking_blocks": [1], "reasoning_content": "hm",
                    "tool_calls": [{"id": "c", "provider_specific_fields": {"thought_signature": "s"}}]},
                {"role": "tool", "tool_call_id": "c", "is_error": true, "cache_control": mark, "content": "d"},
            ],
        })
    }

    #[test]
    fn what_openai_does_not_know_is_not_sent_to_it() {
        let expected = json!({
            "model": "m", "max_completion_tokens": 7,
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b", "tool_calls": [{"id": "c"}]},
                {"role": "tool", "tool_call_id": "c", "content": "d"},
            ],
        });
        assert_eq!(fit(&marked(), "openai").expect("fits"), expected);
    }

    #[test]
    fn those_who_know_more_get_it() {
        let openrouter = fit(&marked(), "openrouter").expect("fits");
        let messages = &openrouter["messages"];
        assert!(messages[0]["content"][0]["cache_control"].is_object());
        assert_eq!(messages[1]["reasoning_content"], "hm");
        assert!(messages[1].get("thinking_blocks").is_none());
        assert_eq!(openrouter["max_tokens"], 7);
        assert!(openrouter.get("thinking").is_none());
        let deepseek = fit(&marked(), "deepseek").expect("fits");
        assert_eq!(deepseek["thinking"], json!({"type": "enabled"}));
    }

    #[test]
    fn what_makes_a_difference_is_refused_unless_it_may_be_dropped() {
        let chat = json!({"top_k": 3});
        let error = fit(&chat, "openai").expect_err("is refused");
        assert_eq!(
            (error.status(), error.param()),
            (http::StatusCode::BAD_REQUEST, Some("top_k"))
        );
        assert_eq!(fit(&chat, "hosted_vllm").expect("fits"), chat);
        let drops = Deployment::new("a", "gpt", "m").with_drop_params(true);
        let left = fitted(chat.to_string().as_bytes(), &drops, true);
        assert_eq!(left.expect("fits"), b"{}");
    }

    #[test]
    fn images_of_tools_come_behind_all_results() {
        let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
        let text = |text: &str| json!({"type": "text", "text": text});
        let chat = json!({"messages": [
            {"role": "tool", "tool_call_id": "a", "content": [text("x"), image("1"), text("y")]},
            {"role": "tool", "tool_call_id": "b", "content": [image("2")]},
            {"role": "user", "content": "so?"},
            {"role": "tool", "tool_call_id": "c", "content": [image("3"), text("z")]},
        ]});
        let expected = json!([
            {"role": "tool", "tool_call_id": "a", "content": "x\ny"},
            {"role": "tool", "tool_call_id": "b", "content": "see the next message of the user"},
            {"role": "user", "content": [image("1"), image("2")]},
            {"role": "user", "content": "so?"},
            {"role": "tool", "tool_call_id": "c", "content": "z"},
            {"role": "user", "content": [image("3")]},
        ]);
        assert_eq!(fit(&chat, "openai").expect("fits")["messages"], expected);
    }
}

//! How a provider is told to go on with the last message of the assistant, where it wants to be
//! told.

use serde::Deserialize;
use serde_json::{Map, Value};
use ziggurat_core::{Capability, LlmRequest, Overrides, ReadOptions, Redirect};

#[derive(Deserialize)]
struct Asked {
    messages: Vec<Value>,
}

/// The request as that provider wants it, if it asks to go on with a prefill and the provider would
/// answer the prefill, or refuse it, otherwise.
pub(crate) fn marked(request: &LlmRequest, provider: &str) -> Option<LlmRequest> {
    if !request.needs().contains(Capability::AssistantPrefill) {
        return None;
    }
    let mut fields = Map::new();
    match provider {
        "mistral" | "codestral" | "deepseek" => {
            let mut asked: Asked = serde_json::from_slice(request.body()).ok()?;
            let last = asked.messages.last_mut()?.as_object_mut()?;
            last.insert("prefix".to_owned(), true.into());
            fields.insert("messages".to_owned(), asked.messages.into());
        }
        "vllm" | "hosted_vllm" => {
            fields.insert("continue_final_message".to_owned(), true.into());
            fields.insert("add_generation_prompt".to_owned(), false.into());
        }
        _ => return None,
    }
    let overrides = Overrides::new(fields, ReadOptions::new()).ok()?;
    request.clone().with_overrides(&overrides).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ziggurat_core::Operation;

    use super::*;

    #[test]
    fn a_prefill_is_marked_for_those_who_want_it() {
        let body = json!({"model": "m", "messages": [{"role": "assistant", "content": "x"}]});
        let plain = LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is valid");
        let asked = plain.clone().requiring(Capability::AssistantPrefill);
        let sent = |provider| {
            let request = marked(&asked, provider)?;
            serde_json::from_slice::<Value>(request.body()).ok()
        };
        let mistral = sent("mistral").expect("is marked");
        let last = json!({"role": "assistant", "content": "x", "prefix": true});
        assert_eq!(mistral["messages"], json!([last]));
        let vllm = sent("hosted_vllm").expect("is marked");
        assert_eq!(vllm["continue_final_message"], true);
        assert_eq!(vllm["add_generation_prompt"], false);
        assert_eq!(vllm["messages"], body["messages"]);
        assert!(sent("openrouter").is_none());
        assert!(marked(&plain, "mistral").is_none());
    }
}

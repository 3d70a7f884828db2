//! Chat completions.

use serde_json::{Value, json};
use ziggurat_core::{Capability, GoOn, LlmRequest, Usage};

use super::{
    Shape,
    choices::{self, Fields},
    said::Said,
};

const TEXT: &str = "/delta/content";

/// What a model is told that does not go on by itself.
const INSTRUCTION: &str = "Your answer was interrupted. Continue it from the exact point where it \
    stops, even if that is in the middle of a word or of a line. Repeat nothing of it, and write \
    nothing about the interruption.";

pub(super) struct Chat;

impl Shape for Chat {
    fn allows(&self, request: &LlmRequest) -> bool {
        choices::are_text(request)
    }

    fn hear(&self, event: &Value, said: &mut Said) {
        choices::hear(event, said, TEXT);
    }

    fn join(&self, event: &mut Value, said: &mut Said, spent: &Usage) -> bool {
        choices::join(event, said, spent, TEXT)
    }

    /// Some providers refuse a prefill that ends in white space.
    fn seam<'a>(&self, text: &'a str) -> &'a str {
        &text[text.trim_end().len()..]
    }

    fn rest(&self, request: &LlmRequest, text: &str, how: GoOn) -> Option<LlmRequest> {
        let mut fields = Fields::of(request)?;
        let mut messages = fields.messages.take()?;
        let said = text.trim_end();
        match messages
            .last_mut()
            .filter(|last| last["role"] == "assistant")
        {
            // The client had begun the answer itself.
            Some(last) => match last.get_mut("content")? {
                Value::String(begun) => begun.push_str(said),
                _ => return None,
            },
            None => messages.push(json!({"role": "assistant", "content": said})),
        }
        let capability = match how {
            // Those who think first take no prefill.
            GoOn::Prefill if request.needs().contains(Capability::Reasoning) => return None,
            GoOn::Prefill => Capability::AssistantPrefill,
            GoOn::Instruction => {
                messages.push(json!({"role": "user", "content": INSTRUCTION}));
                Capability::Continuation
            }
        };
        let rest = fields.request(request, "messages", messages.into(), text)?;
        Some(rest.requiring(capability))
    }
}

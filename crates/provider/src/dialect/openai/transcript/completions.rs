//! Completions: a model of this kind goes on with whatever it is given.

use serde_json::Value;
use ziggurat_core::{GoOn, LlmRequest, Usage};

use super::{
    Shape,
    choices::{self, Fields},
    said::Said,
};

const TEXT: &str = "/text";

pub(super) struct Completions;

impl Shape for Completions {
    fn allows(&self, request: &LlmRequest) -> bool {
        request.prompt().starts_with('"') && choices::are_text(request)
    }

    fn hear(&self, event: &Value, said: &mut Said) {
        choices::hear(event, said, TEXT);
    }

    fn join(&self, event: &mut Value, said: &mut Said, spent: &Usage) -> bool {
        choices::join(event, said, spent, TEXT)
    }

    fn seam<'a>(&self, _: &'a str) -> &'a str {
        ""
    }

    fn rest(&self, request: &LlmRequest, text: &str, how: GoOn) -> Option<LlmRequest> {
        if how == GoOn::Instruction {
            return None;
        }
        let mut fields = Fields::of(request)?;
        match fields.prompt.take()? {
            Value::String(prompt) => {
                fields.request(request, "prompt", (prompt + text).into(), text)
            }
            _ => None,
        }
    }
}

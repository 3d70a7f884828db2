//! What the model said before.

use serde_json::{Value, json};
use ziggurat_core::Error;

use super::{
    calls::Calls,
    object,
    parts::{Part, said},
    signature,
};

/// A message of the model's, as it is put together.
#[derive(Debug, Default)]
pub(super) struct Assistant {
    parts: Vec<Value>,
    /// What it thought, in words.
    reasoning: String,
    /// What it thought, in blocks that another provider signed.
    blocks: Vec<Value>,
    /// Google's signatures of what is no call.
    signatures: Vec<Value>,
    calls: Vec<Value>,
}

impl Assistant {
    /// Adds a part.
    ///
    /// # Errors
    ///
    /// A refusal of what nobody but Google reads.
    pub(super) fn add(&mut self, part: Part, calls: &mut Calls) -> Result<(), Error> {
        match part {
            Part::Text {
                text,
                is_thought,
                signature,
            } => {
                let theirs = signature.and_then(|signature| self.signed(signature));
                self.signatures.extend(theirs.map(Value::from));
                match is_thought {
                    true => self.reasoning.push_str(&text),
                    false if text.is_empty() => {}
                    false => self.parts.push(said(text)),
                }
            }
            Part::Call {
                id,
                name,
                arguments,
                signature,
            } => {
                let id = calls.called(id, &name);
                let function = object([
                    ("name", name.into()),
                    ("arguments", arguments.to_string().into()),
                ]);
                let mut call = object([
                    ("id", id.into()),
                    ("type", "function".into()),
                    ("function", function),
                ]);
                let theirs = signature.and_then(|signature| self.signed(signature));
                if let Some(signature) = theirs {
                    call["provider_specific_fields"] = json!({ "thought_signature": signature });
                }
                self.calls.push(call);
            }
            part => part.shown(&mut self.parts)?,
        }
        Ok(())
    }

    /// Takes the blocks out of a signature that we made; gives back one that is Google's.
    fn signed(&mut self, signature: String) -> Option<String> {
        if signature::is_none(&signature) {
            return None;
        }
        match signature::read(&signature) {
            Some(blocks) => {
                self.blocks.extend(blocks);
                None
            }
            None => Some(signature),
        }
    }

    pub(super) fn into_message(self) -> Value {
        let mut message = json!({"role": "assistant"});
        let texts = || self.parts.iter().map(|part| part["text"].as_str());
        message["content"] = match texts().collect::<Option<String>>() {
            Some(text) if text.is_empty() && !self.calls.is_empty() => Value::Null,
            // Texts are one, as they are when they are read.
            Some(text) => text.into(),
            None => self.parts.into(),
        };
        let words = match self.reasoning.is_empty() {
            false => self.reasoning,
            true => {
                let hidden = self.blocks.iter();
                let hidden = hidden.filter_map(|block| block["thinking"].as_str());
                hidden.collect()
            }
        };
        if !words.is_empty() {
            message["reasoning_content"] = words.into();
        }
        // What nobody signed is nothing that its maker would know again.
        let mut blocks = self.blocks;
        blocks.retain(|block| block["signature"] != "");
        for (name, list) in [("thinking_blocks", blocks), ("tool_calls", self.calls)] {
            if !list.is_empty() {
                message[name] = list.into();
            }
        }
        if !self.signatures.is_empty() {
            let signatures = json!({"thought_signatures": self.signatures});
            message["provider_specific_fields"] = signatures;
        }
        message
    }
}

//! The kinds of answers that a client can ask for. A new one is one line of [`SHAPES`].

use std::fmt;

use serde_json::{Value, json};
use ziggurat_testkit::provider::healthy_text;

/// How many words a healthy answer has.
pub(crate) const WORDS: usize = 60;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = r#"{"messages": [{"role": "user", "content": "Count to sixty."}]}"#;
const COMPLETIONS: &str = "/v1/completions";
const PROMPT: &str = r#"{"prompt": "Count to sixty: "}"#;
const EMBEDDINGS: &str = "/v1/embeddings";
const INPUT: &str = r#"{"input": "sixty"}"#;

/// The name on the page, the path, the body, whether it is streamed, where an answer or an event
/// says something, and what a healthy provider says.
#[rustfmt::skip]
pub(crate) const SHAPES: [Shape; 5] = [
    Shape::new("chat, streamed", CHAT, MESSAGES, true, "/choices/0/delta/content", words),
    Shape::new("chat", CHAT, MESSAGES, false, "/choices/0/message/content", words),
    Shape::new("completions, streamed", COMPLETIONS, PROMPT, true, "/choices/0/text", words),
    Shape::new("completions", COMPLETIONS, PROMPT, false, "/choices/0/text", words),
    Shape::new("embeddings", EMBEDDINGS, INPUT, false, "/data/0/embedding", vector),
];

/// A kind of answer that a client can ask for.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) is_streamed: bool,
    body: &'static str,
    place: &'static str,
    healthy: fn(&str) -> String,
}

impl Shape {
    const fn new(
        name: &'static str,
        path: &'static str,
        body: &'static str,
        is_streamed: bool,
        place: &'static str,
        healthy: fn(&str) -> String,
    ) -> Self {
        Self {
            name,
            path,
            is_streamed,
            body,
            place,
            healthy,
        }
    }

    pub(crate) fn is_streamed(&self) -> bool {
        self.is_streamed
    }

    /// Whether it is a conversation that is streamed, which has a place for a prefill.
    pub(crate) fn is_streamed_chat(&self) -> bool {
        self.is_streamed && self.path == CHAT
    }

    /// The request for a model.
    pub(crate) fn request(&self, model: &str) -> Value {
        let mut body: Value = serde_json::from_str(self.body).expect("is JSON");
        body["model"] = model.into();
        if self.is_streamed {
            body["stream"] = true.into();
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    }

    /// What an answer or an event says.
    pub(crate) fn said(&self, answer: &Value) -> String {
        match answer.pointer(self.place) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// What a healthy provider says; whoever goes on with it says the same words.
    pub(crate) fn healthy(&self, provider: &str) -> String {
        (self.healthy)(provider)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn words(provider: &str) -> String {
    healthy_text(provider, WORDS)
}

fn vector(_: &str) -> String {
    "[0.0,0.5,-0.5]".to_owned()
}

//! The kinds of answers that a client can ask for, and who gives them. A new one is one line of
//! [`SHAPES`].

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use serde_json::Value;
use ziggurat_testkit::provider::healthy_text;

use crate::failover::{
    clients::{self, Client},
    dialects::{
        ANTHROPIC, AZURE, AZURE_V1, BEDROCK, COHERE, Dialect, GEMINI, OLLAMA, OPENAI,
        OPENAI_RESPONSES, VERTEX,
    },
};

/// How many words a healthy answer has.
pub(crate) const WORDS: usize = 60;

/// Those of OpenAI's dialect from end to end: what the client speaks, and whether it is streamed.
const PLAIN: [(&Client, bool); 5] = [
    (&clients::CHAT, true),
    (&clients::CHAT, false),
    (&clients::COMPLETIONS, true),
    (&clients::COMPLETIONS, false),
    (&clients::EMBEDDINGS, false),
];

/// Those over several dialects: what the client speaks, the provider of `primary` and that of
/// `backup`. Each is streamed and in one piece.
const CROSSED: [(&Client, &Dialect, &Dialect); 18] = [
    (&clients::CHAT, &ANTHROPIC, &OPENAI),
    (&clients::CHAT, &GEMINI, &BEDROCK),
    (&clients::CHAT, &COHERE, &OLLAMA),
    (&clients::CHAT, &AZURE, &ANTHROPIC),
    (&clients::CHAT, &BEDROCK, &COHERE),
    (&clients::CHAT, &OLLAMA, &VERTEX),
    (&clients::CHAT, &VERTEX, &AZURE),
    (&clients::CHAT, &OPENAI, &GEMINI),
    (&clients::MESSAGES, &OPENAI, &ANTHROPIC),
    (&clients::MESSAGES, &BEDROCK, &GEMINI),
    (&clients::MESSAGES, &ANTHROPIC, &OPENAI),
    (&clients::RESPONSES, &OPENAI_RESPONSES, &ANTHROPIC),
    (&clients::RESPONSES, &GEMINI, &OPENAI),
    (&clients::RESPONSES, &AZURE_V1, &BEDROCK),
    (&clients::RESPONSES, &COHERE, &OPENAI_RESPONSES),
    (&clients::GENERATE, &GEMINI, &OPENAI),
    (&clients::GENERATE, &BEDROCK, &VERTEX),
    (&clients::GENERATE, &OPENAI, &GEMINI),
];

/// All of them, in the order of the page.
pub(crate) static SHAPES: LazyLock<Vec<Arc<Shape>>> = LazyLock::new(|| {
    let plain = PLAIN.map(|(client, streamed)| Shape::new(client, streamed, &OPENAI, &OPENAI));
    let crossed = CROSSED.iter().flat_map(|(client, a, b)| {
        [true, false].map(|streamed| Shape::new(client, streamed, a, b))
    });
    plain.into_iter().chain(crossed).map(Arc::new).collect()
});

/// How many of them are OpenAI's from end to end.
pub(crate) const PLAINS: usize = PLAIN.len();

/// A kind of answer that a client can ask for, and who gives it.
pub(crate) struct Shape {
    pub(crate) client: &'static Client,
    pub(crate) is_streamed: bool,
    /// What the provider of `primary` speaks.
    pub(crate) a: &'static Dialect,
    /// What the provider of `backup` speaks.
    pub(crate) b: &'static Dialect,
}

impl Shape {
    const fn new(
        client: &'static Client,
        is_streamed: bool,
        a: &'static Dialect,
        b: &'static Dialect,
    ) -> Self {
        Self {
            client,
            is_streamed,
            a,
            b,
        }
    }

    pub(crate) fn is_streamed(&self) -> bool {
        self.is_streamed
    }

    /// What the client asks for.
    pub(crate) fn name(&self) -> String {
        let name = self.client.name;
        match self.is_streamed {
            true => format!("{name}, streamed"),
            false => name.to_owned(),
        }
    }

    /// Whether it is a conversation that is streamed, which has a place for a prefill.
    pub(crate) fn is_streamed_talk(&self) -> bool {
        self.is_streamed && self.client.name != clients::COMPLETIONS.name
    }

    /// The same, if it can be gone on with.
    pub(crate) fn is_streamed_chat(&self) -> bool {
        self.is_streamed_talk() && self.client.goes_on
    }

    /// Whether a stream of the first provider has an event that says nothing at its end.
    pub(crate) fn has_last(&self) -> bool {
        self.is_streamed && self.a.has_last
    }

    /// The path and the request for a model.
    pub(crate) fn request(&self, model: &str) -> (String, Value) {
        let path = (self.client.path)(model, self.is_streamed);
        let mut body: Value = serde_json::from_str(self.client.body).expect("is JSON");
        if !path.contains(model) {
            body["model"] = model.into();
        }
        if self.is_streamed {
            (self.client.streamed)(&mut body);
        }
        (path, body)
    }

    /// What an answer or an event says.
    pub(crate) fn said(&self, part: &Value) -> String {
        let place = match (self.is_streamed, self.client.event_type) {
            (false, _) => self.client.place,
            (true, Some(kind)) if part["type"] != kind => return String::new(),
            (true, _) => self.client.event_place,
        };
        match part.pointer(place) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// What a healthy provider says; whoever goes on with it says the same words.
    pub(crate) fn healthy(&self, provider: &str) -> String {
        match self.client.name == clients::EMBEDDINGS.name {
            true => "[0.0,0.5,-0.5]".to_owned(),
            false => healthy_text(provider, WORDS),
        }
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.name(), self.a.name, self.b.name)
    }
}

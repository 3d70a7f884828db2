//! What clients speak, and where their answers say something.

use serde_json::{Value, json};

/// How a client asks and is answered.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// Where it asks: for a model, and whether for a stream.
    pub(crate) path: fn(&str, bool) -> String,
    pub(crate) body: &'static str,
    /// What it adds to the body to get a stream.
    pub(crate) streamed: fn(&mut Value),
    /// Where a whole answer says something.
    pub(crate) place: &'static str,
    /// Where an event does.
    pub(crate) event_place: &'static str,
    /// The type that such an event has, if it has one.
    pub(crate) event_type: Option<&'static str>,
    /// Where an answer or an event names the model.
    pub(crate) models: &'static [&'static str],
    /// Where it tells what was used: the object, and its members for input and output.
    pub(crate) usages: &'static [&'static str],
    pub(crate) tokens: [&'static str; 2],
    /// Where a stream tells that it is at its end, and what it says there if that matters.
    pub(crate) end: (&'static str, Option<&'static str>),
    /// Where it is told that the answer was declined for its content, and in which words.
    pub(crate) declined: (&'static [&'static str], &'static [&'static str]),
    /// Whether a whole stream ends with `[DONE]`.
    pub(crate) has_done: bool,
    /// Whether an answer that broke off can be gone on with.
    pub(crate) goes_on: bool,
    /// Whether an error has a code.
    pub(crate) has_codes: bool,
}

pub(crate) static CHAT: Client = Client {
    name: "chat",
    path: |_, _| "/v1/chat/completions".to_owned(),
    body: r#"{"messages": [{"role": "user", "content": "Count to sixty."}]}"#,
    place: "/choices/0/message/content",
    event_place: "/choices/0/delta/content",
    ..OPENAI
};

pub(crate) static COMPLETIONS: Client = Client {
    name: "completions",
    path: |_, _| "/v1/completions".to_owned(),
    body: r#"{"prompt": "Count to sixty: "}"#,
    place: "/choices/0/text",
    event_place: "/choices/0/text",
    ..OPENAI
};

pub(crate) static EMBEDDINGS: Client = Client {
    name: "embeddings",
    path: |_, _| "/v1/embeddings".to_owned(),
    body: r#"{"input": "sixty"}"#,
    place: "/data/0/embedding",
    ..OPENAI
};

pub(crate) static MESSAGES: Client = Client {
    name: "messages",
    path: |_, _| "/v1/messages".to_owned(),
    body: r#"{"max_tokens": 999, "messages": [{"role": "user", "content": "Count to sixty."}]}"#,
    streamed: |body| body["stream"] = true.into(),
    place: "/content/0/text",
    event_place: "/delta/text",
    event_type: Some("content_block_delta"),
    models: &["/model", "/message/model"],
    usages: &["/usage", "/message/usage"],
    tokens: ["input_tokens", "output_tokens"],
    end: ("/delta/stop_reason", None),
    declined: (&["/stop_reason", "/delta/stop_reason"], &["refusal"]),
    has_done: false,
    goes_on: false,
    has_codes: false,
};

pub(crate) static RESPONSES: Client = Client {
    name: "responses",
    path: |_, _| "/v1/responses".to_owned(),
    body: r#"{"input": "Count to sixty."}"#,
    streamed: |body| body["stream"] = true.into(),
    place: "/output/0/content/0/text",
    event_place: "/delta",
    event_type: Some("response.output_text.delta"),
    models: &["/model", "/response/model"],
    usages: &["/usage", "/response/usage"],
    tokens: ["input_tokens", "output_tokens"],
    end: ("/response/status", Some("completed")),
    declined: (
        &[
            "/incomplete_details/reason",
            "/response/incomplete_details/reason",
        ],
        &["content_filter"],
    ),
    has_done: false,
    goes_on: false,
    has_codes: true,
};

pub(crate) static GENERATE: Client = Client {
    name: "generateContent",
    path: |model, streamed| match streamed {
        true => format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        false => format!("/v1beta/models/{model}:generateContent"),
    },
    body: r#"{"contents": [{"role": "user", "parts": [{"text": "Count to sixty."}]}]}"#,
    streamed: |_| {},
    place: "/candidates/0/content/parts/0/text",
    event_place: "/candidates/0/content/parts/0/text",
    event_type: None,
    models: &["/modelVersion"],
    usages: &["/usageMetadata"],
    tokens: ["promptTokenCount", "candidatesTokenCount"],
    end: ("/candidates/0/finishReason", None),
    declined: (
        &["/promptFeedback/blockReason", "/candidates/0/finishReason"],
        &["SAFETY", "PROHIBITED_CONTENT"],
    ),
    has_done: false,
    goes_on: false,
    has_codes: false,
};

/// What the clients of OpenAI have in common.
const OPENAI: Client = Client {
    name: "",
    path: |_, _| String::new(),
    body: "",
    streamed: |body| {
        body["stream"] = true.into();
        body["stream_options"] = json!({"include_usage": true});
    },
    place: "",
    event_place: "",
    event_type: None,
    models: &["/model"],
    usages: &["/usage"],
    tokens: ["prompt_tokens", "completion_tokens"],
    end: ("/choices/0/finish_reason", None),
    declined: (&["/choices/0/finish_reason"], &["content_filter"]),
    has_done: true,
    goes_on: true,
    has_codes: true,
};

impl Client {
    /// The first thing that stands at one of these places.
    pub(crate) fn at<'a>(places: &[&str], part: &'a Value) -> Option<&'a Value> {
        let mut found = places.iter().filter_map(|place| part.pointer(place));
        found.find(|it| !it.is_null())
    }

    /// Whether an event tells that the answer is whole.
    pub(crate) fn ends_in(&self, part: &Value) -> bool {
        let (place, word) = self.end;
        let told = part.pointer(place).filter(|it| !it.is_null());
        told.is_some_and(|told| word.is_none_or(|word| told == word))
    }

    /// The tokens of input and output that an answer or an event tells.
    pub(crate) fn tokens(&self, part: &Value) -> [Option<u64>; 2] {
        let usage = Self::at(self.usages, part);
        self.tokens
            .map(|name| usage.and_then(|usage| usage[name].as_u64()))
    }
}

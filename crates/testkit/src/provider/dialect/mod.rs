//! The wire formats of providers, from their side.
//!
//! Which one is meant is told by the path. OpenAI's own chat, completions and numbers are written
//! elsewhere, where nothing but text is asked for.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what `json!` makes is put straight into what `json!` makes"
)]

mod anthropic;
mod asked;
mod azure;
mod bedrock;
mod cohere;
mod frames;
mod google;
mod invoke;
mod models;
mod ollama;
mod openai;
mod plan;
mod responses;
mod schema;
mod trouble;

use http::StatusCode;
use serde_json::Value;

use self::{
    asked::{Asked, Said},
    frames::{Frame, Framing},
    trouble::{Refusal, Trouble},
};
pub(super) use self::{
    models::models,
    plan::{plan, refuse},
};

/// A wire format, as its server writes it.
pub(super) trait Dialect: Sync {
    /// How the events of a stream are told apart.
    fn framing(&self, path: &str) -> Framing;

    /// What a request for words wants; `None` if it is for something else.
    fn asked(&self, path: &str, body: &Value) -> Option<Asked>;

    /// An answer in one piece.
    fn whole(&self, said: &Said<'_>) -> Value;

    /// What comes in a stream before any content.
    fn lead(&self, said: &Said<'_>) -> Vec<Frame>;

    /// The content, an event at a time.
    fn contents(&self, said: &Said<'_>) -> Vec<Frame>;

    /// What comes after the content.
    fn tail(&self, said: &Said<'_>) -> Vec<Frame>;

    /// An error in the place of an answer.
    fn refusal(&self, trouble: &Trouble, streamed: bool) -> Refusal;

    /// An error in a stream, behind so many events.
    fn broken(&self, said: &Said<'_>, trouble: &Trouble, sent: usize) -> Vec<Frame>;

    /// The answer to a request for something else than words.
    fn other(&self, path: &str, body: &Value, usage: (u64, u64)) -> Option<Value> {
        _ = (path, body, usage);
        None
    }
}

/// The dialect of a path without its query; `None` if it is OpenAI's own, or nobody's.
pub(super) fn of(path: &str) -> Option<&'static dyn Dialect> {
    let has = |part: &str| path.contains(part);
    let ends = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
    let is_azure = has("/openai/deployments/") || has("/openai/v1/");
    Some(if is_azure && ends(&["/chat/completions"]) {
        &azure::AzureChat
    } else if is_azure && !ends(&["/responses"]) {
        &azure::Azure
    } else if ends(&["/responses", "/responses/input_tokens"]) {
        &responses::Responses
    } else if ends(&["/messages", "/messages/count_tokens"])
        || ends(&[":rawPredict", ":streamRawPredict"])
    {
        &anthropic::Anthropic
    } else if has(":") && google::METHODS.iter().any(|method| path.ends_with(method)) {
        &google::Google
    } else if has("/model/") && ends(&["/converse", "/converse-stream"]) {
        &bedrock::Converse
    } else if has("/model/") && ends(&["/invoke", "/invoke-with-response-stream", "/count-tokens"])
    {
        &invoke::Invoke
    } else if ends(&["/v2/chat", "/v2/embed", "/v2/rerank"]) {
        &cohere::Cohere
    } else if ends(&["/api/chat", "/api/embed"]) {
        &ollama::Ollama
    } else {
        return None;
    })
}

/// OpenAI's own, for a chat that wants more than text.
pub(super) fn of_chat(path: &str, body: &[u8]) -> Option<&'static dyn Dialect> {
    let wants_more = |body: &Value| {
        let asked = openai::OpenAi.asked(path, body);
        asked.is_some_and(|asked| asked.tool.is_some() || asked.schema.is_some())
    };
    // Most have none of these members, and are not worth a second parse.
    let may = |member: &[u8]| body.windows(member.len()).any(|part| part == member);
    if !path.ends_with("/chat/completions") || !(may(b"\"tools\"") || may(b"\"response_format\"")) {
        return None;
    }
    let body = serde_json::from_slice(body).ok()?;
    wants_more(&body).then_some(&openai::OpenAi)
}

/// So many vectors, which differ in their first number.
fn vectors(inputs: usize) -> Vec<[f32; 3]> {
    (0..inputs).map(|i| [i as f32, 0.5, -0.5]).collect()
}

/// A refusal in an envelope of JSON.
fn envelope(status: StatusCode, body: Value) -> Refusal {
    Refusal {
        status,
        headers: Vec::new(),
        without: None,
        body,
        frames: None,
    }
}

/// How long a list is; one if it is none.
fn count(list: &Value) -> usize {
    list.as_array().map_or(1, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_the_dialect() {
        for (path, is_openai) in [
            ("/v1/chat/completions", true),
            ("/v1/embeddings", true),
            ("/v1/rerank", true),
            ("/openai/deployments/d/chat/completions", false),
            ("/openai/v1/chat/completions", false),
            ("/v1/responses", false),
            ("/v1/messages", false),
            ("/v1beta/models/g:generateContent", false),
            ("/model/a%3A0/converse-stream", false),
            ("/v2/rerank", false),
            ("/api/chat", false),
        ] {
            assert_eq!(of(path).is_none(), is_openai, "{path}");
        }
    }

    #[test]
    fn bytes_of_an_answer_are_not_parsed_twice_for_nothing() {
        let path = "/v1/chat/completions";
        assert!(of_chat(path, br#"{"messages":[]}"#).is_none());
        assert!(of_chat(path, br#"{"tools":[]}"#).is_none());
        let tool = br#"{"messages":[{"role":"user"}],"tools":[{"function":{"name":"f"}}]}"#;
        assert!(of_chat(path, tool).is_some());
        assert!(of_chat("/v1/completions", tool).is_none());
    }
}

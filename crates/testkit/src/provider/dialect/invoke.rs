//! InvokeModel of AWS Bedrock, for Claude and for vectors.

use serde_json::{Value, json};

use super::{
    Dialect, Frame, Framing, Refusal,
    anthropic::Anthropic,
    asked::{Asked, Said},
    bedrock::{exception, refusal},
    count,
    trouble::Trouble,
    vectors,
};
use crate::provider::render::to_base64;

/// InvokeModel, and the count of tokens.
#[derive(Debug)]
pub(super) struct Invoke;

impl Dialect for Invoke {
    fn framing(&self, _: &str) -> Framing {
        Framing::EventStream
    }

    fn asked(&self, path: &str, body: &Value) -> Option<Asked> {
        body.get("anthropic_version")?;
        let mut asked = Anthropic.asked(path, body)?;
        asked.streamed = path.ends_with("-stream");
        Some(asked)
    }

    fn whole(&self, said: &Said<'_>) -> Value {
        Anthropic.whole(said)
    }

    fn lead(&self, said: &Said<'_>) -> Vec<Frame> {
        chunks(Anthropic.lead(said))
    }

    fn contents(&self, said: &Said<'_>) -> Vec<Frame> {
        chunks(Anthropic.contents(said))
    }

    fn tail(&self, said: &Said<'_>) -> Vec<Frame> {
        chunks(Anthropic.tail(said))
    }

    fn refusal(&self, trouble: &Trouble, streamed: bool) -> Refusal {
        refusal(trouble, streamed)
    }

    fn broken(&self, _: &Said<'_>, trouble: &Trouble, _: usize) -> Vec<Frame> {
        vec![exception(trouble)]
    }

    fn other(&self, path: &str, body: &Value, usage: (u64, u64)) -> Option<Value> {
        if path.ends_with("/count-tokens") {
            return Some(json!({"inputTokens": usage.0}));
        }
        if body["texts"].is_array() {
            return Some(json!({"embeddings": vectors(count(&body["texts"]))}));
        }
        body.get("inputText")?;
        Some(json!({"embedding": vectors(1)[0], "inputTextTokenCount": usage.0}))
    }
}

/// Events of another API, each wrapped as bytes.
fn chunks(events: Vec<Frame>) -> Vec<Frame> {
    let wrap =
        |frame: Frame| Frame::new("chunk", json!({"bytes": to_base64(frame.data.as_bytes())}));
    events.into_iter().map(wrap).collect()
}

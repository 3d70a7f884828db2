mod answers;
mod embeddings;
mod recorded;
mod requests;
mod streams;
mod tools;

use serde_json::Value;
use ziggurat_core::{Deployment, Error, Operation, Secret};

use super::{
    Bedrock,
    frame::{Frames, frame},
};
use crate::dialect::trial::{CANARY, Trial};

const CLAUDE: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
const OLD_CLAUDE: &str = "anthropic.claude-3-haiku-20240307-v1:0";
const NOVA: &str = "us.amazon.nova-2-lite-v1:0";
const LLAMA: &str = "meta.llama3-3-70b-instruct-v1:0";

fn deployment(model: &str) -> Deployment {
    Deployment::new("a", "gpt", model)
        .with_provider("bedrock")
        .with_region("us-east-1")
        .with_credential(Secret::new(CANARY))
}

fn trial(operation: Operation, model: &str, body: Value) -> Trial {
    Trial::new(&Bedrock, operation, body).with(|_| deployment(model))
}

fn chat(model: &str, body: Value) -> Trial {
    trial(Operation::ChatCompletions, model, body)
}

/// What is refused of a request.
fn refused(model: &str, body: Value) -> Error {
    chat(model, body).outgoing().expect_err("is refused")
}

/// A frame with an event of that kind.
fn event(kind: &str, payload: &Value) -> Vec<u8> {
    let headers = [(":message-type", "event"), (":event-type", kind)];
    frame(&headers, payload.to_string().as_bytes())
}

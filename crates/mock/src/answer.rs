//! What is played in the place of a deployment.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use ziggurat_core::{Error, ErrorKind, LlmRequest, LlmResponse, Maker, Operation, Routed, Usage};

use crate::{embedding, events::Events, text};

/// How many choices an answer has at most: as many as OpenAI gives.
const MOST_CHOICES: u64 = 128;

/// How many bytes of text the choices of an answer have together, unless one alone has more.
const MOST_TEXT: u64 = 4 * 1024 * 1024;

/// What is played.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is looked at at once")]
pub(crate) enum Play {
    /// No answer, ever.
    Silence,
    /// An answer, or a failure.
    Answer(Result<LlmResponse, Error>),
}

/// Whether something is played in the place of a deployment: nobody is called, and nothing is paid.
#[must_use]
pub fn is_played(routed: &Routed<LlmRequest>) -> bool {
    let mocks = &routed.request().controls().mocks;
    mocks.timeout || mocks.response.is_some() || routed.deployment().mock_response().is_some()
}

/// What is to be played for a request, if something is. The request goes before the deployment,
/// silence before a text.
pub(crate) fn play(routed: &Routed<LlmRequest>) -> Option<Play> {
    let mocks = &routed.request().controls().mocks;
    if mocks.timeout {
        return Some(Play::Silence);
    }
    let deployment = routed.deployment();
    let text = mocks.response.as_ref().or(deployment.mock_response())?;
    let failed = |error: Error| error.with_deployment(deployment.id().clone());
    let played = answer(routed, text).map(|answer| answer.with_maker(Maker::Mock));
    Some(Play::Answer(played.map_err(failed)))
}

fn answer(routed: &Routed<LlmRequest>, text: &Arc<str>) -> Result<LlmResponse, Error> {
    if let Some(failure) = text::failure(text) {
        return Err(failure);
    }
    let request = routed.request();
    let kind = match request.operation() {
        Operation::ChatCompletions => Kind::Chat,
        Operation::Completions => Kind::Text,
        Operation::Embeddings => return Ok(embeddings(routed)),
        operation => {
            // Rather no answer than one that costs.
            let message = format!("there are no mock answers to `{operation}`");
            return Err(Error::new(ErrorKind::Unprocessable, message));
        }
    };
    let bytes = text.len() as u64;
    let choices = request.choices().clamp(1, MOST_CHOICES);
    let choices = choices.min((MOST_TEXT / bytes.max(1)).max(1));
    let usage = usage(request, choices * bytes.div_ceil(4));
    let frame = Frame::new(kind, routed.model());
    Ok(if request.is_stream() {
        let wants_usage = request.wants_stream_usage();
        let events = Events::new(frame, Arc::clone(text), choices, usage, wants_usage);
        LlmResponse::stream(Box::pin(events))
    } else {
        LlmResponse::complete(frame.whole(text, choices, &usage), Some(usage))
    })
}

fn embeddings(routed: &Routed<LlmRequest>) -> LlmResponse {
    let request = routed.request();
    let usage = usage(request, 0);
    let body = json!({
        "object": "list",
        "data": embedding::vectors(request.prompt()),
        "model": routed.model(),
        "usage": {"prompt_tokens": usage.input, "total_tokens": usage.total()},
    });
    LlmResponse::complete(body.to_string(), Some(usage))
}

fn usage(request: &LlmRequest, output: u64) -> Usage {
    Usage::new(request.estimated_input_tokens(), output).as_estimate()
}

/// `usage` of an answer.
pub(crate) fn usage_json(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total(),
    })
}

/// Which of the two operations that complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    Text,
}

/// What the parts of one answer have in common.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    id: String,
    created: u64,
    model: String,
}

impl Frame {
    fn new(kind: Kind, model: &str) -> Self {
        let prefix = match kind {
            Kind::Chat => "chatcmpl",
            Kind::Text => "cmpl",
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            kind,
            id: format!("{prefix}-mock-{:016x}", fastrand::u64(..)),
            created: since.map_or(0, |since| since.as_secs()),
            model: model.to_owned(),
        }
    }

    /// An object of this answer.
    pub(crate) fn object(&self, object: &str, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    /// All of it.
    fn whole(&self, text: &str, choices: u64, usage: &Usage) -> String {
        let (object, name, said) = match self.kind {
            Kind::Chat => {
                let message = json!({"role": "assistant", "content": text, "refusal": null});
                ("chat.completion", "message", message)
            }
            Kind::Text => ("text_completion", "text", json!(text)),
        };
        let choice =
            |index| json!({"index": index, name: said, "logprobs": null, "finish_reason": "stop"});
        let mut whole = self.object(object, &(0..choices).map(choice).collect());
        whole["usage"] = usage_json(usage);
        whole.to_string()
    }
}

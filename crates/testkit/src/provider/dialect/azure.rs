//! Azure OpenAI: OpenAI's dialect with results of a content filter, and with errors of its own.

use serde_json::{Value, json};

use super::{
    Dialect, Frame, Framing, Refusal,
    asked::{Asked, Said},
    envelope, openai,
    trouble::{Trouble, Why},
};

const INNER: openai::OpenAi = openai::OpenAi;

/// The chat of a resource.
#[derive(Debug)]
pub(super) struct AzureChat;

/// All else of a resource, which is answered as OpenAI does; the errors are Azure's.
#[derive(Debug)]
pub(super) struct Azure;

impl Dialect for AzureChat {
    fn framing(&self, path: &str) -> Framing {
        INNER.framing(path)
    }

    fn asked(&self, path: &str, body: &Value) -> Option<Asked> {
        let mut asked = INNER.asked(path, body)?;
        // The deployment in the path is the model, whatever the body says.
        if let Some((_, rest)) = path.split_once("/openai/deployments/") {
            asked.model = rest.split('/').next().unwrap_or_default().to_owned();
        }
        Some(asked)
    }

    fn whole(&self, said: &Said<'_>) -> Value {
        let mut whole = INNER.whole(said);
        whole["prompt_filter_results"] = json!([prompt_filter()]);
        whole["choices"][0]["content_filter_results"] = filter();
        whole
    }

    fn lead(&self, said: &Said<'_>) -> Vec<Frame> {
        let first = json!({
            "choices": [],
            "created": 0,
            "id": "",
            "model": "",
            "object": "",
            "prompt_filter_results": [prompt_filter()],
        });
        let mut lead = vec![Frame::data(first)];
        lead.extend(INNER.lead(said));
        lead
    }

    fn contents(&self, said: &Said<'_>) -> Vec<Frame> {
        INNER.contents(said)
    }

    fn tail(&self, said: &Said<'_>) -> Vec<Frame> {
        INNER.tail(said)
    }

    fn refusal(&self, trouble: &Trouble, streamed: bool) -> Refusal {
        Azure.refusal(trouble, streamed)
    }

    fn broken(&self, _: &Said<'_>, trouble: &Trouble, _: usize) -> Vec<Frame> {
        vec![Frame::data(error(trouble))]
    }
}

impl Dialect for Azure {
    fn framing(&self, _: &str) -> Framing {
        Framing::Sse
    }

    fn asked(&self, _: &str, _: &Value) -> Option<Asked> {
        None
    }

    fn whole(&self, said: &Said<'_>) -> Value {
        INNER.whole(said)
    }

    fn lead(&self, _: &Said<'_>) -> Vec<Frame> {
        Vec::new()
    }

    fn contents(&self, _: &Said<'_>) -> Vec<Frame> {
        Vec::new()
    }

    fn tail(&self, _: &Said<'_>) -> Vec<Frame> {
        Vec::new()
    }

    fn refusal(&self, trouble: &Trouble, _: bool) -> Refusal {
        envelope(trouble.status, error(trouble))
    }

    fn broken(&self, _: &Said<'_>, trouble: &Trouble, _: usize) -> Vec<Frame> {
        vec![Frame::data(error(trouble))]
    }
}

/// Codes are words, or the status as a text; only what OpenAI itself refuses has a type.
fn error(trouble: &Trouble) -> Value {
    let message = &trouble.message;
    if trouble.why() == Why::Declined {
        let result = json!({"violence": {"filtered": true, "severity": "high"}});
        let inner =
            json!({"code": "ResponsibleAIPolicyViolation", "content_filter_result": result});
        let error = json!({
            "message": message,
            "type": null,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": inner,
        });
        return json!({ "error": error });
    }
    let status = trouble.status.as_u16();
    match (&trouble.code, status) {
        (Some(_), _) | (None, 400) => openai::error(trouble),
        (None, 404) => json!({"error": {
            "type": "invalid_request_error",
            "code": "DeploymentNotFound",
            "message": message,
        }}),
        (None, _) => json!({"error": {"code": status.to_string(), "message": message}}),
    }
}

fn prompt_filter() -> Value {
    json!({"prompt_index": 0, "content_filter_results": filter()})
}

fn filter() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}

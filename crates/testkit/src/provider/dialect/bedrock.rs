//! Converse and ConverseStream of AWS Bedrock.

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::{
    Dialect, Frame, Framing, Refusal,
    asked::{Asked, Said, any_has, first_function, texts},
    envelope,
    trouble::{Trouble, Why},
};

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Converse and ConverseStream.
#[derive(Debug)]
pub(super) struct Converse;

impl Dialect for Converse {
    fn framing(&self, _: &str) -> Framing {
        Framing::EventStream
    }

    fn asked(&self, path: &str, body: &Value) -> Option<Asked> {
        let last = body["messages"].as_array().and_then(|all| all.last());
        let (role, content) = match last {
            Some(last) => (last["role"].as_str(), &last["content"]),
            None => (None, &Value::Null),
        };
        let wants_call = role == Some("user") && !any_has(content, "toolResult");
        let tools = &body["toolConfig"]["tools"];
        let tool = first_function(tools, "inputSchema", |tool| &tool["toolSpec"]);
        let tool = tool.map(|(name, schema)| (name, schema["json"].clone()));
        let schema = &body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"];
        Some(Asked {
            model: String::new(),
            streamed: path.ends_with("-stream"),
            tool: tool.filter(|_| wants_call),
            // The schema is a text that holds JSON.
            schema: schema
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok()),
            begun: (role == Some("assistant")).then(|| texts(content)),
            usage_asked: true,
        })
    }

    fn whole(&self, said: &Said<'_>) -> Value {
        let block = match &said.call {
            None => json!({"text": said.text}),
            Some(call) => json!({"toolUse": {
                "toolUseId": format!("tooluse_{}", call.id),
                "name": call.name,
                "input": call.arguments,
            }}),
        };
        json!({
            "output": {"message": {"role": "assistant", "content": [block]}},
            "stopReason": said.reason("end_turn", "tool_use"),
            "usage": usage(said),
            "metrics": {"latencyMs": 1},
        })
    }

    fn lead(&self, said: &Said<'_>) -> Vec<Frame> {
        let mut lead = vec![event("messageStart", json!({"role": "assistant"}))];
        if let Some(call) = &said.call {
            let id = format!("tooluse_{}", call.id);
            let start = json!({"toolUse": {"toolUseId": id, "name": call.name}});
            let start = json!({"contentBlockIndex": 0, "start": start});
            lead.push(event("contentBlockStart", start));
        }
        lead
    }

    fn contents(&self, said: &Said<'_>) -> Vec<Frame> {
        let delta = |delta| {
            let delta = json!({"contentBlockIndex": 0, "delta": delta});
            event("contentBlockDelta", delta)
        };
        match &said.call {
            None => {
                let pieces = said.pieces.iter();
                pieces.map(|text| delta(json!({"text": text}))).collect()
            }
            Some(call) => {
                let fragments = call.fragments().into_iter();
                let delta = |text| delta(json!({"toolUse": {"input": text}}));
                fragments.map(delta).collect()
            }
        }
    }

    fn tail(&self, said: &Said<'_>) -> Vec<Frame> {
        let mut tail = vec![event("contentBlockStop", json!({"contentBlockIndex": 0}))];
        if said.finish {
            let reason = said.reason("end_turn", "tool_use");
            tail.push(event("messageStop", json!({"stopReason": reason})));
        }
        let metadata = json!({"usage": usage(said), "metrics": {"latencyMs": 1}});
        tail.push(event("metadata", metadata));
        tail
    }

    fn refusal(&self, trouble: &Trouble, streamed: bool) -> Refusal {
        match trouble.why() {
            Why::Declined => declined(trouble, streamed),
            Why::TooLong | Why::Other => refusal(trouble, streamed),
        }
    }

    fn broken(&self, _: &Said<'_>, trouble: &Trouble, _: usize) -> Vec<Frame> {
        vec![exception(trouble)]
    }
}

/// An event with its padding.
fn event(name: &'static str, mut data: Value) -> Frame {
    data["p"] = "abcdefgh".into();
    Frame::new(name, data)
}

/// A guardrail is no error: its words stand in the place of an answer.
fn declined(trouble: &Trouble, streamed: bool) -> Refusal {
    let usage = json!({"inputTokens": 10, "outputTokens": 0, "totalTokens": 10});
    let text = json!({"text": trouble.message});
    let reason = json!({"stopReason": "guardrail_intervened"});
    let mut refusal = envelope(
        StatusCode::OK,
        json!({
            "output": {"message": {"role": "assistant", "content": [text]}},
            "stopReason": reason["stopReason"],
            "usage": usage,
            "metrics": {"latencyMs": 1},
        }),
    );
    refusal.frames = streamed.then(|| {
        let delta = json!({"contentBlockIndex": 0, "delta": text});
        vec![
            event("messageStart", json!({"role": "assistant"})),
            event("contentBlockDelta", delta),
            event("contentBlockStop", json!({"contentBlockIndex": 0})),
            event("messageStop", reason),
            event(
                "metadata",
                json!({"usage": usage, "metrics": {"latencyMs": 1}}),
            ),
        ]
    });
    refusal
}

/// An error in the envelope of AWS.
pub(super) fn refusal(trouble: &Trouble, streamed: bool) -> Refusal {
    let mut refusal = envelope(trouble.status, json!({"message": message(trouble)}));
    let namespace = "http://internal.amazon.com/coral/com.amazon.bedrock/";
    let kind = format!("{}:{namespace}", kind(trouble));
    let kind = HeaderValue::try_from(kind).expect("is plain text");
    refusal.headers.push((ERROR_TYPE, kind));
    // In a stream that has begun with a success, it is a frame.
    if streamed && trouble.is_hidden {
        refusal.frames = Some(vec![exception(trouble)]);
    }
    refusal
}

/// A failure in a stream.
pub(super) fn exception(trouble: &Trouble) -> Frame {
    let name = match trouble.status.as_u16() {
        400 => "validationException",
        408 => "modelTimeoutException",
        424 => "modelStreamErrorException",
        429 => "throttlingException",
        503 => "serviceUnavailableException",
        _ => "internalServerException",
    };
    Frame {
        is_exception: true,
        ..Frame::new(name, json!({"message": message(trouble)}))
    }
}

fn message(trouble: &Trouble) -> String {
    trouble.in_words(
        "The model returned the following errors: Input is too long for requested model.",
        "Output blocked by content filtering policy",
    )
}

fn kind(trouble: &Trouble) -> &'static str {
    match (trouble.why(), trouble.status.as_u16()) {
        (Why::TooLong | Why::Declined, _) => "ValidationException",
        (_, 401) => "UnrecognizedClientException",
        (_, 403) => "AccessDeniedException",
        (_, 404) => "ResourceNotFoundException",
        (_, 408) => "ModelTimeoutException",
        (_, 424) => "ModelErrorException",
        (_, 429) => "ThrottlingException",
        (_, 503) => "ServiceUnavailableException",
        (_, 400..=499) => "ValidationException",
        _ => "InternalServerException",
    }
}

fn usage(said: &Said<'_>) -> Value {
    let (input, output) = said.usage;
    json!({"inputTokens": input, "outputTokens": output, "totalTokens": said.total()})
}

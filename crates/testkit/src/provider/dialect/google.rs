//! Google's generateContent, as AI Studio and Vertex serve it.

use http::{StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};

use super::{
    Dialect, Frame, Framing, Refusal,
    asked::{Asked, Said, any_has, first_function, texts},
    count, envelope,
    trouble::{Trouble, Why},
    vectors,
};

/// What a path ends with.
pub(super) const METHODS: [&str; 6] = [
    ":generateContent",
    ":streamGenerateContent",
    ":embedContent",
    ":batchEmbedContents",
    ":countTokens",
    ":predict",
];

/// The generateContent API.
#[derive(Debug)]
pub(super) struct Google;

impl Dialect for Google {
    /// Without `alt=sse`, a stream is an array.
    fn framing(&self, path: &str) -> Framing {
        let query = path.split_once('?').map_or("", |(_, query)| query);
        match query.split('&').any(|pair| pair == "alt=sse") {
            true => Framing::SseCrlf,
            false => Framing::Array,
        }
    }

    fn asked(&self, path: &str, body: &Value) -> Option<Asked> {
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let streamed = path.ends_with(":streamGenerateContent");
        if !streamed && !path.ends_with(":generateContent") {
            return None;
        }
        let last = body["contents"].as_array().and_then(|all| all.last());
        let (role, parts) = match last {
            Some(last) => (last["role"].as_str().unwrap_or("user"), &last["parts"]),
            None => ("", &Value::Null),
        };
        let mode = &body["toolConfig"]["functionCallingConfig"]["mode"];
        let wants_call = role == "user" && !any_has(parts, "functionResponse") && mode != "NONE";
        let mut tools = body["tools"].as_array().into_iter().flatten();
        let tool = tools.find_map(|tool| {
            let functions = &tool["functionDeclarations"];
            let schema = match any_has(functions, "parametersJsonSchema") {
                true => "parametersJsonSchema",
                false => "parameters",
            };
            first_function(functions, schema, |function| function)
        });
        let config = &body["generationConfig"];
        let mut schemas = ["responseSchema", "responseJsonSchema"]
            .into_iter()
            .filter_map(|name| config.get(name).cloned());
        let schema = match config["responseMimeType"] == "application/json" {
            true => Some(schemas.next().unwrap_or_default()),
            false => None,
        };
        let (_, model) = path.rsplit_once('/')?;
        let (model, _) = model.rsplit_once(':')?;
        Some(Asked {
            model: model.to_owned(),
            streamed,
            tool: tool.filter(|_| wants_call),
            schema,
            begun: (role == "model").then(|| texts(parts)),
            usage_asked: true,
        })
    }

    fn whole(&self, said: &Said<'_>) -> Value {
        let part = match &said.call {
            None => json!({"text": said.text}),
            Some(call) => json!({"functionCall": {"name": call.name, "args": call.arguments}}),
        };
        answer(said, part, said.usage.1, true)
    }

    fn lead(&self, _: &Said<'_>) -> Vec<Frame> {
        Vec::new()
    }

    fn contents(&self, said: &Said<'_>) -> Vec<Frame> {
        let output = said.usage.1;
        if let Some(call) = &said.call {
            let call = json!({"functionCall": {"name": call.name, "args": call.arguments}});
            return vec![Frame::data(answer(said, call, output, false))];
        }
        // The count grows with the text.
        let pieces = said.pieces.iter().zip(1..);
        pieces
            .map(|(text, so_far)| {
                let part = json!({ "text": text });
                Frame::data(answer(said, part, output.min(so_far), false))
            })
            .collect()
    }

    fn tail(&self, said: &Said<'_>) -> Vec<Frame> {
        let last = answer(said, json!({"text": ""}), said.usage.1, true);
        vec![Frame::data(last)]
    }

    fn refusal(&self, trouble: &Trouble, streamed: bool) -> Refusal {
        // What is declined is no error here.
        let (status, body) = match trouble.why() {
            Why::Declined => (StatusCode::OK, declined(trouble)),
            _ => (trouble.status, error(trouble)),
        };
        let mut refusal = envelope(status, body.clone());
        refusal.without = Some(RETRY_AFTER);
        if streamed && status == StatusCode::OK {
            refusal.frames = Some(vec![Frame::data(body)]);
        }
        refusal
    }

    fn broken(&self, _: &Said<'_>, trouble: &Trouble, _: usize) -> Vec<Frame> {
        vec![Frame::data(error(trouble))]
    }

    fn other(&self, path: &str, body: &Value, usage: (u64, u64)) -> Option<Value> {
        let vector = |vector: [f32; 3]| json!({ "values": vector });
        let vectors = |inputs: &Value| vectors(count(inputs)).into_iter().map(vector);
        let (_, method) = path.rsplit_once(':')?;
        Some(match method {
            "embedContent" => json!({
                "embedding": vectors(&Value::Null).next(),
                "usageMetadata": {"promptTokenCount": usage.0},
            }),
            "batchEmbedContents" => {
                json!({"embeddings": vectors(&body["requests"]).collect::<Value>()})
            }
            "countTokens" => json!({"totalTokens": usage.0}),
            "predict" => {
                let predictions = vectors(&body["instances"]).map(|mut vector| {
                    vector["statistics"] = json!({"token_count": usage.0, "truncated": false});
                    json!({ "embeddings": vector })
                });
                json!({"predictions": predictions.collect::<Value>()})
            }
            _ => return None,
        })
    }
}

/// A whole answer, or an event of one, with what was written so far.
fn answer(said: &Said<'_>, part: Value, output: u64, is_last: bool) -> Value {
    let mut candidate = json!({"content": {"parts": [part], "role": "model"}, "index": 0});
    if is_last && said.finish {
        candidate["finishReason"] = "STOP".into();
    }
    let prompt = said.usage.0;
    let usage = json!({
        "promptTokenCount": prompt,
        "candidatesTokenCount": output,
        "totalTokenCount": prompt.saturating_add(output),
    });
    json!({
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": said.model,
        "responseId": said.id,
    })
}

fn declined(trouble: &Trouble) -> Value {
    let feedback = json!({
        "blockReason": "PROHIBITED_CONTENT",
        "blockReasonMessage": trouble.message,
    });
    json!({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 10}})
}

fn error(trouble: &Trouble) -> Value {
    let status = trouble.status.as_u16();
    let word = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    };
    let too_long =
        "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).";
    let message = trouble.in_words(too_long, "");
    let mut error = json!({"code": status, "message": message, "status": word});
    // How long to wait stands in the body.
    if let Some(seconds) = trouble.retry_after {
        let kind = "type.googleapis.com/google.rpc.RetryInfo";
        error["details"] = json!([{"@type": kind, "retryDelay": format!("{seconds}s")}]);
    }
    json!({ "error": error })
}

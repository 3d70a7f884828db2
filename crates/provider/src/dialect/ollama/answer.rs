//! A whole answer.

use serde_json::Value;
use ziggurat_core::Error;

use super::{calls, finish, no_answer, usage};
use crate::{
    chat::{Answer, Choice},
    dialect::{Call, openai},
    embed::{EmbedRequest, Embeddings},
};

pub(super) fn chat(call: &Call<'_>, answer: &Value) -> Result<Answer, Error> {
    if answer["error"].is_string() {
        let body = answer.to_string();
        return Err(openai::in_band(body.as_bytes(), call.deployment));
    }
    let message = &answer["message"];
    if !message.is_object() {
        return Err(no_answer());
    }
    let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    let tool_calls: Vec<_> = calls(message).collect();
    let choice = Choice {
        content: text("content"),
        reasoning: text("thinking"),
        finish: finish(answer, !tool_calls.is_empty()),
        tool_calls,
        ..Choice::default()
    };
    Ok(Answer {
        model: answer["model"].as_str().unwrap_or(call.model).to_owned(),
        created: call.now,
        choices: vec![choice],
        usage: usage(answer),
        ..Answer::default()
    })
}

pub(super) fn embeddings(call: &Call<'_>, answer: &Value) -> Result<Vec<u8>, Error> {
    let request = EmbedRequest::read(call.body)?;
    // The second is that of servers of old.
    let vectors = match (&answer["embeddings"], &answer["embedding"]) {
        (Value::Array(vectors), _) => vectors.iter().collect(),
        (_, vector @ Value::Array(_)) => vec![vector],
        _ => return Err(no_answer()),
    };
    let vector = |vector: &Value| -> Option<Vec<f64>> {
        vector.as_array()?.iter().map(Value::as_f64).collect()
    };
    let vectors: Option<_> = vectors.into_iter().map(vector).collect();
    let embeddings = Embeddings {
        model: call.model,
        vectors: vectors.ok_or_else(no_answer)?,
        tokens: answer["prompt_eval_count"].as_u64(),
    };
    embeddings.into_json(&request)
}

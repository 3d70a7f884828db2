//! What is checked of a recording, by the folder that it lies in.

use serde_json::{Value, json};
use ziggurat::{LlmRequest, Operation};

use crate::{
    answers::{self, Shape},
    call::Recorded,
    errors,
    fixture::Fixture,
    media, numbers, route,
};

/// Finds what is wrong with what the leaf makes of a recording.
///
/// # Errors
///
/// What is wrong.
pub(crate) async fn check(fixture: &Fixture) -> Result<(), String> {
    let shapes: &[Shape] = match &*fixture.operation {
        "chat" | "chat_stream" => &[Shape::Chat],
        "converse" | "converse_stream" => &[Shape::Chat],
        "generate_content" | "stream_generate_content" => &[Shape::Chat],
        "invoke" if fixture.case.contains("embed") => return numbers::embeddings(fixture).await,
        "invoke" | "invoke_stream" | "raw_predict" | "raw_predict_stream" => &[Shape::Chat],
        "messages" | "messages_stream" => &[Shape::Chat, Shape::Messages],
        "responses" | "responses_stream" => &[Shape::Responses],
        "completions" | "completions_stream" => &[Shape::Completions],
        "embeddings" | "predict" => return numbers::embeddings(fixture).await,
        "rerank" => return numbers::ranking(fixture).await,
        "errors" => return errors::check(fixture).await,
        "images" | "moderation" | "audio_speech" | "audio_transcription" => {
            return media::check(fixture).await;
        }
        "audio_transcription_stream" => return media::transcript(fixture).await,
        "models" => return models(fixture).await,
        operation => return Err(format!("nobody is asked for `{operation}`")),
    };
    for shape in shapes {
        let outcome = answers::check(fixture, *shape).await;
        outcome.map_err(|why| format!("{shape:?}: {why}"))?;
    }
    Ok(())
}

pub(crate) fn request(operation: Operation, body: &Value) -> Result<LlmRequest, String> {
    LlmRequest::from_value(operation, body).map_err(|error| error.to_string())
}

/// Holds that the leaf asks where the recording was made.
pub(crate) fn same_place(fixture: &Fixture, recorded: &Recorded) -> Result<(), String> {
    let asked = recorded.asked();
    match &fixture.path {
        Some(path) if !route::is_same_place(path, &asked) => Err(format!(
            "it is asked for at {asked}, and recorded at {path}"
        )),
        _ => Ok(()),
    }
}

/// A list of models has the first of them, and not any other.
async fn models(fixture: &Fixture) -> Result<(), String> {
    let listed = fixture.json()["data"][0]["id"].clone();
    for (model, expected) in [(listed, true), (json!("none-of-them"), false)] {
        let name = model.as_str().ok_or("no model is listed")?;
        let deployment = ziggurat::Deployment::new("a", "group", name)
            .with_provider(fixture.provider.as_str())
            .with_credential(ziggurat::Secret::new("key-0123456789"));
        let probed = Recorded::new(fixture, deployment).probe().await;
        let probed = probed.map_err(|error| error.to_string())?;
        if probed != Some(expected) {
            return Err(format!("{name} is listed: {probed:?}"));
        }
    }
    Ok(())
}

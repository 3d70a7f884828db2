//! Images, audio and judgements of texts, which pass as they are.

use serde_json::{Value, json};
use ziggurat::{LlmRequest, Operation, ReadOptions};

use crate::{
    answers::counted,
    call::Recorded,
    cases::{request, same_place},
    fixture::{Fixture, Form},
    frames::{decoded, events},
    route,
    said::Counts,
};

fn operation(fixture: &Fixture) -> Operation {
    match &*fixture.operation {
        "images" if fixture.is_at("/variations") => Operation::ImageVariation,
        "images" => Operation::ImageGeneration,
        "moderation" => Operation::Moderation,
        "audio_speech" => Operation::Speech,
        _ if fixture.is_at("/translations") => Operation::Translation,
        _ => Operation::Transcription,
    }
}

fn asked(operation: Operation, streams: bool) -> Result<LlmRequest, String> {
    if !operation.takes_form() {
        let body = json!({"model": "group", "prompt": "hi", "input": "hi", "voice": "alloy"});
        return request(operation, &body);
    }
    let part = |head: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; name={head}\r\n\r\n{value}\r\n")
    };
    let mut body = part("\"model\"", "group");
    if streams {
        body.push_str(&part("\"stream\"", "true"));
    }
    let file = match operation {
        Operation::ImageVariation => "\"image\"; filename=\"a.png\"",
        _ => "\"file\"; filename=\"a.wav\"",
    };
    body.push_str(&part(file, "RIFF"));
    body.push_str("--x--\r\n");
    let kind = "multipart/form-data; boundary=x";
    let read = LlmRequest::read_multipart(operation, body, kind, ReadOptions::new());
    read.map_err(|error| error.to_string())
}

fn usage(answer: &Value) -> Option<Counts> {
    let usage = &answer["usage"];
    let count = |names: [&str; 2]| names.into_iter().find_map(|name| usage[name].as_u64());
    Some(Counts {
        input: count(["input_tokens", "prompt_tokens"])?,
        output: count(["output_tokens", "completion_tokens"])?,
        total: usage["total_tokens"].as_u64(),
    })
}

pub(crate) async fn check(fixture: &Fixture) -> Result<(), String> {
    let recorded = Recorded::new(fixture, route::deployment(fixture));
    let request = asked(operation(fixture), false)?;
    let answered = recorded.call(&request, usize::MAX).await;
    let answered = answered.map_err(|error| error.to_string())?;
    same_place(fixture, &recorded)?;
    // Mistral wraps what it speaks.
    let expected = match fixture.json()["audio_data"].as_str() {
        Some(audio) => decoded(audio).into(),
        None => fixture.body.clone(),
    };
    if answered.bytes != expected || answered.bytes.is_empty() {
        return Err("it is another answer".to_owned());
    }
    match fixture.form {
        Form::Json => counted(answered.usage, usage(&fixture.json())),
        _ => Ok(()),
    }
}

/// A transcript in events, wherever it is cut.
pub(crate) async fn transcript(fixture: &Fixture) -> Result<(), String> {
    let told = events(&fixture.body);
    let expected = told.last().and_then(usage);
    let recorded = Recorded::new(fixture, route::deployment(fixture));
    let request = asked(Operation::Transcription, true)?;
    for cut in 1..=fixture.body.len() {
        let answered = recorded.call(&request, cut).await;
        let answered = answered.map_err(|error| format!("cut at {cut}: {error}"))?;
        if events(&answered.bytes) != told || told.is_empty() {
            return Err(format!("cut at {cut}: it is another transcript"));
        }
        counted(answered.usage, expected)?;
    }
    same_place(fixture, &recorded)
}

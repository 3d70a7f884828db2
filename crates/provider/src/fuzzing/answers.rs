use bytes::Bytes;
use ziggurat_core::Operation;

use super::{
    input::Input,
    subject::{self, assert_is_json, assert_is_safe},
};
use crate::{
    dialect::{
        self,
        openai::{self, Whole},
    },
    shape::responses,
    sse::{self, Event},
};

/// Providers, each with a model that is answered for in its own way.
const SUBJECTS: [(&str, &str); 10] = [
    ("openai", "m"),
    ("anthropic", "m"),
    ("gemini", "m"),
    ("bedrock", "m"),
    ("bedrock", "invoke/anthropic.claude-x"),
    ("bedrock", "cohere.embed-x"),
    ("cohere", "m"),
    ("ollama", "m"),
    ("voyage", "m"),
    ("vertex_ai", "claude-x"),
];

const OPERATIONS: [Operation; 11] = [
    Operation::ChatCompletions,
    Operation::Messages,
    Operation::Responses,
    Operation::Embeddings,
    Operation::Rerank,
    Operation::Moderation,
    Operation::ImageGeneration,
    Operation::Transcription,
    Operation::Speech,
    Operation::Completions,
    Operation::GenerateContent,
];

/// The readers of whole answers: what is one becomes JSON as the client knows it, whole or as a
/// stream, and everything else a failure.
///
/// The first line chooses the provider, the operation, whether the deployment takes any answer and
/// whether Responses are answered as the provider has them. Then come headers, an empty line, and
/// the body.
pub fn answers(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (provider, model) = input.one_of(&SUBJECTS);
    let wanted = input.one_of(&OPERATIONS);
    let takes_any = input.flag();
    let is_native = input.flag();
    let headers = input.headers();
    let body = input.rest();

    let deployment = subject::deployment(provider, model);
    let deployment = std::sync::Arc::new(
        ziggurat_core::Deployment::clone(&deployment).with_any_answer(takes_any),
    );
    if openai::is_media(wanted) {
        return media(wanted, &headers, body, &deployment);
    }
    let request = subject::request(wanted);
    let client = subject::client(&request, &deployment);
    let operation = match client {
        Some(_) => Operation::ChatCompletions,
        None => wanted,
    };
    let call = dialect::Call {
        operation,
        ..subject::call(&deployment, &request, request.body())
    };
    let chat = match dialect::of(provider) {
        Some(dialect) => dialect.answer(&call, &headers, body),
        None if is_native => responses::to_chat_answer(&Bytes::copy_from_slice(body), &deployment),
        None => Ok(Bytes::copy_from_slice(body)),
    };
    let checked = chat.and_then(|chat| {
        openai::check(operation, &chat, &deployment, false)?;
        Ok(chat)
    });
    let chat = match checked {
        Ok(chat) => chat,
        Err(error) => return assert_is_safe(&error),
    };
    assert_is_bounded(&chat, body);
    if takes_any {
        return;
    }
    assert_is_json(&chat);
    if let Some(events) = openai::as_events(&chat) {
        assert_is_bounded(&events, body);
        assert_are_events(&events);
    }
    match client.map(|client| client.answer(&chat)) {
        None => {}
        Some(Ok(answer)) => {
            assert_is_json(&answer);
            assert_is_bounded(&answer, body);
        }
        Some(Err(error)) => assert_is_safe(&error),
    }
}

fn media(
    operation: Operation,
    headers: &http::HeaderMap,
    body: &[u8],
    deployment: &ziggurat_core::Deployment,
) {
    let whole = Whole::read(operation, headers, Bytes::copy_from_slice(body), deployment);
    match whole {
        Err(error) => assert_is_safe(&error),
        Ok(whole) => {
            if let Some(events) = whole.as_events(operation) {
                assert_is_bounded(&events, body);
                assert_are_events(&events);
            }
        }
    }
}

fn assert_are_events(events: &[u8]) {
    for event in sse::events(events) {
        let data = Event::read(event).data.expect("has data");
        if *data != b"[DONE]"[..] {
            assert_is_json(&data);
        }
    }
}

/// An answer is not much longer than what it was made of.
fn assert_is_bounded(answer: &[u8], body: &[u8]) {
    let most = 16 * 1024 + 64 * body.len();
    assert!(
        answer.len() <= most,
        "{} bytes of {}",
        answer.len(),
        body.len()
    );
}

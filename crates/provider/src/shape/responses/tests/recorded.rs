//! Recorded traffic.

use std::sync::Arc;

use serde_json::{Value, json};
use ziggurat_core::{Deployment, ErrorKind, Operation};

use super::{asked, decode, encode, last, told};
use crate::{
    dialect::openai,
    fixtures::{self, Recorded},
    reader::Reader,
    shape::responses::to_chat_answer,
    sse::{self, Event},
    stream::Read,
};

#[test]
fn recorded_responses_are_answers_with_exact_usage() {
    let operation = Operation::ChatCompletions;
    for Recorded { name, body, .. } in fixtures::responses() {
        let deployment = Deployment::new("a", "gpt", "m");
        let chat = to_chat_answer(&body, &deployment);
        let usage = chat.and_then(|chat| openai::check(operation, &chat, &deployment, true));
        let usage = usage.unwrap_or_else(|error| panic!("{name}: {error}"));
        let response: Value = serde_json::from_slice(&body).expect("is JSON");
        let total = usage.expect("has some").total();
        assert_eq!(total, response["usage"]["total_tokens"], "{name}");
    }
}

#[test]
fn recorded_streams_of_responses_are_read_wherever_they_are_cut() {
    for Recorded { name, body, .. } in fixtures::responses_streams() {
        let (chat, usage, error) = decode([&body[..]]);
        assert_eq!(error, None, "{name}");
        let response = json_of_last(&body);
        let total = usage.expect("has some").total();
        assert_eq!(total, response["usage"]["total_tokens"], "{name}");
        let parts = response["output"].as_array().into_iter().flatten();
        let parts = parts.filter(|item| item["type"] == "message");
        let parts = parts.filter_map(|item| item["content"][0]["text"].as_str());
        assert_eq!(told(&chat).0, parts.collect::<String>(), "{name}");
        for at in (1..body.len()).step_by(body.len().div_ceil(100)) {
            let (head, tail) = body.split_at(at);
            assert_eq!(decode([head, tail]).0, chat, "{name} cut at {at}");
        }
    }
}

fn json_of_last(stream: &[u8]) -> Value {
    let data = sse::events(stream).filter_map(|event| Event::read(event).data);
    let events = data.filter_map(|data| serde_json::from_slice::<Value>(&data).ok());
    events.last().expect("has one")["response"].clone()
}

#[test]
fn recorded_failures_in_streams_have_their_kind() {
    for Recorded { name, body, .. } in fixtures::errors_in_streams() {
        if name.ends_with("-responses.sse") {
            assert_eq!(
                decode([&body[..]]).2,
                Some(ErrorKind::RateLimited),
                "{name}"
            );
        }
    }
}

#[test]
fn recorded_streams_of_chat_become_responses_and_come_back() {
    for Recorded { name, body, .. } in fixtures::streams() {
        if !name.contains("/chat_stream/") {
            continue;
        }
        let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
        let mut reader = Reader::new(openai::Reader::new(deployment, asked()));
        reader.read(body);
        reader.finish();
        let item = reader.take_item().expect("has content");
        let stream = encode(&json!({}), &item.bytes, 3);
        last(&stream);
        let (back, usage, error) = decode([&stream[..]]);
        assert_eq!(error, None, "{name}");
        assert_eq!(
            usage.map(|it| it.total()),
            item.usage.map(|it| it.total()),
            "{name}"
        );
        let (before, after) = (told(&item.bytes), told(&back));
        assert_eq!(
            (&before.0, &before.1, &before.2),
            (&after.0, &after.1, &after.2),
            "{name}"
        );
    }
}

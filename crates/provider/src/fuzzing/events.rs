use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::{Operation, Usage};

use super::{
    input::{Input, byte_by_byte, pieces},
    subject::{self, assert_is_json, assert_is_safe},
};
use crate::{
    chat::Events,
    dialect::{
        self, Decoder,
        bedrock::frame::frame,
        openai::{self, Asked, Watch},
    },
    reader::Reader,
    shape::{self, responses},
    sse::{self, Event},
    stream::Read,
};

/// Who streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// A provider, by the name of it, with that model.
    Provider(&'static str, &'static str),
    /// Anybody who speaks Responses.
    Responses,
    /// Anybody who transcribes, speaks or draws.
    Media,
}

const SOURCES: [Source; 9] = [
    Source::Provider("openai", "m"),
    Source::Provider("anthropic", "m"),
    Source::Provider("gemini", "m"),
    Source::Provider("bedrock", "m"),
    Source::Provider("bedrock", "invoke/anthropic.claude-x"),
    Source::Provider("cohere", "m"),
    Source::Provider("ollama", "m"),
    Source::Responses,
    Source::Media,
];

/// Who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Of(Operation),
    /// The one that knows the provider's own events.
    Native,
}

const CHAT: Client = Client::Of(Operation::ChatCompletions);

const CLIENTS: [Client; 6] = [
    CHAT,
    Client::Of(Operation::Messages),
    Client::Of(Operation::Responses),
    Client::Native,
    Client::Of(Operation::GenerateContent),
    Client::Of(Operation::Completions),
];

/// The decoders of streams, and what writes them anew for clients of other shapes: what comes out is
/// the same wherever the stream is cut, well formed, and not much longer than what came in.
///
/// The first line chooses the provider, the client, and what it asked for. The second is how the
/// stream is cut, the rest is the stream. Where that is one of frames, each line is one: the name of
/// the event, with a `!` before it for an exception, a space, and the payload.
pub fn events(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let source = input.one_of(&SOURCES);
    let client = input.one_of(&CLIENTS);
    let asked = Asked {
        usage: input.flag() || client != CHAT,
        choices: Some(1),
        refusals: input.flag(),
    };
    let is_raw = input.flag();
    let cuts = input.line();
    let stream = match source {
        Source::Provider("bedrock", model) if !is_raw => {
            framed(input.rest(), model.starts_with("invoke/"))
        }
        _ => input.rest().to_vec(),
    };

    let read = |pieces: &[&[u8]]| read(source, client, asked, pieces);
    let whole = read(&[&stream]);
    let bytes = byte_by_byte(&stream);
    for cut in [pieces(&stream, cuts), bytes] {
        assert_are_same(&read(&cut), &whole);
    }

    let most = 64 * 1024 + 128 * stream.len();
    let length = whole.bytes.len();
    assert!(length <= most, "{length} bytes of {}", stream.len());
    if source == Source::Media || client == Client::Native {
        return;
    }
    match client {
        Client::Of(Operation::Messages | Operation::Responses) => assert_are_named(&whole.bytes),
        // They pass as they come.
        _ if source == SOURCES[0] && client != Client::Of(Operation::GenerateContent) => {}
        CHAT => assert_are_chat(&whole.bytes),
        _ => assert_are_unnamed(&whole.bytes),
    }
}

/// What a client gets, and what is known of it.
#[derive(Debug)]
struct Got {
    bytes: Vec<u8>,
    usage: Option<Usage>,
    error: Option<String>,
}

/// Two readings give the same, but for ids that are made up.
fn assert_are_same(one: &Got, other: &Got) {
    let (left, right) = (without_ids(&one.bytes), without_ids(&other.bytes));
    let same = left
        .bytes()
        .zip(right.bytes())
        .take_while(|(left, right)| left == right);
    let at = same.count().saturating_sub(50);
    let excerpt = |text: &str| {
        String::from_utf8_lossy(&text.as_bytes()[at..])
            .chars()
            .take(200)
            .collect::<String>()
    };
    assert!(
        left == right,
        "{}\nis not\n{}",
        excerpt(&left),
        excerpt(&right)
    );
    assert_eq!((one.usage, &one.error), (other.usage, &other.error));
}

/// The text with `#` for each number of sixteen hexadecimal digits or more.
fn without_ids(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(first) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let taken = digits.max(first.len_utf8());
        out.push_str(if digits < 16 { &rest[..taken] } else { "#" });
        rest = &rest[taken..];
    }
    out
}

fn read(source: Source, client: Client, asked: Asked, pieces: &[&[u8]]) -> Got {
    let (provider, model) = match source {
        Source::Provider(provider, model) => (provider, model),
        Source::Responses | Source::Media => ("openai", "m"),
    };
    let deployment = subject::deployment(provider, model);
    let reader = || openai::Reader::new(Arc::clone(&deployment), asked);
    let events = Events::new(model, 7);
    let operation = match client {
        Client::Of(operation) => operation,
        Client::Native => Operation::ChatCompletions,
    };
    let request = subject::request(operation);
    let decoder = || -> Option<Box<dyn Decoder>> {
        match source {
            Source::Responses => Some(responses::decoder(&deployment)),
            Source::Media => None,
            Source::Provider(provider, _) => {
                let call = subject::call(&deployment, &request, request.body());
                Some(dialect::of(provider)?.decoder(&call))
            }
        }
    };
    let shaped = subject::client(&request, &deployment);
    let encoder = shaped.as_ref().map(shape::Client::encoder);
    match (source, decoder()) {
        (Source::Media, _) => run(Watch::new(Arc::clone(&deployment)), pieces),
        (_, Some(decoder)) if client == Client::Native => {
            run(Reader::native(reader(), decoder, events, b""), pieces)
        }
        (_, Some(decoder)) => {
            let reader = Reader::decoding(reader(), decoder, events);
            run(reader.encoding(encoder), pieces)
        }
        (_, None) => run(Reader::new(reader()).encoding(encoder), pieces),
    }
}

fn run(mut reader: impl Read, pieces: &[&[u8]]) -> Got {
    let mut got = Got {
        bytes: Vec::new(),
        usage: None,
        error: None,
    };
    let mut take = |reader: &mut dyn Read| {
        while let Some(item) = reader.take_item() {
            got.bytes.extend_from_slice(&item.bytes);
            got.usage = item.usage.or(got.usage);
        }
        if let Some(error) = reader.take_error() {
            assert_is_safe(&error);
            got.error = Some(format!("{error:?}"));
        }
    };
    for piece in pieces {
        if !reader.is_ended() {
            reader.read(Bytes::copy_from_slice(piece));
            take(&mut reader);
        }
    }
    if !reader.is_ended() {
        reader.finish();
        take(&mut reader);
    }
    assert!(reader.is_ended(), "the end of the body is the end");
    got
}

/// The frames of Bedrock.
fn framed(lines: &[u8], invokes: bool) -> Vec<u8> {
    let mut stream = Vec::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let space = line.iter().position(|byte| *byte == b' ');
        let (name, payload) = line.split_at(space.unwrap_or(line.len()));
        let payload = payload.trim_ascii_start();
        let name = String::from_utf8_lossy(&name[..name.len().min(64)]);
        let (kind, key, name) = match name.strip_prefix('!') {
            Some(name) => ("exception", ":exception-type", name),
            None => ("event", ":event-type", &*name),
        };
        let payload = match invokes && kind == "event" {
            true => json!({"bytes": STANDARD.encode(payload)})
                .to_string()
                .into_bytes(),
            false => payload.to_vec(),
        };
        stream.extend(frame(&[(":message-type", kind), (key, name)], &payload));
    }
    stream
}

/// Events of OpenAI's chat, and nothing else.
fn assert_are_chat(bytes: &[u8]) {
    let mut is_done = false;
    for event in sse::events(bytes) {
        assert!(!is_done, "nothing comes after `[DONE]`");
        let data = Event::read(event).data.expect("has data");
        if *data == b"[DONE]"[..] {
            is_done = true;
            continue;
        }
        let event = assert_is_json(&data);
        assert_eq!(event["object"], "chat.completion.chunk", "{event}");
        assert!(
            event["id"].is_string() && event["model"].is_string(),
            "{event}"
        );
        let choices = event["choices"].as_array().expect("has choices");
        for choice in choices {
            assert!(choice["delta"].is_object(), "{event}");
            assert!(choice["index"].is_u64(), "{event}");
            let finish = &choice["finish_reason"];
            assert!(finish.is_null() || finish.is_string(), "{event}");
            for call in choice["delta"]["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
            {
                assert!(call["index"].is_u64(), "{event}");
            }
        }
        assert!(!choices.is_empty() || event["usage"].is_object(), "{event}");
    }
}

/// Events of JSON that have no name.
fn assert_are_unnamed(bytes: &[u8]) {
    for event in sse::events(bytes) {
        let data = Event::read(event).data;
        if let Some(data) = data.filter(|data| **data != b"[DONE]"[..]) {
            assert!(assert_is_json(&data).is_object());
        }
    }
}

/// Events that have a name, which is the type in their data.
fn assert_are_named(bytes: &[u8]) {
    for event in sse::events(bytes) {
        if event.starts_with(b":") {
            continue;
        }
        let name = event.split(|byte| *byte == b'\n').next();
        let name = name.and_then(|line| line.strip_prefix(b"event: "));
        let name = String::from_utf8_lossy(name.expect("has a name"));
        let data: Value = assert_is_json(&Event::read(event).data.expect("has data"));
        assert_eq!(data["type"], *name, "{data}");
    }
}

//! Answers about images, audio and moderation: JSON, a text, or bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use serde_json::{Map, Value, json};
use ziggurat_core::{Deployment, Error, ErrorKind, Operation, Usage};

use super::{answer, chunk::Chunk, error};

/// How many images are told as events, and how long what each of them repeats may be.
const MAX_IMAGES: usize = 128;
const MAX_MEMBER: usize = 4096;

/// Whether answers to an operation are read here.
pub(crate) fn is_media(operation: Operation) -> bool {
    use Operation::{
        ImageEdit, ImageGeneration, ImageVariation, Moderation, Speech, Transcription, Translation,
    };
    matches!(
        operation,
        ImageGeneration
            | ImageEdit
            | ImageVariation
            | Transcription
            | Translation
            | Speech
            | Moderation
    )
}

/// What an answer is, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Json,
    Events,
    /// A text that is an answer: a transcript, or subtitles.
    Text,
    /// A page for people, which is none.
    Page,
    /// Anything else, or what is not said.
    Bytes,
}

impl Content {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let value = value.unwrap_or_default().split(|byte| *byte == b';').next();
        let value = value.unwrap_or_default().trim_ascii().to_ascii_lowercase();
        match &value[..] {
            b"text/event-stream" => Self::Events,
            b"text/html" => Self::Page,
            b"application/x-subrip" => Self::Text,
            b"application/json" => Self::Json,
            other if other.ends_with(b"+json") => Self::Json,
            other if other.starts_with(b"text/") => Self::Text,
            _ => Self::Bytes,
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    /// What it is, if it is no JSON.
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) usage: Option<Usage>,
}

impl Whole {
    /// Makes sure that the body of a success is an answer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`] if it is none, or the kind of the error that stands in its place.
    pub(crate) fn read(
        operation: Operation,
        headers: &HeaderMap,
        bytes: Bytes,
        deployment: &Deployment,
    ) -> Result<Self, Error> {
        let content = Content::of(headers);
        let is_transcript = matches!(operation, Operation::Transcription | Operation::Translation);
        let is_text = is_transcript && content == Content::Text;
        let is_audio = operation == Operation::Speech && content == Content::Bytes;
        let other = is_text || is_audio;
        if !other && operation != Operation::Speech && content != Content::Page {
            let usage = answer::check(operation, &bytes, deployment, false)?;
            let usage = match operation {
                Operation::ImageGeneration | Operation::ImageEdit | Operation::ImageVariation => {
                    Some(of_images(usage, &bytes))
                }
                _ => usage,
            };
            return Ok(Self {
                bytes,
                content_type: None,
                usage,
            });
        }
        if Chunk::read(&bytes).is_some_and(|chunk| chunk.is_error()) {
            return Err(error::in_band(&bytes, deployment));
        }
        let (bytes, content_type) = match spoken(&bytes) {
            Some(audio) if operation == Operation::Speech => {
                let kind = HeaderValue::from_static(kind_of(&audio));
                (audio, Some(kind))
            }
            _ if bytes.is_empty() && !deployment.takes_any_answer() => {
                return Err(bad("the provider's answer is empty"));
            }
            _ if other || deployment.takes_any_answer() => {
                (bytes, headers.get(CONTENT_TYPE).cloned())
            }
            _ if is_transcript => return Err(bad("the provider's answer holds no text")),
            _ if operation == Operation::Speech => {
                return Err(bad("the provider's answer is no audio"));
            }
            _ => return Err(bad("the provider's answer is not JSON")),
        };
        Ok(Self {
            bytes,
            content_type,
            usage: None,
        })
    }

    /// The same as a short stream, for a client that asked for one; `None` if there is no such.
    pub(crate) fn as_events(&self, operation: Operation) -> Option<Bytes> {
        let read = || serde_json::from_slice::<Map<String, Value>>(&self.bytes).ok();
        let events = match operation {
            Operation::Transcription => {
                let mut event = match &self.content_type {
                    None => read()?,
                    Some(_) => {
                        let text = String::from_utf8_lossy(&self.bytes);
                        Map::from_iter([("text".to_owned(), text.into())])
                    }
                };
                event.insert("type".to_owned(), "transcript.text.done".into());
                vec![Value::Object(event)]
            }
            Operation::Speech => {
                let audio = STANDARD.encode(&self.bytes);
                vec![
                    json!({"type": "speech.audio.delta", "audio": audio}),
                    json!({"type": "speech.audio.done"}),
                ]
            }
            Operation::ImageGeneration | Operation::ImageEdit => {
                let mut whole = read()?;
                let Some(Value::Array(images)) = whole.remove("data") else {
                    return None;
                };
                let kind = match operation {
                    Operation::ImageEdit => "image_edit.completed",
                    _ => "image_generation.completed",
                };
                // Every event repeats them.
                whole.retain(|_, member| member.to_string().len() <= MAX_MEMBER);
                whole.insert("type".to_owned(), kind.into());
                let event = |image| {
                    let mut event = whole.clone();
                    if let Value::Object(image) = image {
                        event.extend(image);
                    }
                    Value::Object(event)
                };
                images.into_iter().take(MAX_IMAGES).map(event).collect()
            }
            _ => return None,
        };
        let mut stream = String::new();
        for event in events {
            stream += &format!("data: {event}\n\n");
        }
        stream += "data: [DONE]\n\n";
        Some(stream.into())
    }
}

/// What images used: of tokens that nobody tells apart, those that came out are of images.
fn of_images(usage: Option<Usage>, body: &[u8]) -> Usage {
    let mut usage = usage.unwrap_or_default();
    if usage.image_output == 0 {
        usage.image_output = usage.output;
    }
    usage.images = Chunk::read(body).map(|answer| answer.data_count());
    usage
}

fn bad(message: &'static str) -> Error {
    Error::new(ErrorKind::BadAnswer, message)
}

/// Speech as Mistral gives it: base64 in JSON.
fn spoken(body: &[u8]) -> Option<Bytes> {
    let answer: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let audio = STANDARD.decode(answer.get("audio_data")?.as_str()?).ok()?;
    (!audio.is_empty()).then(|| audio.into())
}

/// The content type of audio, by how it begins.
fn kind_of(audio: &[u8]) -> &'static str {
    match audio {
        [b'R', b'I', b'F', b'F', ..] => "audio/wav",
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        [b'O', b'g', b'g', b'S', ..] => "audio/ogg",
        [b'I', b'D', b'3', ..] | [0xff, 0xe0..=0xff, ..] => "audio/mpeg",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Operation::{
        ImageEdit, ImageGeneration, ImageVariation, Moderation, Speech, Transcription, Translation,
    };

    use super::*;

    fn whole(operation: Operation, content_type: &str, body: &str) -> Result<Whole, Error> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            let value = content_type.parse().expect("is a header");
            headers.insert(CONTENT_TYPE, value);
        }
        let deployment = Deployment::new("a", "g", "m");
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        Whole::read(operation, &headers, bytes, &deployment)
    }

    #[test]
    fn every_form_of_answer_passes_as_it_is() {
        let json = "application/json; charset=utf-8";
        for (operation, content_type, body) in [
            (ImageGeneration, json, r#"{"data":[{"url":"https://x"}]}"#),
            (
                ImageEdit,
                json,
                r#"{"created":1,"data":[{"b64_json":"AA=="}]}"#,
            ),
            (ImageVariation, "", r#"{"data":[{"url":"https://x"}]}"#),
            (Moderation, json, r#"{"results":[{"flagged":false}]}"#),
            (Transcription, json, r#"{"text":"hello"}"#),
            (
                Translation,
                json,
                r#"{"text":"","usage":{"type":"duration","seconds":4}}"#,
            ),
            (Transcription, "text/plain; charset=utf-8", "hello\n"),
            (Transcription, "Text/Plain", "42"),
            (Transcription, "text/vtt", "WEBVTT\n\n"),
            (
                Translation,
                "application/x-subrip",
                "1\n00:00:00,000 --> 00:00:03,000\nhello\n",
            ),
            (Speech, "audio/mpeg", "ID3"),
            (Speech, "application/octet-stream", "pcm"),
            (Speech, "", "pcm"),
        ] {
            let read = whole(operation, content_type, body).expect(body);
            assert_eq!(read.bytes, body);
            let kind = read
                .content_type
                .map(|kind| kind.to_str().expect("is text").to_owned());
            let expected =
                body.starts_with(['h', '4', 'W', '1', 'I', 'p']) && !content_type.is_empty();
            assert_eq!(kind.as_deref(), expected.then_some(content_type), "{body}");
        }
    }

    #[test]
    fn what_is_no_answer_fails() {
        let json = "application/json";
        for (operation, content_type, body) in [
            (ImageGeneration, json, r#"{"data":[]}"#),
            (ImageGeneration, json, ""),
            (ImageEdit, "text/html", "<html>sign in</html>"),
            (ImageVariation, "image/png", "\u{7f}PNG"),
            (Moderation, json, r#"{"results":[]}"#),
            (Moderation, "text/plain", "ok"),
            (Transcription, json, r#"{"language":"de"}"#),
            (Transcription, json, r#"{"text":null}"#),
            (Transcription, json, "hello"),
            (Transcription, "text/plain", ""),
            (Transcription, "text/html", "<html>sign in</html>"),
            (Translation, "application/octet-stream", "hello"),
            (Speech, "audio/mpeg", ""),
            (Speech, json, "{}"),
            (Speech, json, r#"{"audio_data":""}"#),
            (Speech, "text/html", "<html>sign in</html>"),
            (Speech, "text/plain", "no"),
        ] {
            let error = whole(operation, content_type, body).expect_err(body);
            assert_eq!(error.kind(), ErrorKind::BadAnswer, "{operation} {body}");
        }
    }

    #[test]
    fn an_error_in_the_place_of_an_answer_keeps_its_kind() {
        let body = r#"{"error":{"code":"rate_limit_exceeded","message":"slow down"}}"#;
        for operation in Operation::ALL.into_iter().filter(|it| is_media(*it)) {
            for content_type in ["application/json", "text/plain", ""] {
                let error = whole(operation, content_type, body).expect_err("is an error");
                assert_eq!(
                    error.kind(),
                    ErrorKind::RateLimited,
                    "{operation} {content_type}"
                );
            }
        }
    }

    #[test]
    fn images_that_become_events_do_not_multiply_what_they_share() {
        let long = "x".repeat(MAX_MEMBER);
        let images = vec!["{}"; MAX_IMAGES + 1].join(",");
        let body = format!(r#"{{"data":[{images}],"size":"1x1","long":"{long}"}}"#);
        let bytes = Bytes::from(body);
        let whole = Whole {
            bytes,
            content_type: None,
            usage: None,
        };
        let events = whole.as_events(Operation::ImageGeneration);
        let events = String::from_utf8(events.expect("are images").to_vec()).expect("is text");
        assert_eq!(events.matches(r#""size":"1x1""#).count(), MAX_IMAGES);
        assert!(!events.contains("xx"), "{events}");
    }

    #[test]
    fn any_answer_counts_where_that_is_said() {
        let deployment = Deployment::new("a", "g", "m").with_any_answer(true);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        for operation in Operation::ALL.into_iter().filter(|it| is_media(*it)) {
            let page = Bytes::from_static(b"<html>");
            let read = Whole::read(operation, &headers, page, &deployment).expect("counts");
            assert_eq!(read.bytes, "<html>");
            assert_eq!(read.content_type, headers.get(CONTENT_TYPE).cloned());
        }
    }

    #[test]
    fn usage_is_read_in_tokens_images_and_seconds() {
        let usage = |operation, body| {
            whole(operation, "application/json", body)
                .expect("is an answer")
                .usage
        };
        let images = r#"{"data":[{"b64_json":"AA=="}],"usage":{"input_tokens":10,"input_tokens_details":{"text_tokens":10},"output_tokens":4160,"total_tokens":4170}}"#;
        let expected = Usage {
            image_output: 4160,
            images: Some(1),
            ..Usage::new(10, 4160)
        };
        assert_eq!(usage(Operation::ImageGeneration, images), Some(expected));
        let uncounted = r#"{"data":[{"url":"https://x"},{"url":"https://y"}]}"#;
        let expected = Usage {
            images: Some(2),
            ..Usage::default()
        };
        assert_eq!(usage(Operation::ImageEdit, uncounted), Some(expected));
        let text = r#"{"text":"x","usage":{"type":"tokens","input_tokens":37,"output_tokens":145,"total_tokens":182}}"#;
        assert_eq!(
            usage(Operation::Transcription, text),
            Some(Usage::new(37, 145))
        );
        let time = r#"{"text":"x","usage":{"type":"duration","seconds":4}}"#;
        let expected = Usage {
            audio_time: Some(std::time::Duration::from_secs(4)),
            ..Usage::default()
        };
        assert_eq!(usage(Operation::Transcription, time), Some(expected));
    }

    #[test]
    fn speech_in_json_becomes_audio() {
        for (audio, kind) in [
            (&b"ID3\x04"[..], "audio/mpeg"),
            (b"\xff\xfb\x90", "audio/mpeg"),
            (b"RIFF....WAVE", "audio/wav"),
            (b"fLaC", "audio/flac"),
            (b"OggS", "audio/ogg"),
            (b"\0\0\0\x01", "application/octet-stream"),
        ] {
            let body = json!({"audio_data": STANDARD.encode(audio)}).to_string();
            let read = whole(Operation::Speech, "application/json", &body).expect("is audio");
            assert_eq!(
                (&read.bytes[..], read.content_type),
                (audio, Some(HeaderValue::from_static(kind)))
            );
        }
    }

    #[test]
    fn a_whole_answer_becomes_a_short_stream() {
        for (operation, content_type, body, expected) in [
            (
                Transcription,
                "application/json",
                r#"{"text":"hi","usage":{"seconds":1}}"#,
                "data: {\"text\":\"hi\",\"type\":\"transcript.text.done\",\"usage\":{\"seconds\":1}}\n\ndata: [DONE]\n\n",
            ),
            (
                Transcription,
                "text/plain",
                "hi\n",
                "data: {\"text\":\"hi\\n\",\"type\":\"transcript.text.done\"}\n\ndata: [DONE]\n\n",
            ),
            (
                ImageEdit,
                "application/json",
                r#"{"created":1,"data":[{"b64_json":"AA=="},{"b64_json":"BB=="}]}"#,
                "data: {\"b64_json\":\"AA==\",\"created\":1,\"type\":\"image_edit.completed\"}\n\n\
                 data: {\"b64_json\":\"BB==\",\"created\":1,\"type\":\"image_edit.completed\"}\n\ndata: [DONE]\n\n",
            ),
            (
                Speech,
                "audio/mpeg",
                "ID3",
                "data: {\"audio\":\"SUQz\",\"type\":\"speech.audio.delta\"}\n\n\
                 data: {\"type\":\"speech.audio.done\"}\n\ndata: [DONE]\n\n",
            ),
        ] {
            let whole = whole(operation, content_type, body).expect("is an answer");
            let events = whole.as_events(operation).expect("can be a stream");
            assert_eq!(events, expected);
        }
        let moderation = whole(Moderation, "application/json", r#"{"results":[{}]}"#);
        assert!(moderation.expect("is one").as_events(Moderation).is_none());
    }

    #[test]
    fn recorded_answers_are_answers() {
        for recorded in crate::fixtures::media() {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, recorded.content_type.clone());
            let deployment = Deployment::new("a", "g", "m");
            let read = Whole::read(
                recorded.operation,
                &headers,
                recorded.body.clone(),
                &deployment,
            );
            let read = read.unwrap_or_else(|error| panic!("{}: {error}", recorded.name));
            let value: Value = serde_json::from_slice(&recorded.body).unwrap_or_default();
            match value["usage"]["total_tokens"].as_u64() {
                Some(total) => assert_eq!(
                    read.usage.map(|it| it.total()),
                    Some(total),
                    "{}",
                    recorded.name
                ),
                // Images are counted all the same.
                None => assert_eq!(
                    read.usage.map_or(0, |it| it.total()),
                    0,
                    "{}",
                    recorded.name
                ),
            }
            if value.get("audio_data").is_some() {
                assert_eq!(
                    read.content_type,
                    Some(HeaderValue::from_static("audio/mpeg"))
                );
            } else {
                assert_eq!(read.bytes, recorded.body, "{}", recorded.name);
            }
        }
    }
}

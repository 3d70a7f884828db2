//! How the events of a stream are told apart.

use std::time::Duration;

use http::HeaderValue;
use serde_json::Value;

use super::super::{
    SseChunking, Step,
    stream::{SSE, Tape},
};

/// One event: its name, where it has one, and its data.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(super) event: &'static str,
    pub(super) data: String,
    /// Whether it is a failure, where that is told apart from events.
    pub(super) is_exception: bool,
}

impl Frame {
    pub(super) fn new(event: &'static str, data: Value) -> Self {
        Self {
            event,
            data: data.to_string(),
            is_exception: false,
        }
    }

    /// An event without a name.
    pub(super) fn data(data: Value) -> Self {
        Self::new("", data)
    }

    /// The end of a stream of OpenAI's and of some others.
    pub(super) fn done() -> Self {
        Self {
            event: "",
            data: "[DONE]".to_owned(),
            is_exception: false,
        }
    }

    /// The same, which no parser takes.
    pub(super) fn halved(&self) -> Self {
        let half = self.data.floor_char_boundary(self.data.len() / 2);
        Self {
            data: self.data[..half].to_owned(),
            ..self.clone()
        }
    }
}

/// A way to write events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events, named where they have a name.
    Sse,
    /// The same, with a ping of Anthropic's for a comment.
    SsePinged,
    /// The same, with the line ends of Google.
    SseCrlf,
    /// One array of JSON, a member at a time.
    Array,
    /// A line of JSON each.
    Lines,
    /// AWS's binary frames.
    EventStream,
}

impl Framing {
    pub(super) fn content_type(self) -> HeaderValue {
        match self {
            Self::Sse | Self::SsePinged | Self::SseCrlf => SSE,
            Self::Array => HeaderValue::from_static("application/json; charset=UTF-8"),
            Self::Lines => HeaderValue::from_static("application/x-ndjson"),
            Self::EventStream => HeaderValue::from_static("application/vnd.amazon.eventstream"),
        }
    }

    pub(super) fn is_crlf(self, step: &Step) -> bool {
        self == Self::SseCrlf || step.chunking == SseChunking::Crlf
    }

    pub(super) fn begin(self, tape: &mut Tape) {
        match self {
            Self::Array => tape.raw(Duration::ZERO, b"["),
            Self::SsePinged => tape.comment_with(&["event: ping", "data: {\"type\": \"ping\"}"]),
            _ => {}
        }
    }

    /// Adds an event, and how long to wait before it.
    pub(super) fn write(self, tape: &mut Tape, wait: Duration, frame: &Frame) {
        match self {
            Self::Sse | Self::SsePinged | Self::SseCrlf => {
                tape.named(wait, frame.event, |out| {
                    out.extend_from_slice(frame.data.as_bytes())
                });
            }
            Self::Array => {
                let comma = if tape.bytes() == b"[" { "" } else { ",\r\n" };
                tape.raw(wait, format!("{comma}{}", frame.data).as_bytes());
            }
            Self::Lines => tape.raw(wait, format!("{}\n", frame.data).as_bytes()),
            Self::EventStream => tape.raw(wait, &event_stream_frame(frame)),
        }
    }

    pub(super) fn end(self, tape: &mut Tape) {
        if self == Self::Array {
            tape.raw(Duration::ZERO, b"]");
        }
    }
}

/// A frame: the lengths and their checksum, the headers, the payload, and the checksum of it all.
fn event_stream_frame(frame: &Frame) -> Vec<u8> {
    let (kind, name) = match frame.is_exception {
        true => ("exception", ":exception-type"),
        false => ("event", ":event-type"),
    };
    let mut headers = Vec::new();
    for (name, value) in [
        (name, frame.event),
        (":content-type", "application/json"),
        (":message-type", kind),
    ] {
        headers.push(name.len() as u8);
        headers.extend_from_slice(name.as_bytes());
        // A text.
        headers.push(7);
        headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let total = 12 + headers.len() + frame.data.len() + 4;
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&(total as u32).to_be_bytes());
    out.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out.extend_from_slice(&headers);
    out.extend_from_slice(frame.data.as_bytes());
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out
}

/// The checksum of zlib, a bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let odd = crc & 1;
            (crc >> 1) ^ (0xedb8_8320 * odd)
        })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_frame_says_how_long_it_is() {
        let frame = Frame::new("messageStart", serde_json::json!({"role": "assistant"}));
        let bytes = event_stream_frame(&frame);
        let number = |at: usize| {
            let number = bytes[at..at + 4].try_into().expect("has four bytes");
            u32::from_be_bytes(number)
        };
        assert_eq!(number(0) as usize, bytes.len());
        assert_eq!(number(8), crc32(&bytes[..8]));
        let end = bytes.len() - 4;
        assert_eq!(number(end), crc32(&bytes[..end]));
        let payload = 12 + number(4) as usize;
        assert_eq!(&bytes[payload..end], br#"{"role":"assistant"}"#);
    }
}

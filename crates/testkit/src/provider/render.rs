use std::{fmt::Write as _, io::Write as _};

use serde_json::json;

pub(super) const CREATED: u64 = 1_700_000_000;

/// The text of a healthy answer: "from *name*" is the first word, followed by w1, w2 and so on.
#[must_use]
pub fn healthy_text(name: &str, words: usize) -> String {
    if words == 0 {
        return String::new();
    }
    let mut text = format!("from {name}");
    for i in 1..words {
        _ = write!(text, " w{i}");
    }
    text
}

/// What is asked for, by the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Text,
    Embeddings,
}

impl Kind {
    pub(super) fn of(path: &str) -> Option<Self> {
        if path.ends_with("/chat/completions") {
            Some(Self::Chat)
        } else if path.ends_with("/completions") {
            Some(Self::Text)
        } else if path.ends_with("/embeddings") {
            Some(Self::Embeddings)
        } else {
            None
        }
    }

    pub(super) fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl",
            Self::Text => "cmpl",
            Self::Embeddings => "embd",
        }
    }
}

/// What the events and objects of one answer have in common.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) model: &'a str,
    pub(super) usage: (u64, u64),
    /// Whether the client wants the usage in the stream.
    pub(super) usage_asked: bool,
}

impl Shape<'_> {
    /// A whole completion, of either kind.
    pub(super) fn whole(&self, text: &str, finished: bool) -> Vec<u8> {
        let finish: &[u8] = if finished { b"\"stop\"" } else { b"null" };
        let mut out = Vec::with_capacity(text.len() + 400);
        if self.kind == Kind::Chat {
            self.head(&mut out, "chat.completion");
            out.extend_from_slice(
                br#","choices":[{"index":0,"message":{"role":"assistant","content":"#,
            );
            quote(&mut out, text);
            out.extend_from_slice(br#","refusal":null},"logprobs":null,"finish_reason":"#);
        } else {
            self.head(&mut out, "text_completion");
            out.extend_from_slice(br#","choices":[{"index":0,"text":"#);
            quote(&mut out, text);
            out.extend_from_slice(br#","logprobs":null,"finish_reason":"#);
        }
        out.extend_from_slice(finish);
        out.extend_from_slice(b"}],");
        self.usage(&mut out);
        out.push(b'}');
        out
    }

    /// An event with text.
    pub(super) fn content(&self, out: &mut Vec<u8>, text: &str, role: bool) {
        if self.kind == Kind::Chat {
            self.head(out, "chat.completion.chunk");
            out.extend_from_slice(br#","choices":[{"index":0,"delta":{"#);
            if role {
                out.extend_from_slice(br#""role":"assistant","#);
            }
            out.extend_from_slice(br#""content":"#);
            quote(out, text);
            out.extend_from_slice(br#"},"logprobs":null,"finish_reason":null}]"#);
        } else {
            self.head(out, "text_completion");
            out.extend_from_slice(br#","choices":[{"index":0,"text":"#);
            quote(out, text);
            out.extend_from_slice(br#","logprobs":null,"finish_reason":null}]"#);
        }
        self.end_event(out);
    }

    /// The event with the finish reason.
    pub(super) fn finish(&self, out: &mut Vec<u8>) {
        if self.kind == Kind::Chat {
            self.head(out, "chat.completion.chunk");
            out.extend_from_slice(br#","choices":[{"index":0,"delta":{},"#);
        } else {
            self.head(out, "text_completion");
            out.extend_from_slice(br#","choices":[{"index":0,"text":"","#);
        }
        out.extend_from_slice(br#""logprobs":null,"finish_reason":"stop"}]"#);
        self.end_event(out);
    }

    /// The event with the usage and without a choice.
    pub(super) fn usage_event(&self, out: &mut Vec<u8>) {
        let object = match self.kind {
            Kind::Chat => "chat.completion.chunk",
            Kind::Text | Kind::Embeddings => "text_completion",
        };
        self.head(out, object);
        out.extend_from_slice(br#","choices":[],"#);
        self.usage(out);
        out.push(b'}');
    }

    /// A list of vectors, which differ in their first number.
    pub(super) fn embeddings(&self, inputs: usize, base64: bool) -> Vec<u8> {
        let mut out = br#"{"object":"list","data":["#.to_vec();
        for i in 0..inputs {
            if i > 0 {
                out.push(b',');
            }
            let vector = [i as f32, 0.5, -0.5];
            let vector = if base64 {
                json!(to_base64(&vector.map(f32::to_le_bytes).concat()))
            } else {
                json!(vector)
            };
            write_to(
                &mut out,
                format_args!(r#"{{"object":"embedding","index":{i},"embedding":{vector}}}"#),
            );
        }
        out.extend_from_slice(br#"],"model":"#);
        quote(&mut out, self.model);
        let prompt = self.usage.0;
        write_to(
            &mut out,
            format_args!(r#","usage":{{"prompt_tokens":{prompt},"total_tokens":{prompt}}}}}"#),
        );
        out
    }

    fn head(&self, out: &mut Vec<u8>, object: &str) {
        out.extend_from_slice(br#"{"id":"#);
        quote(out, &self.id);
        out.extend_from_slice(br#","object":""#);
        out.extend_from_slice(object.as_bytes());
        write_to(out, format_args!(r#"","created":{CREATED},"model":"#));
        quote(out, self.model);
    }

    fn end_event(&self, out: &mut Vec<u8>) {
        if self.usage_asked {
            out.extend_from_slice(br#","usage":null"#);
        }
        out.push(b'}');
    }

    fn usage(&self, out: &mut Vec<u8>) {
        let (prompt, completion) = self.usage;
        let total = prompt.saturating_add(completion);
        write_to(
            out,
            format_args!(
                r#""usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}}}"#
            ),
        );
    }
}

fn quote(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string can be written to memory");
}

fn write_to(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory can be written to");
}

/// Encodes bytes as base64 (RFC 4648), with padding.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets = bytes.chunks(3).flat_map(|group| {
        let byte = |at: usize| group.get(at).copied().unwrap_or(0);
        let number = u32::from_be_bytes([0, byte(0), byte(1), byte(2)]);
        let sextet = |at: usize| match at <= group.len() {
            true => ALPHABET[(number >> (18 - 6 * at) & 63) as usize],
            false => b'=',
        };
        [0, 1, 2, 3].map(sextet)
    });
    sextets.map(char::from).collect()
}

//! What a provider's event says that matters here.

use memchr::memmem;
use serde::Deserialize;
use ziggurat_core::Usage;

/// The members of an event that are read.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    r#type: Option<&'a str>,
    #[serde(default)]
    response: Option<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    usage: Option<Counts>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: u64,
    output_tokens: u64,
    input_token_details: Option<Details>,
    output_token_details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: u64,
    audio_tokens: u64,
    image_tokens: u64,
}

/// Whether an event is an error.
pub(super) fn is_error(event: &[u8]) -> bool {
    let event = serde_json::from_slice::<Event<'_>>(event);
    event.is_ok_and(|event| event.r#type == Some("error"))
}

/// What one response of the model used, if the event tells its end.
pub(super) fn usage(event: &[u8]) -> Option<Usage> {
    // Most events hold sound and are long: only those that may tell it are read.
    memmem::find(event, b"response.done")?;
    let event: Event<'_> = serde_json::from_slice(event).ok()?;
    if event.r#type != Some("response.done") {
        return None;
    }
    let counts = event.response?.usage?;
    let input = counts.input_token_details.unwrap_or_default();
    let output = counts.output_token_details.unwrap_or_default();
    Some(Usage {
        cached_input: input.cached_tokens,
        audio_input: input.audio_tokens,
        image_input: input.image_tokens,
        audio_output: output.audio_tokens,
        ..Usage::new(counts.input_tokens, counts.output_tokens)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_response_tells_what_it_used() {
        let done = r#"{"type":"response.done","response":{"id":"r","usage":{"total_tokens":30,
            "input_tokens":20,"output_tokens":10,"input_token_details":{"cached_tokens":8,
            "audio_tokens":5},"output_token_details":{"audio_tokens":9}}}}"#;
        let expected = Usage {
            cached_input: 8,
            audio_input: 5,
            audio_output: 9,
            ..Usage::new(20, 10)
        };
        assert_eq!(usage(done.as_bytes()), Some(expected));
        for other in [
            r#"{"type":"response.output_text.delta","delta":"response.done"}"#,
            r#"{"type":"response.done","response":{"status":"cancelled"}}"#,
            r#"{"type":"response.done","response":{"usage":null}}"#,
            r#"{"type":"response.done""#,
            "\u{0}",
        ] {
            assert_eq!(usage(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn an_error_is_known_by_its_type() {
        assert!(is_error(br#"{"type":"error","error":{"code":"x"}}"#));
        assert!(!is_error(br#"{"type":"session.created","error":null}"#));
        assert!(!is_error(b"error"));
    }
}

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    DefaultField, Error, ErrorKind, FallbackTarget, LlmRequest, Operation, ReadOptions, Redirect,
};

const TYPE: &str = "multipart/form-data; boundary=XX";
const AUDIO: (&str, &str) = ("file\"; filename=\"a.wav", "RIFF\0\r\n--X\r\n\u{7f}");

/// A form of these fields; a name may bring more parameters along.
fn form(fields: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    fields.iter().map(part).collect::<String>() + "--XX--\r\n"
}

fn read(operation: Operation, fields: &[(&str, &str)]) -> Result<LlmRequest, Error> {
    LlmRequest::read_multipart(operation, form(fields), TYPE, ReadOptions::new())
}

fn transcription(fields: &[(&str, &str)]) -> LlmRequest {
    let all: Vec<_> = [("model", "whisper")]
        .iter()
        .chain(fields)
        .copied()
        .collect();
    read(Operation::Transcription, &all).expect("is valid")
}

fn sent(request: &LlmRequest) -> String {
    let body = request.upstream_body("whisper-1", false);
    String::from_utf8(body.to_vec()).expect("is text")
}

#[test]
fn the_routers_fields_are_read_and_cut_and_everything_else_stays_as_it_was_sent() {
    let request = transcription(&[
        ("num_retries", "2"),
        AUDIO,
        ("timeout", "1.5"),
        ("disable_fallbacks", "True"),
        ("language", "de"),
        ("fallbacks", r#"["b", {"model": "c"}]"#),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("tags[]", "x"),
        ("user", "u"),
        ("tags[]", "y"),
        ("litellm_session_id", "s\"1"),
        ("cache", "{\"no-cache\":true}"),
        ("stream", "true"),
        ("n", "2"),
        ("priority", "-3"),
    ]);
    let controls = request.controls();
    assert_eq!(controls.num_retries, Some(2));
    assert_eq!(controls.timeout, Some(Duration::from_millis(1500)));
    assert!(controls.disable_fallbacks);
    assert_eq!(controls.fallbacks.as_ref().map(|it| it.len()), Some(2));
    assert_eq!(controls.priority, Some(-3));
    assert_eq!(request.tags(), [Arc::from("x"), Arc::from("y")]);
    assert_eq!(
        (request.user(), request.session()),
        (Some("u"), Some("s\"1"))
    );
    assert_eq!((request.is_stream(), request.choices()), (true, 2));
    assert_eq!(request.group().as_str(), "whisper");
    let expected = form(&[
        ("model", "whisper-1"),
        AUDIO,
        ("language", "de"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("user", "u"),
        ("stream", "true"),
        ("n", "2"),
    ]);
    assert_eq!(sent(&request), expected);
    assert_eq!(request.content_type(), TYPE);
}

#[test]
fn what_a_client_nests_into_metadata_is_read_and_cut() {
    for (fields, kept) in [
        (
            &[("metadata", r#"{"tags":["x"],"session_id":"s"}"#)][..],
            &[][..],
        ),
        (
            &[("metadata", r#"{"tags":["x"],"session_id":"s","mine":1}"#)],
            &[("metadata", r#"{"mine":1}"#)],
        ),
        (
            &[(
                "litellm_metadata",
                r#"{"tags":["x"],"session_id":"s","z":1}"#,
            )],
            &[],
        ),
        (
            &[
                ("metadata[tags][]", "x"),
                ("metadata[session_id]", "s"),
                ("metadata[mine]", "1"),
                ("litellm_metadata[z]", "1"),
                ("metadata", "just text"),
            ],
            &[("metadata[mine]", "1"), ("metadata", "just text")],
        ),
    ] {
        let request = transcription(fields);
        assert_eq!(request.tags(), [Arc::from("x")], "{fields:?}");
        assert_eq!(request.session(), Some("s"), "{fields:?}");
        let all: Vec<_> = [("model", "whisper-1")]
            .iter()
            .chain(kept)
            .copied()
            .collect();
        assert_eq!(sent(&request), form(&all), "{fields:?}");
    }
}

#[test]
fn a_body_in_which_nothing_changes_is_not_copied() {
    let request = transcription(&[AUDIO]);
    let body = request.upstream_body("whisper", false);
    assert_eq!(body.as_ptr(), request.body().as_ptr());
    let parts = request.upstream_parts("whisper-1", false, &[]);
    let within = request.body().as_ptr_range();
    let copied: usize = parts
        .iter()
        .filter(|part| !within.contains(&part.as_ptr()))
        .map(|part| part.len())
        .sum();
    assert_eq!(copied, "whisper-1".len());
}

#[test]
fn fields_of_the_deployment_are_added_as_parts() {
    let defaults: Vec<_> = [
        ("temperature", json!(0.2)),
        ("response_format", json!("text")),
        ("user", json!("x")),
    ]
    .iter()
    .filter_map(|(name, value)| DefaultField::new(name, value))
    .collect();
    let request = transcription(&[("user", "u"), AUDIO]);
    let body = request.upstream_parts("m", false, &defaults).concat();
    let expected = form(&[
        ("model", "m"),
        ("user", "u"),
        AUDIO,
        ("temperature", "0.2"),
        ("response_format", "text"),
    ]);
    assert_eq!(String::from_utf8_lossy(&body), expected);
}

#[test]
fn a_fallback_may_change_fields_of_a_form() {
    let target =
        json!({"model": "b", "language": "en", "temperature": 0, "prompt": null, "timeout": 3});
    let target = FallbackTarget::from_json(target, ReadOptions::new()).expect("is a target");
    let request = transcription(&[
        ("language", "de"),
        ("prompt", "hm"),
        AUDIO,
        ("timeout", "9"),
        ("tags[]", "x"),
    ]);
    let overrides = target.overrides().expect("has some");
    let other = request.with_overrides(overrides).expect("applies");
    let expected = [
        ("model", "whisper-1"),
        AUDIO,
        ("language", "en"),
        ("temperature", "0"),
    ];
    assert_eq!(sent(&other), form(&expected));
    assert_eq!(other.controls().timeout, Some(Duration::from_secs(3)));
    assert_eq!(other.tags(), [Arc::from("x")]);
}

#[test]
fn a_value_in_a_fallback_cannot_bring_another_part_along() {
    let smuggled = "x\r\n--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ndear";
    for target in [
        json!({"model": "b", "language": smuggled}),
        json!({"model": "b", "x\"\r\n\r\n": "y"}),
    ] {
        let target = FallbackTarget::from_json(target, ReadOptions::new()).expect("is a target");
        let overrides = target.overrides().expect("has some");
        let error = transcription(&[AUDIO])
            .with_overrides(overrides)
            .expect_err("is refused");
        assert_eq!(error.kind(), ErrorKind::BadRequest);
    }
}

#[test]
fn bad_forms_are_refused_with_what_and_where() {
    let long = "x".repeat(128 * 1024 + 1);
    for (fields, param, words) in [
        (&[AUDIO][..], Some("model"), "no `model`"),
        (&[("model", "")], Some("model"), "the name of a model"),
        (
            &[("model", "a"), ("model", "b")],
            Some("model"),
            "given once",
        ),
        (
            &[("model", "a"), ("model\"; filename=\"b", "b")],
            Some("model"),
            "no file",
        ),
        (
            &[("model", "a"), ("stream", "yes")],
            Some("stream"),
            "not valid JSON: expected a value at byte 0",
        ),
        (
            &[("model", "a"), ("stream", "1")],
            Some("stream"),
            "true or false",
        ),
        (
            &[("model", "a"), ("n", "-1")],
            Some("n"),
            "a whole number from 0",
        ),
        (
            &[("model", "a"), ("n", "1 x")],
            Some("n"),
            "expected the end",
        ),
        (
            &[("model", "a"), ("num_retries", "1000")],
            Some("num_retries"),
            "from 0 to 100",
        ),
        (
            &[("model", "a"), ("timeout", "0")],
            Some("timeout"),
            "seconds over 0",
        ),
        (
            &[("model", "a"), ("fallbacks", "b")],
            Some("fallbacks"),
            "not valid JSON",
        ),
        (
            &[("model", "a"), ("fallbacks[][model]", "b")],
            Some("fallbacks"),
            "or JSON text",
        ),
        (
            &[("model", "a"), ("api_base", "http://evil")],
            Some("api_base"),
            "cannot be chosen",
        ),
        (
            &[("model", "a"), ("prompt", &long)],
            Some("prompt"),
            "at most 128 KiB",
        ),
    ] {
        let error = read(Operation::Transcription, fields).expect_err(words);
        assert_eq!(
            (error.status().as_u16(), error.param()),
            (400, param),
            "{words}"
        );
        assert!(
            error.message().contains(words),
            "{words}: {}",
            error.message()
        );
    }
    let error = read(Operation::Moderation, &[("input", "x")]).expect_err("names no model");
    assert_eq!(error.param(), Some("model"));
    let mut body = form(&[("model", "a"), ("language", "@")]).into_bytes();
    *body
        .iter_mut()
        .find(|byte| **byte == b'@')
        .expect("is there") = 0xff;
    let error =
        LlmRequest::read_multipart(Operation::Transcription, body, TYPE, ReadOptions::new());
    assert_eq!(error.expect_err("is refused").param(), Some("language"));
    let error =
        LlmRequest::read_multipart(Operation::Transcription, "{}", TYPE, ReadOptions::new());
    let error = error.expect_err("is refused");
    assert_eq!(
        (error.code(), error.message()),
        (
            "invalid_form",
            "the body is not a valid form: expected a boundary at byte 0"
        )
    );
}

#[test]
fn secrets_of_a_client_are_read_if_they_are_allowed_and_never_sent_on() {
    let body = form(&[
        ("model", "whisper"),
        ("api_key", "sk-canary"),
        ("api_base", "https://x"),
    ]);
    let options = ReadOptions::new().client_credentials(true);
    let request = LlmRequest::read_multipart(Operation::Transcription, body, TYPE, options);
    let request = request.expect("is valid");
    let client = request.controls().client.as_ref().expect("brings some");
    assert!(
        client
            .api_key
            .as_ref()
            .is_some_and(|key| key.matches(b"sk-canary"))
    );
    assert_eq!(sent(&request), form(&[("model", "whisper-1")]));
}

#[test]
fn only_what_can_be_streamed_is() {
    for (operation, expected) in [
        (Operation::Transcription, true),
        (Operation::ImageEdit, true),
        (Operation::Translation, false),
        (Operation::ImageVariation, false),
    ] {
        let request = read(operation, &[("model", "m"), ("stream", "true")]).expect("is valid");
        assert_eq!(request.is_stream(), expected, "{operation}");
    }
    for (body, expected) in [
        (r#"{"model":"m","stream_format":"sse"}"#, true),
        (r#"{"model":"m","stream_format":"audio"}"#, false),
        (r#"{"model":"m","stream":true}"#, false),
    ] {
        let request = LlmRequest::from_bytes(Operation::Speech, body).expect("is valid");
        assert_eq!(request.is_stream(), expected, "{body}");
    }
}

use std::str;

use ziggurat_core::{LlmRequest, Operation, ReadOptions};

use super::{input::Input, subject::assert_is_bounded};

const OPERATIONS: [Operation; 4] = [
    Operation::Transcription,
    Operation::Translation,
    Operation::ImageEdit,
    Operation::ImageVariation,
];

/// The reader of forms: one that it takes is sent as one that it takes as well, for the
/// deployment's model and with nothing in it that was meant for the router.
///
/// The first line chooses the operation and what a client may send, the second is the content type,
/// the rest is the body, in which each LF that follows no CR counts as CR LF.
pub fn multipart(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let operation = input.one_of(&OPERATIONS);
    let options = ReadOptions::new().client_credentials(input.flag());
    let Ok(content_type) = str::from_utf8(input.line()) else {
        return;
    };
    let body = with_line_ends(input.rest());
    let read = |body: Vec<u8>, content_type: &str| {
        LlmRequest::read_multipart(operation, body, content_type, options)
    };
    let request = match read(body.clone(), content_type) {
        Ok(request) => request,
        Err(error) => return assert_is_bounded(&error),
    };
    assert!(request.body().len() <= body.len());
    let sent = request.upstream_body("provider-model", false);
    let kind = request.content_type().to_str().expect("is plain");
    let again = read(sent.to_vec(), kind).expect("what is sent can be read");
    assert_eq!(again.model(), "provider-model");
    assert_eq!(again.is_stream(), request.is_stream());
    assert_eq!(again.choices(), request.choices());
    assert_eq!(again.user(), request.user());
    assert_eq!(again.controls().num_retries, None);
    assert_eq!(again.session(), None);
    assert_eq!(again.upstream_body("provider-model", false), sent);
}

/// So that seeds are texts.
fn with_line_ends(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 32);
    for (at, byte) in text.iter().enumerate() {
        if *byte == b'\n' && (at == 0 || text[at - 1] != b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

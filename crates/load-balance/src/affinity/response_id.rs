//! The id of an answer of the Responses API.

use memchr::memmem;

use super::signatures::{end_of_string, string_after_colon};

/// How much of the first events is looked at.
const LOOKED_AT: usize = 64 * 1024;

/// The id of an answer that is complete.
pub(super) fn of_body(body: &[u8]) -> Option<&[u8]> {
    member(body, b"id")
}

/// The id that events of a stream tell.
pub(super) fn of_events(events: &[u8]) -> Option<&[u8]> {
    let name = b"\"response\"";
    let events = &events[..events.len().min(LOOKED_AT)];
    memmem::find_iter(events, name).find_map(|at| {
        let rest = events[at + name.len()..].trim_ascii_start();
        let object = rest.strip_prefix(b":")?.trim_ascii_start();
        object.starts_with(b"{").then(|| member(object, b"id"))?
    })
}

/// The value of a member of a JSON object, if that is a string.
fn member<'a>(object: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (mut at, mut depth) = (0, 0_u32);
    while let Some(byte) = object.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let text = &object[at..];
                let end = end_of_string(text)?;
                at += end + 1;
                if depth == 1
                    && text[..end] == *name
                    && let Some(value) = string_after_colon(&object[at..])
                {
                    return Some(value);
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return None;
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_body_is_its_own_and_not_that_of_something_in_it() {
        let body = br#" {"output":[{"id":"msg_1"}],"note":"\"id\":\"x\"","id" : "resp_1"}"#;
        assert_eq!(of_body(body), Some(&b"resp_1"[..]));
        for body in [
            &br#"{"output":{"id":"msg_1"}}"#[..],
            br#"{"id":7}"#,
            br#"{"id":"cut"#,
            br#"}{"id":"x"}"#,
            b"id",
            b"",
        ] {
            assert_eq!(of_body(body), None);
        }
    }

    #[test]
    fn the_id_of_a_stream_is_in_its_first_event() {
        let event = b"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"object\":\"response\",\"id\":\"resp_2\"}}\n\n";
        assert_eq!(of_events(event), Some(&b"resp_2"[..]));
        let sorted = b"event: response.created\ndata: {\"response\":{\"created_at\":7,\"error\":null,\"id\":\"resp_3\",\"tools\":[{\"id\":\"x\"}]},\"sequence_number\":0}\n\n";
        assert_eq!(of_events(sorted), Some(&b"resp_3"[..]));
        let other =
            b"data: {\"type\":\"response.output_item.done\",\"item\":{\"id\":\"rs_1\"}}\n\n";
        assert_eq!(of_events(other), None);
    }
}

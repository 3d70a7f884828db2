//! Encrypted and signed content, as it stands in requests and answers.

use std::{borrow::Cow, sync::LazyLock};

use memchr::{memchr2, memmem::Finder};

/// The names of fields whose values only their maker can read, without what they begin with.
static NAMES: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| {
    [
        Finder::new("encrypted_content\""),
        Finder::new("signature\""),
        Finder::new("thoughtSignature\""),
    ]
});

/// Values shorter than this are no signatures.
const SHORTEST: usize = 16;

/// Calls `each` for every value of `encrypted_content`, `signature`, `thought_signature` or
/// `thoughtSignature` in a text that holds JSON, in the order of the text for each name: without escapes, so that it does not
/// matter how it was written.
pub(super) fn each(text: &[u8], mut each: impl FnMut(&[u8])) {
    for name in &*NAMES {
        let mut rest = text;
        while let Some(at) = name.find(rest) {
            rest = &rest[at + name.needle().len()..];
            let Some(value) = string_after_colon(rest) else {
                continue;
            };
            rest = &rest[rest.len().min(value.len())..];
            if value.len() >= SHORTEST {
                let value = unescaped(value);
                // Google's clients may send it back in the other letters of base64.
                match name.needle().starts_with(b"thought") {
                    true => each(&in_usual_letters(value)),
                    false => each(&value),
                }
            }
        }
    }
}

/// The inside of the string that follows a colon.
pub(super) fn string_after_colon(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start().strip_prefix(b":")?;
    let text = text.trim_ascii_start().strip_prefix(b"\"")?;
    Some(&text[..end_of_string(text)?])
}

/// Where a string ends, from its inside.
pub(super) fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Base64 in the letters that providers write.
fn in_usual_letters(mut value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if memchr2(b'-', b'_', &value).is_some() {
        for byte in value.to_mut() {
            *byte = match *byte {
                b'-' => b'+',
                b'_' => b'/',
                byte => byte,
            };
        }
    }
    value
}

/// A string without the escapes that signatures are written with; others are left as they are.
fn unescaped(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', value).is_none() {
        return value.into();
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'\\').then(|| escape(after)).flatten();
        let (byte, length) = escaped.unwrap_or((byte, 0));
        out.push(byte);
        rest = &after[length..];
    }
    out.into()
}

/// What an escape stands for, if that is a letter of ASCII, and how long it is.
fn escape(after: &[u8]) -> Option<(u8, usize)> {
    match after.first()? {
        byte @ (b'/' | b'\\' | b'"') => Some((*byte, 1)),
        b'u' => {
            let digits = std::str::from_utf8(after.get(1..5)?).ok()?;
            let byte = u8::from_str_radix(digits, 16).ok()?;
            byte.is_ascii().then_some((byte, 5))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        each(text.as_bytes(), |value| {
            found.push(String::from_utf8_lossy(value).into_owned());
        });
        found
    }

    #[test]
    fn values_are_found_by_the_names_of_their_fields() {
        let text = r#"{"type":"thinking","signature":"EqQBCgIYAhIM+abc/def=="},
            {"extra":{"thought_signature" : "CiQBjz1rXabcdefg"}},
            {"encrypted_content":"gAAAAABo0123456789"},{"signature":""},{"signature":7},
            {"a":"signature"},{"signature":{"x":1}},{"text":"","thoughtSignature": "CiQCjz1rXabcdefg"}"#;
        assert_eq!(
            found(text),
            [
                "gAAAAABo0123456789",
                "EqQBCgIYAhIM+abc/def==",
                "CiQBjz1rXabcdefg",
                "CiQCjz1rXabcdefg"
            ]
        );
    }

    #[test]
    fn however_it_is_written_a_value_is_the_same() {
        let plain = found(r#"{"signature":"EqQBCgIYAhIM+abc/def=="}"#);
        let escaped = found(r#"{"signature":"EqQBCgIYAhIM\u002babc\/def\u003d\u003D"}"#);
        assert_eq!(plain, escaped);
    }

    #[test]
    fn a_signature_of_google_s_is_the_same_in_either_letters() {
        let plain = found(r#"{"thoughtSignature":"CiQBjz+Xabc/efg="}"#);
        assert_eq!(plain, ["CiQBjz+Xabc/efg="]);
        assert_eq!(found(r#"{"thoughtSignature":"CiQBjz-Xabc_efg="}"#), plain);
        assert_eq!(
            found(r#"{"signature":"CiQBjz-Xabc_efg="}"#),
            ["CiQBjz-Xabc_efg="]
        );
    }

    #[test]
    fn what_is_cut_off_is_no_value() {
        for text in [
            r#""signature":"abcdefghijklmnopqrst"#,
            r#""signature":"abcdefghijklmnopqrst\"#,
            r#""signature":"abcdefghijklmnopqrst\""#,
            r#""signature""#,
            r#""signature":"#,
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_a_json_reader_finds(value in "[ -~]{16,40}", before in "[ -~]{0,20}") {
            // Printable ASCII is written in JSON as in Rust.
            let found = found(&format!(r#"{{"x":{before:?},"signature":{value:?}}}"#));
            prop_assert_eq!(found.last().map(|it| &**it), Some(&*value));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut text = b"\"signature\":\"".to_vec();
            text.extend(bytes);
            each(&text, |_| {});
        }
    }
}

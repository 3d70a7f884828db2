//! What a prompt holds, told by the names that providers give the members of its blocks.

/// What a value holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Bytes inside strings, without those of images, audio and files.
    pub(crate) text: usize,
    /// An `image_url` or `input_image` member was seen, or an `image` with a `source`, or Google's
    /// `inlineData` or `fileData` of that type.
    pub(crate) images: bool,
    /// An `input_audio` member was seen, or Google's data of that type.
    pub(crate) audio: bool,
    /// A `file`, `file_data` or `file_url` member was seen, or a `document` with a
    /// `source`, or Google's data of the type of a PDF.
    pub(crate) files: bool,
    /// A `video_url` member was seen, or Google's data of that type.
    pub(crate) videos: bool,
    /// A member was seen that only the account which made it can read: encrypted reasoning, or the
    /// signature of a thought.
    pub(crate) signed: bool,
}

impl Tally {
    /// Counts a string, without its quotes.
    #[inline]
    pub(crate) fn string(&mut self, text: &[u8]) {
        if !text.starts_with(b"data:") {
            self.text += text.len();
        }
    }

    /// Counts the name of a member, with its quotes.
    #[inline]
    pub(crate) fn key(&mut self, key: &[u8]) {
        match key {
            b"\"image_url\"" | b"\"input_image\"" => self.images = true,
            b"\"input_audio\"" => self.audio = true,
            b"\"file\"" | b"\"file_url\"" => self.files = true,
            b"\"video_url\"" => self.videos = true,
            b"\"encrypted_content\""
            | b"\"signature\""
            | b"\"thought_signature\""
            | b"\"thoughtSignature\"" => self.signed = true,
            _ => {}
        }
    }

    /// Counts Google's data by its type; its bytes are no text.
    fn medium(&mut self, medium: Medium<'_>) {
        self.text -= medium.data;
        match medium
            .mime
            .split(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
        {
            b"\"image" => self.images = true,
            b"\"audio" => self.audio = true,
            b"\"video" => self.videos = true,
            _ => self.files |= medium.mime == b"\"application/pdf\"",
        }
    }
}

/// What an object says of its data.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Medium<'a> {
    mime: &'a [u8],
    /// How many bytes of it were counted as text.
    data: usize,
}

/// An object that is being read. It says what it is in one member, and has its bytes in another.
#[derive(Debug, Default)]
pub(crate) struct Block<'a> {
    kind: &'a [u8],
    has_source: bool,
    medium: Medium<'a>,
}

impl<'a> Block<'a> {
    /// A member was read. There was so much text before its value, of which the last object was this
    /// medium.
    #[inline]
    pub(crate) fn member(
        &mut self,
        key: &[u8],
        value: &'a [u8],
        before: usize,
        last: &mut Medium<'a>,
        tally: &mut Tally,
    ) {
        match key {
            b"\"type\"" => self.kind = value,
            b"\"source\"" => self.has_source = true,
            b"\"data\"" => self.medium.data = tally.text - before,
            b"\"mimeType\"" | b"\"mime_type\"" => self.medium.mime = value,
            // The same name for a text of OpenAI's and an object of Google's.
            b"\"file_data\"" if value.starts_with(b"\"") => tally.files = true,
            b"\"inlineData\"" | b"\"inline_data\"" | b"\"fileData\"" | b"\"file_data\"" => {
                tally.medium(std::mem::take(last));
            }
            _ => {}
        }
    }

    /// The object has ended, and is the last one now.
    #[inline]
    pub(crate) fn end(self, last: &mut Medium<'a>, tally: &mut Tally) {
        match self.kind {
            b"\"image\"" => tally.images |= self.has_source,
            b"\"document\"" => tally.files |= self.has_source,
            b"\"base64\"" => {
                tally.text -= self.medium.data;
                *last = Medium::default();
            }
            _ => *last = self.medium,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scan::Scanner;

    #[test]
    fn data_urls_count_as_no_text() {
        let body =
            r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},"hello"]"#;
        let tally = Scanner::new(body).tally().expect("is valid");
        assert_eq!(
            tally,
            Tally {
                text: "image_url".len() + "hello".len(),
                images: true,
                audio: false,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn blocks_with_a_source_are_told_by_their_type() {
        let body = r#"[{"type":"image","source":{"type":"base64","data":"AAAA"}},
            {"type":"document","source":{"type":"text","data":"hello"}}]"#;
        let tally = Scanner::new(body).tally().expect("is valid");
        assert_eq!(
            tally,
            Tally {
                text: "image".len()
                    + "base64".len()
                    + "document".len()
                    + "text".len()
                    + "hello".len(),
                images: true,
                files: true,
                ..Tally::default()
            }
        );
    }

    #[test]
    fn what_was_taken_from_the_text_is_not_taken_again() {
        let body =
            r#"{"inlineData":{"type":"base64","data":{"type":"base64","z":{"data":"AAAAAAAA"}}}}"#;
        let tally = Scanner::new(body).tally().expect("is valid");
        assert_eq!(tally.text, "base64".len());
    }

    /// Nested blocks and data, with members in any order, some of them twice, and how many bytes of
    /// text are in no `data`.
    fn any_media() -> impl Strategy<Value = (String, usize)> {
        fn all(parts: &[(String, usize)], open: char, close: char) -> (String, usize) {
            let texts: Vec<_> = parts.iter().map(|(text, _)| text.as_str()).collect();
            let outside = parts.iter().map(|(_, outside)| outside).sum();
            (format!("{open}{}{close}", texts.join(",")), outside)
        }
        let leaf = "A{1,8}".prop_map(|text| (format!("\"{text}\""), text.len()));
        leaf.prop_recursive(6, 256, 4, |inner| {
            let kind = "(base64|image)";
            let member = prop_oneof![
                1 => kind.prop_map(|kind| (format!("\"type\":\"{kind}\""), kind.len())),
                2 => ("(data|inlineData)", inner.clone()).prop_map(|(key, (value, outside))| {
                    let outside = if key == "data" { 0 } else { outside };
                    (format!("\"{key}\":{value}"), outside)
                }),
            ];
            prop_oneof![
                1 => prop::collection::vec(inner, 0..4).prop_map(|items| all(&items, '[', ']')),
                8 => prop::collection::vec(member, 1..4).prop_map(|them| all(&them, '{', '}')),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn only_data_is_taken_from_the_text((body, outside) in any_media()) {
            let tally = Scanner::new(&body).tally().expect("is valid");
            prop_assert!((outside..=body.len()).contains(&tally.text), "{} of {}", tally.text, body);
        }
    }
}

//! What the user said last.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// How many bytes of text are looked at.
const MOST_BYTES: usize = 16 * 1024;

/// How many pieces of text are looked at.
const MOST_PIECES: usize = 64;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    /// Google's name for it is the other one.
    #[serde(borrow, default, alias = "parts")]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of the last message of the user, in pieces; of a prompt that is no list of messages, its
/// last text. Without escapes nothing is copied.
///
/// `prompt` is the value of `messages`, `input` or `prompt` as it stands in the body.
pub(super) fn said_last(prompt: &str) -> Vec<Cow<'_, str>> {
    let mut said = None;
    if prompt.starts_with('[') {
        each(prompt, |item| {
            if item.starts_with('"') {
                said = Some(item);
            } else if let Ok(message) = serde_json::from_str::<Message<'_>>(item)
                && message.role.as_deref() == Some("user")
            {
                said = message.content.map(RawValue::get);
            }
        });
    } else {
        said = Some(prompt);
    }
    said.map_or_else(Vec::new, pieces)
}

/// The pieces of text of a message's content: a string, or a list of parts.
fn pieces<'a>(content: &'a str) -> Vec<Cow<'a, str>> {
    let mut pieces = Vec::new();
    let mut left = MOST_BYTES;
    let mut add = |text: Cow<'a, str>| {
        if left > 0 && pieces.len() < MOST_PIECES {
            let text = cut(text, left);
            left -= text.len();
            pieces.push(text);
        }
    };
    if content.starts_with('[') {
        each(content, |part| {
            if let Ok(Piece { text: Some(text) }) = serde_json::from_str(part) {
                add(text);
            }
        });
    } else if let Ok(Text(text)) = serde_json::from_str(content) {
        add(text);
    }
    pieces
}

/// The beginning of a text, of whole characters.
fn cut(text: Cow<'_, str>, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text;
    }
    let most = text.floor_char_boundary(most);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..most]),
        Cow::Owned(mut text) => {
            text.truncate(most);
            Cow::Owned(text)
        }
    }
}

/// Calls `f` with the text of each item of a JSON array, and keeps none.
fn each<'a>(array: &'a str, f: impl FnMut(&'a str)) {
    // What is no JSON ends the walk; a body that came this far has been read before.
    let _ = Each(f).deserialize(&mut serde_json::Deserializer::from_str(array));
}

struct Each<F>(F);

impl<'de, F: FnMut(&'de str)> DeserializeSeed<'de> for Each<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            (self.0)(item.get());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_last_message_of_the_user() {
        for (prompt, expected) in [
            (
                r#"[{"role":"user","content":"one"},{"role":"assistant","content":"two"}]"#,
                &["one"][..],
            ),
            (
                r#"[{"role":"user","content":"one"},{"content":"a\nb","role":"user"},{"role":"tool","content":"c"}]"#,
                &["a\nb"],
            ),
            (
                r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}},{"text":"b"}]}]"#,
                &["a", "b"],
            ),
            (
                r#"[{"role":"user","parts":[{"text":"a"},{"inlineData":{}}]},{"role":"model","parts":[{"text":"b"}]}]"#,
                &["a"],
            ),
            (r#""a prompt""#, &["a prompt"]),
            (r#"["one","two"]"#, &["two"]),
            ("[1,2,3]", &[]),
            (r#"[{"role":"system","content":"x"}]"#, &[]),
            (r#"[{"role":7,"content":"x"},{"role":"user"}]"#, &[]),
            (r#"[{"role":"user","content":null}]"#, &[]),
            (r#"[{"role":"user","content":"#, &[]),
            ("", &[]),
        ] {
            assert_eq!(said_last(prompt), expected, "{prompt}");
        }
    }

    #[test]
    fn only_the_beginning_of_a_long_message_is_looked_at() {
        let long = format!("{}é", "a".repeat(MOST_BYTES - 1));
        let part = |text: &str| serde_json::json!({"text": text});
        for content in [
            serde_json::json!(long),
            serde_json::json!([part(&long), part("more"), part("still more")]),
            serde_json::json!(vec![part(&long); 100]),
            serde_json::json!(vec![part("a"); 1_000]),
        ] {
            let prompt = serde_json::json!([{"role": "user", "content": content}]).to_string();
            let said = said_last(&prompt);
            let bytes: usize = said.iter().map(|text| text.len()).sum();
            assert!(
                bytes <= MOST_BYTES && said.len() <= MOST_PIECES,
                "{bytes}, {}",
                said.len()
            );
            assert!(!said.is_empty());
        }
    }
}

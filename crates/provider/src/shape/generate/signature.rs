//! Thoughts that another provider signed, inside signatures of Google's shape.
//!
//! A client sends a `thoughtSignature` back as it came, and looks at nothing in it. So it carries what
//! the provider that thought must be sent again: the blocks, as Anthropic writes them.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

use super::{object, parts::standard};
use crate::dialect::google::UNSIGNED;

/// What ours begin with, and how that reads in base64, in either set of letters.
const MARK: &[u8] = b"ziggurat:";
const MARK_TEXT: &str = "emlnZ3VyYXQ6";

/// A signature that carries these blocks.
pub(super) fn write(blocks: Vec<Value>) -> String {
    let blocks = Value::Array(blocks).to_string();
    BASE64_STANDARD.encode([MARK, blocks.as_bytes()].concat())
}

/// The blocks that a signature of ours carries; `None` if it is not ours.
pub(super) fn read(signature: &str) -> Option<Vec<Value>> {
    if !signature.starts_with(MARK_TEXT) {
        return None;
    }
    let bytes = BASE64_STANDARD
        .decode(standard(signature.to_owned()))
        .ok()?;
    let blocks: Vec<Value> = serde_json::from_slice(bytes.strip_prefix(MARK)?).ok()?;
    blocks.iter().all(Value::is_object).then_some(blocks)
}

/// Whether it says that there is none.
pub(super) fn is_none(signature: &str) -> bool {
    signature.is_empty() || signature.replace('/', "_") == UNSIGNED
}

/// The body as Google takes it: without the signatures that are not its own, and with a word in the
/// place of one where it `demands` to have back what it signed, but another model made the call. A
/// body without either stays as it is.
pub(crate) fn for_google(body: Bytes, demands: bool) -> Bytes {
    let has = |text: &str| memmem::find(&body, text.as_bytes()).is_some();
    let has_calls = || has("\"functionCall\"") || has("\"function_call\"");
    if !(has(MARK_TEXT) || demands && has_calls()) {
        return body;
    }
    let Ok(mut request) = serde_json::from_slice::<Value>(&body) else {
        return body;
    };
    let Some(contents) = request.get_mut("contents") else {
        return body;
    };
    let contents = match contents {
        Value::Array(list) => list.iter_mut().collect(),
        one => vec![one],
    };
    let mut changed = false;
    // Several in a row, as they are kept of a stream, are one answer.
    let mut answer = Vec::new();
    for content in contents {
        if content["role"] == "model" {
            let parts = content.get_mut("parts").and_then(Value::as_array_mut);
            let Some(parts) = parts else { continue };
            let before = parts.len();
            parts.retain_mut(|part| is_kept(part, &mut changed));
            changed |= parts.len() < before;
            answer.extend(parts.iter_mut().filter_map(Call::of));
        } else {
            changed |= demands && sign(&mut answer);
            answer.clear();
        }
    }
    changed |= demands && sign(&mut answer);
    match changed {
        true => request.to_string().into(),
        false => body,
    }
}

const NAMES: [&str; 2] = ["thoughtSignature", "thought_signature"];

/// Takes our signature out of a part; whether there is anything left of it.
fn is_kept(part: &mut Value, changed: &mut bool) -> bool {
    let Value::Object(members) = part else {
        return true;
    };
    for name in NAMES {
        let signature = members.get(name).and_then(Value::as_str);
        if signature.is_some_and(|signature| signature.starts_with(MARK_TEXT)) {
            members.remove(name);
            *changed = true;
            let is_empty = members.get("text").is_some_and(|text| *text == "");
            return !is_empty && !members.is_empty();
        }
    }
    true
}

/// A call in an answer.
struct Call<'a> {
    part: &'a mut Value,
    is_signed: bool,
}

impl<'a> Call<'a> {
    fn of(part: &'a mut Value) -> Option<Self> {
        let has = |name: &str| part.get(name).is_some_and(|value| !value.is_null());
        let is_call = ["functionCall", "function_call"].into_iter().any(has);
        let is_signed = NAMES.into_iter().any(has);
        is_call.then_some(Self { part, is_signed })
    }
}

/// Marks the first call of an answer in which none is signed.
fn sign(calls: &mut [Call<'_>]) -> bool {
    if calls.iter().any(|call| call.is_signed) {
        return false;
    }
    let Some(first) = calls.first_mut() else {
        return false;
    };
    first.part[NAMES[0]] = UNSIGNED.into();
    true
}

/// A block of words that nobody signed.
pub(super) fn unsigned(words: String) -> Value {
    object([
        ("type", "thinking".into()),
        ("thinking", words.into()),
        ("signature", "".into()),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn blocks() -> Vec<Value> {
        vec![
            json!({"type": "thinking", "thinking": "hm?>~", "signature": "Eq+/=="}),
            json!({"type": "redacted_thinking", "data": "d"}),
        ]
    }

    #[test]
    fn blocks_come_back_in_either_set_of_letters() {
        let written = write(blocks());
        assert!(written.starts_with(MARK_TEXT));
        assert_eq!(read(&written), Some(blocks()));
        let other = written.replace('+', "-").replace('/', "_");
        let other = other.trim_end_matches('=');
        assert_ne!(other, written);
        assert_eq!(read(other), Some(blocks()));
        for odd in [
            "",
            "CiQB",
            MARK_TEXT,
            "emlnZ3VyYXQ6W10",
            "emlnZ3VyYXQ6Wzdd",
            "emlnZ3VyYXQ6ä",
        ] {
            let expected = (odd == "emlnZ3VyYXQ6W10").then(Vec::new);
            assert_eq!(read(odd), expected, "{odd}");
        }
    }

    fn cleaned(body: &Value, demands: bool) -> Value {
        let cleaned = for_google(body.to_string().into(), demands);
        serde_json::from_slice(&cleaned).expect("is JSON")
    }

    #[test]
    fn google_gets_no_signature_of_ours() {
        let ours = write(blocks());
        let call = json!({"functionCall": {"name": "f"}});
        let mut signed = call.clone();
        signed["thoughtSignature"] = ours.as_str().into();
        let body = json!({"contents": [
            {"role": "user", "parts": [{"text": "a"}]},
            {"role": "model", "parts": [{"text": "b", "thought_signature": ours}, {"text": "", "thoughtSignature": ours}, signed]},
        ]});
        let mut expected = json!({"contents": [
            {"role": "user", "parts": [{"text": "a"}]},
            {"role": "model", "parts": [{"text": "b"}, call]},
        ]});
        assert_eq!(cleaned(&body, false), expected);
        expected["contents"][1]["parts"][1]["thoughtSignature"] = UNSIGNED.into();
        assert_eq!(cleaned(&body, true), expected);
    }

    #[test]
    fn a_step_in_which_google_signed_is_left_as_it_is() {
        let call = |name: &str| json!({"functionCall": {"name": name}});
        let mut signed = call("f");
        signed["thought_signature"] = "CiQB".into();
        let turn = |parts: Value| json!({"role": "model", "parts": parts});
        let result = json!({"role": "user", "parts": [{"functionResponse": {"name": "f"}}]});
        let body = json!({"contents": [
            turn(json!([signed, call("g")])), result, turn(json!([signed])), turn(json!([call("g")])), result,
        ]});
        let bytes = Bytes::from(body.to_string());
        assert_eq!(for_google(bytes.clone(), true).as_ptr(), bytes.as_ptr());

        let body = json!({"contents": [
            turn(json!([signed])), result, turn(json!([{"text": "x"}, call("f"), call("g")])), result,
        ]});
        let mut expected = body.clone();
        expected["contents"][2]["parts"][1]["thoughtSignature"] = UNSIGNED.into();
        assert_eq!(cleaned(&body, true), expected);
        assert_eq!(cleaned(&body, false), body);
    }
}

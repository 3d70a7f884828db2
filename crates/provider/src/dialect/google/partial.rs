//! Calls whose arguments come piece by piece: with `streamFunctionCallArguments`.

use serde_json::{Map, Value};

use crate::chat::ToolCall;

/// How deep a path may lead.
const MAX_DEPTH: usize = 64;

/// A call that is not whole yet.
#[derive(Debug)]
pub(super) struct Partial {
    call: ToolCall,
    arguments: Value,
}

impl Partial {
    pub(super) fn new(call: ToolCall) -> Self {
        let arguments = Value::Object(Map::new());
        Self { call, arguments }
    }

    /// Takes what an event says of the arguments: all of them, or pieces with their places.
    pub(super) fn add(&mut self, call: &mut Value) {
        if let Some(arguments @ Value::Object(_)) = call.get_mut("args") {
            self.arguments = arguments.take();
        }
        let pieces = call["partialArgs"].as_array_mut();
        for piece in pieces.into_iter().flatten() {
            let path = piece["jsonPath"].as_str().unwrap_or_default().to_owned();
            let Some(place) = place(&mut self.arguments, &path) else {
                continue;
            };
            if let Some(text) = piece["stringValue"].as_str() {
                match place {
                    Value::String(said) => said.push_str(text),
                    place => *place = text.into(),
                }
                continue;
            }
            for name in ["numberValue", "boolValue"] {
                if let Some(value) = piece.get_mut(name) {
                    *place = value.take();
                }
            }
        }
    }

    pub(super) fn into_call(self) -> ToolCall {
        ToolCall {
            arguments: self.arguments.to_string(),
            ..self.call
        }
    }
}

/// The place that a path leads to (`$.a[0]['b']`), made on the way. `None` if it is no such path,
/// or leads through what is no object or list.
fn place<'a>(root: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut place = root;
    let mut rest = path.strip_prefix('$')?;
    for _ in 0..MAX_DEPTH {
        if rest.is_empty() {
            return Some(place);
        }
        let step;
        (step, rest) = next(rest)?;
        place = match step.parse::<usize>() {
            Ok(index) if !matches!(place, Value::Object(members) if !members.is_empty()) => {
                if !place.is_array() {
                    *place = Value::Array(Vec::new());
                }
                let list = place.as_array_mut()?;
                if index == list.len() {
                    list.push(Value::Null);
                }
                list.get_mut(index)?
            }
            _ => {
                if place.is_null() {
                    *place = Value::Object(Map::new());
                }
                place.as_object_mut()?.entry(step).or_insert(Value::Null)
            }
        };
    }
    None
}

/// The first step of a path, and what is behind it.
fn next(path: &str) -> Option<(&str, &str)> {
    if let Some(path) = path.strip_prefix('.') {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        return (end > 0).then(|| path.split_at(end));
    }
    let path = path.strip_prefix('[')?;
    let quote = path
        .chars()
        .next()
        .filter(|first| matches!(first, '\'' | '"'));
    let Some(quote) = quote else {
        return path.split_once(']');
    };
    let (step, rest) = path[1..].split_once(quote)?;
    Some((step, rest.strip_prefix(']')?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn told(pieces: &Value) -> Value {
        let mut partial = Partial::new(ToolCall::default());
        partial.add(&mut json!({ "partialArgs": pieces }));
        partial.arguments
    }

    #[test]
    fn pieces_come_together_at_their_places() {
        let pieces = json!([
            {"jsonPath": "$.name", "stringValue": "Ber", "willContinue": true},
            {"jsonPath": "$.name", "stringValue": "lin"},
            {"jsonPath": "$.at[0].x", "numberValue": 1.5},
            {"jsonPath": "$.at[1]['the y']", "boolValue": true},
            {"jsonPath": "$.none", "nullValue": "NULL_VALUE"},
        ]);
        let expected = json!({
            "name": "Berlin", "at": [{"x": 1.5}, {"the y": true}], "none": null,
        });
        assert_eq!(told(&pieces), expected);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_left_out() {
        for path in [
            "",
            "name",
            "$.",
            "$.a[9999999999]",
            "$.a[3]",
            "$[",
            "$['a",
            "$.a.b.c",
        ] {
            let pieces = json!([
                {"jsonPath": "$.a.b", "stringValue": "x"},
                {"jsonPath": path, "stringValue": "y"},
            ]);
            assert_eq!(told(&pieces)["a"]["b"], "x", "{path}");
        }
        let deep = format!("${}", ".a".repeat(200));
        told(&json!([{"jsonPath": deep, "stringValue": "y"}]));
    }

    proptest! {
        #[test]
        fn any_path_is_survived(paths in prop::collection::vec(r"\$?([.\[\]'a0-9]|\['a'\]|\[0\]|\.b){0,12}", 0..6)) {
            let pieces: Vec<_> = paths
                .iter()
                .map(|path| json!({"jsonPath": path, "stringValue": "x"}))
                .collect();
            told(&Value::from(pieces));
        }
    }
}

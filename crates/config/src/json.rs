//! Values that are handed on as they are.

use std::sync::Arc;

use serde_json::{Map, Number, Value as Json};

use crate::{
    problem::Report,
    read,
    yaml::{Key, MAX_DEPTH, Node, Pos, Scalar, Value, fits, too_many},
};

/// A value of a file as JSON, by the types that LiteLLM's reader of YAML gives it.
pub(crate) fn of(node: &Node, key: &str, report: &mut Report) -> Option<Json> {
    match &node.value {
        _ if node.is_null() => Some(Json::Null),
        Value::Unset(_) => read::wanted(node, key, "a value", report),
        Value::Scalar(scalar) if !scalar.plain => Some(Json::from(&*scalar.text)),
        Value::Scalar(scalar) => match plain(&scalar.text) {
            Some(value) => Some(value),
            None => read::wanted(node, key, "a value that JSON has", report),
        },
        Value::List(items) => {
            let items = items.iter().map(|item| of(item, key, report));
            items.collect::<Option<Vec<_>>>().map(Json::Array)
        }
        Value::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(name, node)| Some((String::from(&*name.text), of(node, key, report)?)));
            entries.collect::<Option<Map<_, _>>>().map(Json::Object)
        }
    }
}

/// A scalar without quotes. `None` for the numbers that JSON does not have.
fn plain(text: &str) -> Option<Json> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Some(Json::Bool(true));
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Some(Json::Bool(false));
        }
        _ => {}
    }
    let unsigned = text.trim_start_matches(['-', '+']);
    if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        if matches!(
            unsigned,
            ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN"
        ) {
            return None;
        }
        if !text.contains(['.', 'e', 'E'])
            && let Some(whole) = read::whole(text)
                .map(Json::from)
                .or_else(|| text.parse::<u64>().ok().map(Json::from))
        {
            return Some(whole);
        }
        if let Some(number) = read::number(text).and_then(Number::from_f64) {
            return Some(Json::Number(number));
        }
    }
    Some(Json::from(text))
}

/// A value that stands in no file, as the tree of one.
pub(crate) fn tree(value: &Json, report: &mut Report) -> Option<Node> {
    let node = node(value, MAX_DEPTH);
    match node {
        None => report.error(Pos::NOWHERE, format!("nested more than {MAX_DEPTH} deep")),
        Some(ref node) if !fits(node.size()) => report.error(Pos::NOWHERE, too_many()),
        Some(node) => return Some(node),
    }
    None
}

fn node(value: &Json, depth: usize) -> Option<Node> {
    let depth = depth.checked_sub(1)?;
    let scalar = |text: &str, plain| {
        Value::Scalar(Scalar {
            text: Arc::from(text),
            plain,
            variable: None,
        })
    };
    let value = match value {
        Json::Null => scalar("null", true),
        Json::Bool(flag) => scalar(if *flag { "true" } else { "false" }, true),
        Json::Number(number) => scalar(&number.to_string(), true),
        Json::String(text) => scalar(text, false),
        Json::Array(items) => {
            let items = items.iter().map(|item| node(item, depth));
            Value::List(items.collect::<Option<_>>()?)
        }
        Json::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| {
                let at = Pos::NOWHERE;
                let text = Arc::from(name.as_str());
                Some((Key { at, text }, node(value, depth)?))
            });
            Value::Map(entries.collect::<Option<_>>()?)
        }
    };
    let at = Pos::NOWHERE;
    Some(Node { at, value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml;

    fn read(text: &str) -> Option<Json> {
        let mut report = Report::new("test");
        let node = yaml::parse(text, &mut report)?;
        of(&node, "key", &mut report)
    }

    #[test]
    fn types_are_those_that_a_reader_of_yaml_gives() {
        let text =
            "{a: 1, b: 0.5, c: '1', d: [yes, FALSE, ~], e: 1_000, f: -2, g: 1e3, h: 1.2.3, i: 10k}";
        let value = json!({
            "a": 1, "b": 0.5, "c": "1", "d": [true, false, null], "e": 1000, "f": -2, "g": 1000.0,
            "h": "1.2.3", "i": "10k",
        });
        assert_eq!(read(text), Some(value));
        assert_eq!(read("[.inf]"), None);
    }

    #[test]
    fn a_value_comes_back_from_its_tree() {
        let value =
            json!({"a": [1, -0.5, "true", true, null, {"b": "c"}], "d": 18446744073709551615_u64});
        let mut report = Report::new("test");
        let node = tree(&value, &mut report).expect("is small");
        let back = of(&node, "key", &mut report).expect("is JSON");
        assert_eq!(back, value);
    }

    #[test]
    fn deep_values_are_refused() {
        let deep = (0..100).fold(Json::Null, |inner, _| json!([inner]));
        assert!(tree(&deep, &mut Report::new("test")).is_none());
    }
}

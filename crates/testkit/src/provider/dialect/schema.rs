//! Values that fit a schema.

use serde_json::{Map, Value, json};

/// How deep a value is.
const DEPTH: usize = 16;

/// The smallest value that fits a JSON schema, or one of Google's, as far as that is easily told: an
/// object of the required properties. Without a schema it is an empty object.
pub(super) fn fill(schema: &Value) -> Value {
    match schema.as_object() {
        Some(members) if !members.is_empty() => value(schema, schema, DEPTH),
        _ => json!({}),
    }
}

fn value(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    let inner = |schema: &Value| value(schema, root, depth - 1);
    if let Some(place) = schema["$ref"].as_str() {
        let target = place
            .strip_prefix('#')
            .and_then(|place| root.pointer(place));
        return target.map_or(Value::Null, inner);
    }
    for choice in ["anyOf", "oneOf", "allOf", "enum"] {
        if let Some(first) = schema[choice].as_array().and_then(|all| all.first()) {
            return match choice {
                "enum" => first.clone(),
                _ => inner(first),
            };
        }
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => &kinds[0],
        kind => kind,
    };
    match kind
        .as_str()
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_str()
    {
        "object" => object(schema, inner),
        "" if schema["properties"].is_object() => object(schema, inner),
        "array" => {
            let items = schema["minItems"].as_u64().unwrap_or(1).clamp(1, 8);
            (0..items).map(|_| inner(&schema["items"])).collect()
        }
        "integer" | "number" => match &schema["minimum"] {
            Value::Null => json!(1),
            minimum => minimum.clone(),
        },
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!("text"),
    }
}

fn object(schema: &Value, inner: impl Fn(&Value) -> Value) -> Value {
    let required = schema["required"].as_array().into_iter().flatten();
    let members = required.filter_map(|name| {
        let name = name.as_str()?;
        Some((name.to_owned(), inner(&schema["properties"][name])))
    });
    Value::Object(members.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_the_required_properties_of_its_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "INTEGER", "minimum": 3},
                "unit": {"enum": ["C", "F"]},
                "places": {"type": "array", "items": {"$ref": "#/$defs/place"}},
                "note": {"type": ["null", "string"]},
                "left": {"type": "string"},
            },
            "required": ["city", "days", "unit", "places", "note"],
            "$defs": {"place": {"properties": {"here": {"type": "boolean"}}, "required": ["here"]}},
        });
        let expected = json!({
            "city": "text", "days": 3, "unit": "C", "places": [{"here": true}], "note": null,
        });
        assert_eq!(fill(&schema), expected);
        assert_eq!(fill(&Value::Null), json!({}));
    }

    #[test]
    fn a_schema_without_end_has_a_value_with_one() {
        let schema = json!({"properties": {"x": {"$ref": "#"}}, "required": ["x"]});
        assert!(fill(&schema).is_object());
    }
}

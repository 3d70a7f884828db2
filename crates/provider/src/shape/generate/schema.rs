//! Google's schemas, which are those of OpenAPI 3.0, as JSON schemas.

use serde_json::{Map, Value};

/// The types in the order of their numbers, which some clients write instead.
const TYPES: [&str; 7] = [
    "string", "number", "integer", "boolean", "array", "object", "null",
];

/// Counts, which Google's clients write as texts.
const COUNTS: [&str; 6] = [
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
];

/// Rewrites a schema. What is none stays as it is.
pub(super) fn usual(schema: Value) -> Value {
    let Value::Object(members) = schema else {
        return schema;
    };
    let mut out = Map::new();
    let mut is_nullable = false;
    for (name, value) in members {
        let name = crate::dialect::google::camel(&name);
        let value = match name.as_str() {
            "type" => match kind(&value) {
                Some(kind) => kind.into(),
                None => continue,
            },
            "nullable" => {
                is_nullable = value == true;
                continue;
            }
            // How it is written, and what it is not told.
            "propertyOrdering" => continue,
            "example" => Value::Array(vec![value]),
            "items" | "additionalProperties" => usual(value),
            "properties" | "defs" => each(value),
            "anyOf" | "prefixItems" => list(value),
            count if COUNTS.contains(&count) => whole(value),
            _ => value,
        };
        let name = match name.as_str() {
            "example" => "examples".to_owned(),
            "defs" => "$defs".to_owned(),
            "ref" => "$ref".to_owned(),
            _ => name,
        };
        out.insert(name, value);
    }
    if is_nullable {
        nullable(&mut out);
    }
    out.into()
}

fn kind(value: &Value) -> Option<String> {
    let name = match value {
        Value::String(name) => name.to_ascii_lowercase(),
        Value::Number(number) => {
            let number = usize::try_from(number.as_u64()?).ok()?;
            (*TYPES.get(number.checked_sub(1)?)?).to_owned()
        }
        _ => return None,
    };
    (name != "type_unspecified").then_some(name)
}

fn each(schemas: Value) -> Value {
    match schemas {
        Value::Object(schemas) => {
            let schemas = schemas.into_iter();
            Value::Object(
                schemas
                    .map(|(name, schema)| (name, usual(schema)))
                    .collect(),
            )
        }
        other => other,
    }
}

fn list(schemas: Value) -> Value {
    match schemas {
        Value::Array(schemas) => schemas.into_iter().map(usual).collect(),
        other => other,
    }
}

fn whole(value: Value) -> Value {
    match value.as_str().and_then(|text| text.parse::<u64>().ok()) {
        Some(count) => count.into(),
        None => value,
    }
}

/// Lets a schema be null as well.
fn nullable(schema: &mut Map<String, Value>) {
    if let Some(kind) = schema.get_mut("type") {
        let name = kind.take();
        *kind = Value::Array(vec![name, "null".into()]);
        if let Some(Value::Array(values)) = schema.get_mut("enum")
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
    } else if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.push(serde_json::json!({"type": "null"}));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_of_google_s_is_one_of_json() {
        let schema = json!({
            "type": "OBJECT", "property_ordering": ["a"], "required": ["a"],
            "properties": {
                "a": {"type": "STRING", "nullable": true, "enum": ["x"], "maxLength": "9", "format": "enum"},
                "max_length": {"type": 5, "items": {"type": "INTEGER"}, "min_items": "1"},
                "type": {"anyOf": [{"type": "NUMBER"}, {"type": "BOOLEAN"}], "nullable": true, "example": 1},
                "any": {"type": "TYPE_UNSPECIFIED", "description": "d"},
            },
        });
        let expected = json!({
            "type": "object", "required": ["a"],
            "properties": {
                "a": {"type": ["string", "null"], "enum": ["x", null], "maxLength": 9, "format": "enum"},
                "max_length": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                "type": {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "null"}], "examples": [1]},
                "any": {"description": "d"},
            },
        });
        assert_eq!(usual(schema), expected);
        assert_eq!(usual(json!(7)), json!(7));
    }
}

//! What form the answer is to have.
//!
//! - A schema goes into `output_config.format` where the model is known to take it, the host is
//!   Anthropic itself (on Vertex it is off unless an organisation turns it on), and the schema is
//!   within what is taken there.
//! - Otherwise the model is made to call a tool whose input has that schema; what it is called with
//!   is the text of the answer.
//! - Any JSON object: there is no mode for it, so the model is asked for one in words. A tool of any
//!   input would mostly be called with none.

use serde_json::{Map, Value};

use super::{Host, blocks::object, model::Model};
use crate::chat::ResponseFormat;

/// The name of the tool that stands for the answer. A client's tool may not have it.
pub(crate) const TOOL: &str = "ziggurat_answer";

/// How a form is asked for in words.
pub(crate) const WORDS: &str =
    "Answer with one JSON object and nothing else: no words around it, and no code fence.";

/// How the form of the answer is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// Not at all.
    Free,
    /// In words.
    Words,
    /// By a schema.
    Schema(Value),
    /// By a tool that takes the answer, with that schema.
    Tool(Value),
}

impl Form {
    /// Decides; `None` if there is no way.
    pub(crate) fn of(format: Option<ResponseFormat>, model: Model, host: Host) -> Option<Self> {
        Some(match format {
            None | Some(ResponseFormat::Text) => Self::Free,
            Some(ResponseFormat::JsonObject) => Self::Words,
            Some(ResponseFormat::JsonSchema { mut schema, .. }) => {
                if model.takes_schemas() && host == Host::Direct && close(&mut schema) {
                    return Some(Self::Schema(schema));
                }
                Self::Tool(input(schema)?)
            }
        })
    }

    /// The tool that takes the answer.
    pub(crate) fn tool(&self) -> Option<Value> {
        let Self::Tool(schema) = self else {
            return None;
        };
        let description = "Gives the answer. Call it once, with the whole answer.";
        Some(object([
            ("name", TOOL.into()),
            ("description", description.into()),
            ("input_schema", schema.clone()),
        ]))
    }
}

/// A schema as the input of a tool must have it: of an object. `None` if it is that of something
/// else.
pub(crate) fn input(schema: Value) -> Option<Value> {
    let mut schema = match schema {
        Value::Object(schema) => schema,
        Value::Null => Map::new(),
        _ => return None,
    };
    match schema.get("type") {
        None => {
            schema.insert("type".to_owned(), "object".into());
        }
        Some(kind) if kind == "object" => {}
        Some(_) => return None,
    }
    Some(Value::Object(schema))
}

/// Keywords that are refused in a schema.
const REFUSED: &[&str] = &[
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "if",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "then",
    "uniqueItems",
];

/// Forbids the members that a schema does not name, as is demanded. Tells whether the schema is
/// taken then.
pub(crate) fn close(schema: &mut Value) -> bool {
    let Value::Object(schema) = schema else {
        return false;
    };
    let is_object = schema.get("type").is_some_and(|kind| match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "object"),
        kind => kind == "object",
    });
    if is_object || schema.contains_key("properties") {
        let names_all = schema
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|members| !members.is_empty());
        let others = schema
            .entry("additionalProperties")
            .or_insert(Value::Bool(false));
        // An object without a member that may be there would always be empty.
        if *others != false || !names_all {
            return false;
        }
    }
    let telling = [
        "type",
        "$ref",
        "anyOf",
        "allOf",
        "enum",
        "const",
        "properties",
    ];
    if !telling.iter().any(|name| schema.contains_key(*name)) {
        return false;
    }
    schema.iter_mut().all(|(name, value)| match name.as_str() {
        "items" => close(value),
        "anyOf" | "allOf" => match value {
            Value::Array(schemas) => schemas.iter_mut().all(close),
            _ => false,
        },
        "properties" | "$defs" | "definitions" => match value {
            Value::Object(schemas) => schemas.values_mut().all(close),
            _ => false,
        },
        "$ref" => value.as_str().is_some_and(|place| place.starts_with("#/")),
        "minItems" => matches!(value.as_u64(), Some(0 | 1)),
        name => !REFUSED.contains(&name),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(schema: Value, model: &str, host: Host) -> Option<Form> {
        let format = ResponseFormat::JsonSchema {
            name: "x".to_owned(),
            schema,
            strict: None,
        };
        Form::of(Some(format), Model::of(model), host)
    }

    #[test]
    fn a_schema_is_given_to_a_model_that_takes_it_and_to_others_as_a_tool() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let mut closed = schema.clone();
        closed["additionalProperties"] = false.into();
        let asked = |model, host| of(schema.clone(), model, host);
        let new = "claude-haiku-4-5";
        assert_eq!(asked(new, Host::Direct), Some(Form::Schema(closed)));
        let tool = Some(Form::Tool(schema.clone()));
        assert_eq!(asked(new, Host::Vertex), tool);
        assert_eq!(asked("claude-sonnet-4-20250514", Host::Direct), tool);
        assert_eq!(asked("my-deployment", Host::Direct), tool);
    }

    #[test]
    fn a_schema_beyond_what_is_taken_is_that_of_a_tool() {
        let within = |schema: Value| {
            let schema = json!({"type": "object", "properties": {"a": schema}});
            let form = of(schema, "claude-sonnet-5", Host::Direct);
            matches!(form.expect("is an object"), Form::Schema(_))
        };
        for schema in [
            json!({"type": ["string", "null"], "description": "x"}),
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!({"anyOf": [{"type": "null"}, {"$ref": "#/$defs/b"}]}),
            json!({"enum": ["a", "b"]}),
        ] {
            assert!(within(schema.clone()), "{schema}");
        }
        for schema in [
            json!({"type": "integer", "minimum": 1}),
            json!({"type": "array", "items": {"type": "string"}, "minItems": 2}),
            json!({"type": "array", "items": {"type": "string", "maxLength": 2}}),
            json!({"type": "object"}),
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"$ref": "#"}),
            json!({}),
            json!(true),
        ] {
            assert!(!within(schema.clone()), "{schema}");
        }
    }

    #[test]
    fn only_an_object_can_be_the_input_of_a_tool() {
        let old = |schema| of(schema, "claude-3-haiku-20240307", Host::Direct);
        assert_eq!(old(json!({"type": "array"})), None);
        assert_eq!(old(json!({})), Some(Form::Tool(json!({"type": "object"}))));
        let tool = old(json!({})).and_then(|form| form.tool()).expect("is one");
        assert_eq!(tool["name"], TOOL);
        assert_eq!(tool["input_schema"], json!({"type": "object"}));
    }
}

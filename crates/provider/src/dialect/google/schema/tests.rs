use ziggurat_core::ErrorKind;

use super::*;

fn clean(schema: &Value) -> Value {
    cleaned(schema).expect("is not too large")
}

#[test]
fn what_google_does_not_know_is_taken_out_at_every_depth() {
    let schema = json!({
        "$schema": "x", "type": "object", "additionalProperties": false,
        "properties": {"a": {"type": "array", "items": {
            "type": "object", "additionalProperties": false, "$id": "y",
            "properties": {"b": {"type": "string", "format": "uuid", "exclusiveMinimum": 1}},
        }}},
        "required": ["a", "gone"],
    });
    let expected = json!({
        "type": "OBJECT", "required": ["a"],
        "properties": {"a": {"type": "ARRAY", "items": {
            "type": "OBJECT", "properties": {"b": {"type": "STRING"}},
        }}},
    });
    assert_eq!(clean(&schema), expected);
}

#[test]
fn references_are_written_out_and_a_schema_in_itself_ends() {
    let schema = json!({
        "type": "object",
        "properties": {"pet": {"$ref": "#/$defs/Pet", "description": "whose"}},
        "$defs": {"Pet": {"type": "object", "properties": {
            "name": {"type": "string"}, "child": {"$ref": "#/$defs/Pet"},
        }}},
    });
    let cleaned = clean(&schema);
    assert_eq!(cleaned["properties"]["pet"]["description"], "whose");
    let names = cleaned.to_string().matches("\"name\"").count();
    assert_eq!(names, MAX_REFERENCES);
    assert_eq!(
        clean(&json!({"$ref": "http://x/y"})),
        json!({"type": "OBJECT"})
    );
    assert!(!cleaned.to_string().contains('$'));
}

#[test]
fn a_schema_that_grows_without_end_is_refused() {
    let many: Vec<_> = (0..20).map(|_| json!({"$ref": "#"})).collect();
    let error = cleaned(&json!({"anyOf": many})).expect_err("is too large");
    assert_eq!(error.kind(), ErrorKind::Rejected);
}

#[test]
fn null_is_a_mark_and_not_a_type() {
    let string = json!({"type": "STRING", "nullable": true});
    assert_eq!(clean(&json!({"type": ["string", "null"]})), string);
    let any = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
    assert_eq!(clean(&any), string);
    let several = json!({"type": ["string", "integer", "null"], "minLength": 1});
    let expected = json!({"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}], "nullable": true});
    assert_eq!(clean(&several), expected);
    let listed = json!({"type": ["string", "null"], "enum": ["a", null]});
    let expected = json!({"type": "STRING", "nullable": true, "enum": ["a"]});
    assert_eq!(clean(&listed), expected);
}

#[test]
fn values_are_listed_if_they_are_texts_and_told_if_they_are_not() {
    assert_eq!(
        clean(&json!({"const": "a"})),
        json!({"type": "STRING", "enum": ["a"]})
    );
    let numbers = json!({"type": "integer", "enum": [1, 2], "description": "How many."});
    let expected = json!({"type": "INTEGER", "description": "How many. One of: 1, 2."});
    assert_eq!(clean(&numbers), expected);
}

#[test]
fn parts_that_all_hold_are_joined() {
    let schema = json!({
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "number", "format": "double"}}, "required": ["b"]},
        ],
    });
    let expected = json!({
        "type": "OBJECT", "required": ["a", "b"],
        "properties": {"a": {"type": "STRING"}, "b": {"type": "NUMBER", "format": "double"}},
    });
    assert_eq!(clean(&schema), expected);
}

#[test]
fn properties_outlive_a_choice_of_them() {
    let schema = json!({
        "type": "object", "properties": {"a": {"type": "string"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    });
    let expected = json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}});
    assert_eq!(clean(&schema), expected);
}

#[test]
fn what_a_type_needs_is_there_and_what_is_empty_is_not() {
    assert_eq!(
        clean(&json!({"type": "object", "properties": {}})),
        json!({"type": "OBJECT"})
    );
    let array = json!({"type": "ARRAY", "items": {"type": "STRING"}});
    assert_eq!(clean(&json!({"type": "array"})), array);
    assert_eq!(clean(&json!(true)), json!({}));
}

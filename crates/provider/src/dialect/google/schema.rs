//! JSON schemas in the subset that Google takes: that of OpenAPI 3.0, with a few members less.

use serde_json::{Map, Value, json};
use ziggurat_core::Error;

use crate::chat::unsupported;

/// How deep references may lead into each other: a schema that holds itself has no end.
const MAX_REFERENCES: usize = 6;
/// How many schemas there may be in one, references followed.
const MAX_SCHEMAS: usize = 5_000;

/// The members that are taken as they are.
const KEPT: &[&str] = &[
    "title",
    "description",
    "nullable",
    "default",
    "example",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "pattern",
    "propertyOrdering",
];

/// Rewrites a schema.
///
/// # Errors
///
/// A refusal if it is too large once its references are written out.
pub(super) fn cleaned(schema: &Value) -> Result<Value, Error> {
    let mut cleaner = Cleaner {
        root: schema,
        left: MAX_SCHEMAS,
    };
    cleaner.schema(schema, 0)
}

struct Cleaner<'a> {
    root: &'a Value,
    left: usize,
}

impl<'a> Cleaner<'a> {
    fn schema(&mut self, schema: &'a Value, references: usize) -> Result<Value, Error> {
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            let message = "a schema is too large for the provider, which takes no references";
            unsupported::refusal("tools", message)
        })?;
        // `true` and `false` are schemas too.
        let Some(members) = schema.as_object() else {
            return Ok(json!({}));
        };
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            return self.reference(reference, members, references);
        }
        let mut out = Map::new();
        for name in KEPT {
            if let Some(value) = members.get(*name) {
                out.insert((*name).to_owned(), value.clone());
            }
        }
        if let Some(parts) = members.get("allOf").and_then(Value::as_array) {
            for part in parts {
                merge(&mut out, self.schema(part, references)?);
            }
        }
        self.kinds(members, &mut out, references)?;
        choices_of_values(members, &mut out);
        if let Some(properties) = members.get("properties").and_then(Value::as_object) {
            let mut cleaned = Map::new();
            for (name, property) in properties {
                cleaned.insert(name.clone(), self.schema(property, references)?);
            }
            merge(&mut out, json!({"properties": cleaned}));
        }
        if let Some(items) = members.get("items").filter(|items| items.is_object()) {
            out.insert("items".to_owned(), self.schema(items, references)?);
        } else if let Some(parts) = members.get("prefixItems").and_then(Value::as_array) {
            let any = self.list(parts, references)?;
            out.insert("items".to_owned(), json!({"anyOf": any}));
        }
        if let Some(required) = members.get("required") {
            merge(&mut out, json!({"required": required}));
        }
        Ok(finished(out, members))
    }

    /// What a reference stands for; an object of which nothing is known where it leads too deep.
    fn reference(
        &mut self,
        reference: &str,
        members: &Map<String, Value>,
        references: usize,
    ) -> Result<Value, Error> {
        let pointer = reference.strip_prefix('#');
        let target = pointer.and_then(|pointer| self.root.pointer(pointer));
        let mut out = match target {
            Some(target) if references < MAX_REFERENCES => self.schema(target, references + 1)?,
            _ => json!({"type": "OBJECT"}),
        };
        if let Some(description) = members.get("description") {
            out["description"] = description.clone();
        }
        Ok(out)
    }

    fn list(&mut self, list: &'a [Value], references: usize) -> Result<Vec<Value>, Error> {
        let schemas = list.iter().map(|schema| self.schema(schema, references));
        schemas.collect()
    }

    /// What it may be: one type, or any of some schemas. That it may be null is a mark of its own.
    fn kinds(
        &mut self,
        members: &'a Map<String, Value>,
        out: &mut Map<String, Value>,
        references: usize,
    ) -> Result<(), Error> {
        let mut any = Vec::new();
        // Beside properties, they mostly say which of these go together.
        let has_properties = members.contains_key("properties");
        for name in ["anyOf", "oneOf"] {
            if has_properties {
                break;
            }
            if let Some(list) = members.get(name).and_then(Value::as_array) {
                any.extend(self.list(list, references)?);
            }
        }
        let mut names = Vec::new();
        match members.get("type") {
            Some(Value::String(name)) => names.push(name.as_str()),
            Some(Value::Array(list)) => names.extend(list.iter().filter_map(Value::as_str)),
            _ => {}
        }
        let is_null = |schema: &Value| schema["type"] == "NULL";
        let nullable = any.iter().any(is_null) || (names.len() > 1 && names.contains(&"null"));
        any.retain(|schema| !is_null(schema) && *schema != json!({}));
        if names.len() > 1 {
            names.retain(|name| *name != "null");
        }
        if nullable {
            out.insert("nullable".to_owned(), true.into());
        }
        match (&names[..], &mut any[..]) {
            ([], []) => {}
            // An alternative says it better than a type beside it.
            (_, [only]) => merge(out, only.take()),
            ([], _) | (_, [_, ..]) => {
                out.insert("anyOf".to_owned(), any.into());
            }
            ([name], []) => {
                out.insert("type".to_owned(), name.to_ascii_uppercase().into());
            }
            (names, []) => {
                let types = names
                    .iter()
                    .map(|name| json!({"type": name.to_ascii_uppercase()}));
                out.insert("anyOf".to_owned(), types.collect());
            }
        }
        Ok(())
    }
}

/// Adds the members of one schema to another, which has the last word but for what adds up.
fn merge(out: &mut Map<String, Value>, more: Value) {
    let Value::Object(more) = more else {
        return;
    };
    for (name, value) in more {
        match (out.get_mut(&name), value) {
            (Some(Value::Object(old)), Value::Object(new)) if name == "properties" => {
                old.extend(new)
            }
            (Some(Value::Array(old)), Value::Array(new)) if name == "required" => old.extend(new),
            (Some(_), _) => {}
            (None, value) => {
                out.insert(name, value);
            }
        }
    }
}

/// The values it may have: only texts can be listed. Others are told in words.
fn choices_of_values(members: &Map<String, Value>, out: &mut Map<String, Value>) {
    let values = match (members.get("enum"), members.get("const")) {
        (Some(Value::Array(values)), _) => values.clone(),
        (_, Some(value)) => vec![value.clone()],
        _ => return,
    };
    if values.iter().any(Value::is_null) {
        out.insert("nullable".to_owned(), true.into());
    }
    let values: Vec<_> = values
        .into_iter()
        .filter(|value| !value.is_null())
        .collect();
    if !values.is_empty() && values.iter().all(Value::is_string) {
        out.insert("type".to_owned(), "STRING".into());
        out.insert("enum".to_owned(), values.into());
    } else if !values.is_empty() {
        let words: Vec<_> = values.iter().map(Value::to_string).collect();
        let said = out
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let described = format!("{said} One of: {}.", words.join(", "));
        out.insert("description".to_owned(), described.trim_start().into());
    }
}

/// The last touches: what a type needs, and what it may not have.
fn finished(mut out: Map<String, Value>, members: &Map<String, Value>) -> Value {
    if out.contains_key("anyOf") {
        out.retain(|name, _| {
            matches!(
                name.as_str(),
                "anyOf" | "description" | "nullable" | "title"
            )
        });
        return out.into();
    }
    if !out.contains_key("type") {
        let guess = match () {
            () if out.contains_key("properties") => "OBJECT",
            () if out.contains_key("items") => "ARRAY",
            () => return out.into(),
        };
        out.insert("type".to_owned(), guess.into());
    }
    let kind = out["type"].as_str().unwrap_or_default().to_owned();
    let format = members.get("format").and_then(Value::as_str);
    let formats: &[&str] = match kind.as_str() {
        "STRING" => &["date-time", "enum"],
        "NUMBER" => &["float", "double"],
        "INTEGER" => &["int32", "int64"],
        _ => &[],
    };
    if let Some(format) = format.filter(|format| formats.contains(format)) {
        out.insert("format".to_owned(), format.into());
    }
    if kind == "ARRAY" && !out.contains_key("items") {
        out.insert("items".to_owned(), json!({"type": "STRING"}));
    }
    let properties = out.get("properties").and_then(Value::as_object);
    let names: Vec<String> = properties
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    if names.is_empty() {
        out.remove("properties");
        out.remove("required");
    } else if let Some(Value::Array(required)) = out.get_mut("required") {
        let is_there = |name: &Value| names.iter().any(|known| name == known);
        required.retain(is_there);
        if required.is_empty() {
            out.remove("required");
        }
    }
    out.into()
}

#[cfg(test)]
mod tests;

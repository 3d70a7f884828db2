//! Tools, and the form of an answer.

use serde_json::{Map, Value, json};
use ziggurat_core::Error;

use super::{object, request::unsupported};
use crate::chat::{Fields, unsupported::Fit, wrong};

/// The tools as OpenAI's functions.
///
/// # Errors
///
/// If one is run by Anthropic, or has a schema that only Anthropic knows, and may not be left out.
pub(super) fn tools(list: Vec<Value>, fit: Fit) -> Result<Vec<Value>, Error> {
    let read = |(index, tool)| function(tool, &format!("tools[{index}]"), fit).transpose();
    list.into_iter().enumerate().filter_map(read).collect()
}

fn function(tool: Value, at: &str, fit: Fit) -> Result<Option<Value>, Error> {
    let mut tool = Fields::of(Some(tool), at)?;
    let kind = tool.text("type")?;
    if let Some(kind) = kind.filter(|kind| kind != "custom") {
        fit.without(|| unsupported(&format!("{at}.type"), &kind))?;
        return Ok(None);
    }
    let Some(name) = tool.text("name")? else {
        return Err(wrong(&format!("{at}.name"), "a string"));
    };
    let mut function = Map::new();
    function.insert("name".to_owned(), name.into());
    if let Some(description) = tool.text("description")? {
        function.insert("description".to_owned(), description.into());
    }
    if let Some(schema) = tool.take("input_schema") {
        function.insert("parameters".to_owned(), schema);
    }
    if let Some(strict) = tool.flag("strict")? {
        function.insert("strict".to_owned(), strict.into());
    }
    let mut out = object([("type", "function".into()), ("function", function.into())]);
    if let Some(cache) = tool.take("cache_control") {
        out["cache_control"] = cache;
    }
    Ok(Some(out))
}

/// The choice of tools, and whether several may be called at once if that is not to be.
pub(super) fn choice(choice: Value) -> Result<(Value, Option<bool>), Error> {
    const AT: &str = "tool_choice";
    let mut choice = Fields::of(Some(choice), AT)?;
    let one = choice.flag("disable_parallel_tool_use")?;
    let parallel = one.filter(|one| *one).map(|_| false);
    let kind = choice.text("type")?;
    let choice = match kind.as_deref() {
        Some("auto") => json!("auto"),
        Some("any") => json!("required"),
        Some("none") => json!("none"),
        Some("tool") => match choice.text("name")? {
            Some(name) => json!({"type": "function", "function": {"name": name}}),
            None => return Err(wrong("tool_choice.name", "a string")),
        },
        _ => {
            return Err(wrong("tool_choice.type", "`auto`, `any`, `tool` or `none`"));
        }
    };
    Ok((choice, parallel))
}

/// The form of an answer.
pub(super) fn format(format: Value, at: &str) -> Result<Value, Error> {
    let mut format = Fields::of(Some(format), at)?;
    match (format.text("type")?.as_deref(), format.take("schema")) {
        (Some("json_schema"), Some(schema)) => {
            let schema = object([
                ("name", "answer".into()),
                ("schema", schema),
                ("strict", true.into()),
            ]);
            Ok(object([
                ("type", "json_schema".into()),
                ("json_schema", schema),
            ]))
        }
        _ => Err(wrong(at, "a `json_schema` with its `schema`")),
    }
}

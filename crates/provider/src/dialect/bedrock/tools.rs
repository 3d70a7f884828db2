//! Tools, and the form of an answer, which is one where a model does not keep to schemas by itself.

use serde_json::{Map, Value, json};
use ziggurat_core::{Deployment, Error};

use super::{
    messages::{block, cache_point},
    model::Model,
};
use crate::{
    chat::{
        ChatRequest, ResponseFormat, Tool, ToolChoice,
        unsupported::{refusal, refuse},
    },
    dialect::anthropic::form,
};

/// Stands for the tools of earlier calls, without which these are refused.
const NONE: &str = "no_tool";

/// Kinds of tools of Bedrock's own that a client may write itself.
const OWN: &[&str] = &["cachePoint", "systemTool", "toolSpec"];

/// What a request says of tools and of the form of the answer.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// `toolConfig`
    pub(super) config: Option<Value>,
    /// `outputConfig`
    pub(super) output: Option<Value>,
    /// What the model has to be told in words.
    pub(super) words: Option<&'static str>,
}

impl Tools {
    /// Whether a call is demanded.
    pub(super) fn forces(&self) -> bool {
        let config = self.config.as_ref();
        config.is_some_and(|config| config.get("toolChoice").is_some())
    }
}

/// Reads the tools of a request, and takes them out of it.
///
/// # Errors
///
/// A refusal if one is none that Bedrock knows, or the answer cannot have the form
/// that is asked for.
pub(super) fn read(
    chat: &mut ChatRequest,
    model: &Model<'_>,
    deployment: &Deployment,
) -> Result<Tools, Error> {
    let mut out = Tools::default();
    let mut choice = chat.tool_choice.take().unwrap_or(ToolChoice::Auto);
    let mut tools = Vec::new();
    for (index, tool) in std::mem::take(&mut chat.tools).into_iter().enumerate() {
        // The only way not to call a tool is not to have it.
        if choice != ToolChoice::None {
            tools.extend(written(tool, model, index, deployment)?);
        }
    }
    match chat.response_format.take() {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::JsonObject) => out.words = Some(form::WORDS),
        Some(ResponseFormat::JsonSchema {
            name, mut schema, ..
        }) => {
            if model.keeps_schemas() && form::close(&mut schema) {
                out.output = Some(schema_config(&name, &schema));
            } else if let Some(schema) = form::input(schema) {
                choice = match choice {
                    ToolChoice::Named(name) => ToolChoice::Named(name),
                    _ if tools.is_empty() => ToolChoice::Named(form::TOOL.to_owned()),
                    _ => ToolChoice::Required,
                };
                let description = "Gives the answer. Call it once, with the whole answer.";
                tools.push(spec(form::TOOL, Some(description), schema));
            } else {
                refuse(deployment, "response_format", true)?;
            }
        }
    }
    if tools.is_empty() && chat.has_tool_history() {
        let description = "Stands for tools that are not there any more. Never call it.";
        tools.push(spec(NONE, Some(description), input(None)));
        choice = ToolChoice::None;
    }
    if !tools.is_empty() {
        let mut config = block("tools", tools);
        match &choice {
            ToolChoice::Auto | ToolChoice::None => {}
            ToolChoice::Required => config["toolChoice"] = json!({"any": {}}),
            ToolChoice::Named(name) => config["toolChoice"] = json!({"tool": {"name": name}}),
        }
        out.config = Some(config);
    }
    Ok(out)
}

/// What makes Claude call one tool at a time.
pub(super) fn one_at_a_time(config: &Value) -> Value {
    let choice = &config["toolChoice"];
    let mut out = match choice["tool"]["name"].as_str() {
        Some(name) => json!({"type": "tool", "name": name}),
        None if choice["any"].is_object() => json!({"type": "any"}),
        None => json!({"type": "auto"}),
    };
    out["disable_parallel_tool_use"] = true.into();
    out
}

fn written(
    tool: Tool,
    model: &Model<'_>,
    index: usize,
    deployment: &Deployment,
) -> Result<Vec<Value>, Error> {
    let (name, description, parameters, strict, cache) = match tool {
        Tool::Function {
            name,
            description,
            parameters,
            strict,
            cache,
        } => (name, description, parameters, strict, cache),
        Tool::Other(tool) => return own(tool, index, deployment),
    };
    if name == form::TOOL {
        let at = format!("tools[{index}].function.name");
        let message = format!("`{at}`: no tool may have the name `{}`", form::TOOL);
        return Err(refusal(&at, message));
    }
    let description = description.filter(|words| !words.trim().is_empty());
    let mut tool = spec(&name, description.as_deref(), input(parameters));
    if strict == Some(true) && model.keeps_schemas() {
        tool["toolSpec"]["strict"] = true.into();
    }
    let cache = cache.filter(|_| model.caches());
    let mark = cache.as_ref().map(cache_point);
    Ok(std::iter::once(tool).chain(mark).collect())
}

fn own(
    mut tool: Map<String, Value>,
    index: usize,
    deployment: &Deployment,
) -> Result<Vec<Value>, Error> {
    tool.remove("type");
    let is_own = tool.len() == 1 && tool.keys().all(|name| OWN.contains(&name.as_str()));
    refuse(deployment, &format!("tools[{index}]"), !is_own)?;
    Ok(is_own.then_some(Value::Object(tool)).into_iter().collect())
}

fn spec(name: &str, description: Option<&str>, schema: Value) -> Value {
    let mut spec = block("name", name);
    spec["inputSchema"] = block("json", schema);
    if let Some(description) = description {
        spec["description"] = description.into();
    }
    block("toolSpec", spec)
}

/// A schema as the input of a tool must have it.
fn input(schema: Option<Value>) -> Value {
    match schema {
        Some(Value::Object(mut schema)) if !schema.is_empty() => {
            schema.entry("type").or_insert("object".into());
            schema.into()
        }
        _ => json!({"type": "object", "properties": {}}),
    }
}

fn schema_config(name: &str, schema: &Value) -> Value {
    let schema = json!({"name": name, "schema": schema.to_string()});
    json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}})
}

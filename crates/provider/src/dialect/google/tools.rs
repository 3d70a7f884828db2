//! What the model may call.

use serde_json::{Map, Value, json};
use ziggurat_core::{Deployment, Error};

use super::schema;
use crate::chat::{Tool, ToolChoice, unsupported};

/// Google's own tools, as it names them.
const OWN: &[&str] = &[
    "codeExecution",
    "computerUse",
    "enterpriseWebSearch",
    "fileSearch",
    "functionDeclarations",
    "googleMaps",
    "googleSearch",
    "googleSearchRetrieval",
    "retrieval",
    "urlContext",
];

/// The tools of a request, and whether there are functions among them.
///
/// # Errors
///
/// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest) for a tool that Google does not have.
pub(super) fn tools(
    tools: Vec<Tool>,
    searches: bool,
    deployment: &Deployment,
) -> Result<(Vec<Value>, bool), Error> {
    let mut functions = Vec::new();
    let mut out = Vec::new();
    for tool in tools {
        match tool {
            Tool::Function {
                name,
                description,
                parameters,
                ..
            } => functions.push(function(&name, description, parameters.as_ref())?),
            Tool::Other(tool) => match own(tool) {
                Some(tool) => out.push(tool),
                None => unsupported::refuse(deployment, "tools", true)?,
            },
        }
    }
    let is_search = |tool: &Value| tool.get("googleSearch").is_some();
    if searches && !out.iter().any(is_search) {
        out.push(json!({"googleSearch": {}}));
    }
    let has_functions = !functions.is_empty();
    if has_functions {
        out.insert(0, json!({ "functionDeclarations": functions }));
    }
    Ok((out, has_functions))
}

fn function(
    name: &str,
    description: Option<String>,
    parameters: Option<&Value>,
) -> Result<Value, Error> {
    let mut function = json!({ "name": name });
    if let Some(description) = description {
        function["description"] = description.into();
    }
    if let Some(parameters) = parameters {
        let parameters = schema::cleaned(parameters)?;
        // A function without parameters has none, rather than an empty object of them.
        if parameters.get("properties").is_some() || parameters.get("anyOf").is_some() {
            function["parameters"] = parameters;
        }
    }
    Ok(function)
}

/// A tool of Google's own, by its name or by that of OpenAI's that does the same.
fn own(mut tool: Map<String, Value>) -> Option<Value> {
    match tool.remove("type").as_ref().and_then(Value::as_str) {
        Some("code_interpreter") => return Some(json!({"codeExecution": {}})),
        Some(kind) if kind.starts_with("web_search") => return Some(json!({"googleSearch": {}})),
        Some(kind) if OWN.contains(&camel(kind).as_str()) => {
            return Some(json!({ camel(kind): tool }));
        }
        _ => {}
    }
    let tool: Map<_, _> = tool
        .into_iter()
        .map(|(name, value)| (camel(&name), value))
        .collect();
    let is_own = !tool.is_empty() && tool.keys().all(|name| OWN.contains(&name.as_str()));
    is_own.then_some(Value::Object(tool))
}

/// `google_search` as `googleSearch`.
pub(crate) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut raised = false;
    for letter in name.chars() {
        match letter {
            '_' => raised = true,
            letter if raised => {
                out.extend(letter.to_uppercase());
                raised = false;
            }
            letter => out.push(letter),
        }
    }
    out
}

/// Whether and what the model is to call.
pub(super) fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    }
}

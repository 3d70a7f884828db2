//! Tools, and which of them is to be called.

use serde_json::{Map, Value, json};
use ziggurat_core::{Deployment, Error};

use super::{
    betas::Betas,
    blocks::{self, object},
    form::{self, Form},
};
use crate::chat::{ChatRequest, Message, Tool, ToolChoice, unsupported};

/// The version of the search that the models of all generations have.
const WEB_SEARCH: &str = "web_search_20250305";

/// The tools of a request.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tools {
    pub(super) list: Vec<Value>,
    /// `tool_choice`, if it is said.
    pub(super) choice: Option<Value>,
}

impl Tools {
    /// Whether a call is demanded.
    pub(super) fn forces(&self) -> bool {
        let kind = self.choice.as_ref().map(|choice| &choice["type"]);
        kind.is_some_and(|kind| kind == "any" || kind == "tool")
    }
}

/// What a model takes of tools.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a> {
    pub(super) deployment: &'a Deployment,
    /// Whether it can be held to their schemas.
    pub(super) strict: bool,
}

/// Writes the tools, `search` among them, and that which takes the answer.
///
/// # Errors
///
/// A refusal for one that Anthropic does not have.
pub(super) fn write(
    request: &mut ChatRequest,
    search: Option<Value>,
    form: &Form,
    taken: Taken<'_>,
    betas: &mut Betas,
) -> Result<Tools, Error> {
    let mut list = Vec::new();
    for (index, tool) in std::mem::take(&mut request.tools).into_iter().enumerate() {
        let tool = written(tool, taken, betas)?;
        let tool = tool.filter(|tool| !is_search(tool) || !list.iter().any(is_search));
        if tool.as_ref().is_some_and(|tool| tool["name"] == form::TOOL) {
            let message = format!("a tool may not be called `{}`", form::TOOL);
            let at = format!("tools[{index}].function.name");
            return Err(unsupported::refusal(&at, message));
        }
        list.extend(tool);
    }
    if let Some(Value::Object(options)) = search
        && !list.iter().any(is_search)
    {
        list.push(web_search(options));
    }
    let choice = request.tool_choice.as_ref();
    let one_by_one = request.parallel_tool_calls == Some(false);
    if let Some(answer) = form.tool() {
        let is_alone = list.is_empty() || choice == Some(&ToolChoice::None);
        list.push(answer);
        let choice = match choice {
            Some(ToolChoice::Named(name)) if !is_alone => named(name),
            _ if is_alone => named(form::TOOL),
            _ => json!({"type": "any"}),
        };
        return Ok(Tools {
            list,
            choice: Some(in_order(choice, is_alone || one_by_one)),
        });
    }
    if list.is_empty() {
        // There may be no call in the messages of a tool that is not declared.
        list = called(&request.messages);
        let choice = (!list.is_empty()).then(|| json!({"type": "none"}));
        return Ok(Tools { list, choice });
    }
    let choice = match choice {
        Some(ToolChoice::Auto) => Some(json!({"type": "auto"})),
        Some(ToolChoice::Required) => Some(json!({"type": "any"})),
        Some(ToolChoice::Named(name)) => Some(named(name)),
        Some(ToolChoice::None) => {
            let choice = Some(json!({"type": "none"}));
            return Ok(Tools { list, choice });
        }
        None => one_by_one.then(|| json!({"type": "auto"})),
    };
    let choice = choice.map(|choice| in_order(choice, one_by_one));
    Ok(Tools { list, choice })
}

fn named(name: &str) -> Value {
    json!({"type": "tool", "name": name})
}

fn in_order(mut choice: Value, one_by_one: bool) -> Value {
    if one_by_one {
        choice["disable_parallel_tool_use"] = true.into();
    }
    choice
}

/// A tool; none if there is none like it, and it is dropped.
fn written(tool: Tool, taken: Taken<'_>, betas: &mut Betas) -> Result<Option<Value>, Error> {
    let (name, description, parameters, strict, cache) = match tool {
        Tool::Other(tool) => return other(tool, taken, betas),
        Tool::Function {
            name,
            description,
            parameters,
            strict,
            cache,
        } => (name, description, parameters, strict, cache),
    };
    let parameters = parameters.unwrap_or_default();
    let schema = form::input(parameters).unwrap_or_else(|| json!({"type": "object"}));
    let mut tool = object([("name", name.into()), ("input_schema", schema)]);
    if let Some(description) = description {
        tool["description"] = description.into();
    }
    if strict == Some(true) && taken.strict {
        tool["strict"] = true.into();
    }
    Ok(Some(blocks::marked(tool, cache)))
}

/// A tool in somebody's own words: Anthropic's stay as they are.
fn other(
    mut tool: Map<String, Value>,
    taken: Taken<'_>,
    betas: &mut Betas,
) -> Result<Option<Value>, Error> {
    let kind = tool.get("type").and_then(Value::as_str).unwrap_or_default();
    let version = kind.rsplit_once('_').map_or("", |(_, version)| version);
    let is_dated = version.len() == 8 && version.bytes().all(|byte| byte.is_ascii_digit());
    if is_dated || kind == "mcp_toolset" || tool.contains_key("input_schema") {
        betas.add_for_tool(kind);
        return Ok(Some(Value::Object(tool)));
    }
    if kind == "web_search" || kind.starts_with("web_search_preview") {
        return Ok(Some(web_search(tool)));
    }
    if let (true, Some(Value::String(name))) = (kind == "function", tool.remove("name")) {
        // As the Responses API writes a function.
        let function = Tool::Function {
            name,
            description: tool
                .get("description")
                .and_then(Value::as_str)
                .map(str::to_owned),
            parameters: tool.remove("parameters"),
            strict: tool.get("strict").and_then(Value::as_bool),
            cache: tool.remove("cache_control"),
        };
        return written(function, taken, betas);
    }
    unsupported::refuse(taken.deployment, "tools", true)?;
    Ok(None)
}

fn is_search(tool: &Value) -> bool {
    let kind = tool["type"].as_str();
    kind.is_some_and(|kind| kind.starts_with("web_search_"))
}

/// OpenAI's search of the web, by its options. A larger context is more searches, as LiteLLM counts
/// them.
fn web_search(mut options: Map<String, Value>) -> Value {
    let mut tool = json!({"type": WEB_SEARCH, "name": "web_search"});
    let size = options.get("search_context_size").and_then(Value::as_str);
    match size {
        Some("low") => tool["max_uses"] = 1.into(),
        Some("medium") => tool["max_uses"] = 5.into(),
        Some("high") => tool["max_uses"] = 10.into(),
        _ => {}
    }
    if let Some(Value::Object(mut place)) = options.remove("user_location") {
        // Chat writes it a level deeper than Responses.
        let place = match place.remove("approximate") {
            Some(Value::Object(place)) => place,
            _ => place,
        };
        let known = ["city", "region", "country", "timezone"];
        let mut known: Map<_, _> = place
            .into_iter()
            .filter(|(name, value)| known.contains(&name.as_str()) && value.is_string())
            .collect();
        known.insert("type".to_owned(), "approximate".into());
        tool["user_location"] = known.into();
    }
    tool
}

/// The tools that earlier messages call, each once.
fn called(messages: &[Message]) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for call in messages.iter().flat_map(|message| &message.tool_calls) {
        if !names.contains(&call.name.as_str()) {
            names.push(&call.name);
        }
    }
    let tool = |name| json!({"name": name, "input_schema": {"type": "object"}});
    names.into_iter().map(tool).collect()
}

#[cfg(test)]
mod tests;

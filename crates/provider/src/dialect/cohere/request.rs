//! What is asked, in Cohere's words.

use serde_json::{Map, Value, json};
use ziggurat_core::Error;

use crate::{
    chat::{
        ChatRequest, Media, Message, Part, ResponseFormat, Role, Tool, ToolChoice, effort,
        unsupported::{self, is_not_zero, refuse},
        wrong,
    },
    dialect::Call,
};

/// Fields of Cohere's own.
const OWN: &[&str] = &[
    "citation_options",
    "documents",
    "k",
    "p",
    "priority",
    "raw_prompting",
    "safety_mode",
    "strict_tools",
];

pub(super) fn chat(call: &Call<'_>) -> Result<Value, Error> {
    let mut request = ChatRequest::read(call.body)?;
    let deployment = call.deployment;
    let other = std::mem::take(&mut request.other);
    let mut body = unsupported::known(deployment, other, OWN)?;
    refuse(deployment, "n", request.asks_choices())?;
    let others = request.top_logprobs.is_some_and(|top| top > 0);
    refuse(deployment, "top_logprobs", others)?;
    let one_at_a_time = request.parallel_tool_calls == Some(false) && !request.tools.is_empty();
    refuse(deployment, "parallel_tool_calls", one_at_a_time)?;

    let mut put = |name: &str, value: Value| {
        if !value.is_null() && !body.contains_key(name) {
            body.insert(name.to_owned(), value);
        }
    };
    put("model", call.model.into());
    put("stream", call.streams.into());
    let mut messages = Vec::with_capacity(request.messages.len());
    for (index, message) in request.messages.iter().enumerate() {
        messages.push(write(message, &format!("messages[{index}]"))?);
    }
    put("messages", messages.into());
    put("max_tokens", request.max_tokens.into());
    put("temperature", number(request.temperature.as_ref()));
    put("p", probability(&request));
    put("k", number(request.top_k.as_ref()));
    if request.logprobs == Some(true) {
        put("logprobs", true.into());
    }
    put("seed", number(request.seed.as_ref()));
    for (name, penalty) in [
        ("presence_penalty", &request.presence_penalty),
        ("frequency_penalty", &request.frequency_penalty),
    ] {
        let penalty = penalty
            .as_ref()
            .filter(|penalty| is_not_zero(Some(penalty)));
        put(name, number(penalty));
    }
    if !request.stop.is_empty() {
        put("stop_sequences", request.stop.clone().into());
    }
    put("response_format", format(request.response_format.as_ref()));
    put("thinking", thinking(&request)?);
    let (tools, choice) = tools(call, &request)?;
    put("tools", tools);
    put("tool_choice", choice);
    Ok(body.into())
}

fn number(number: Option<&serde_json::Number>) -> Value {
    number.cloned().map_or(Value::Null, Value::Number)
}

/// Cohere takes no certainty: 0.01 to 0.99.
fn probability(request: &ChatRequest) -> Value {
    let p = request.top_p.as_ref().and_then(serde_json::Number::as_f64);
    p.map_or(Value::Null, |p| p.clamp(0.01, 0.99).into())
}

fn format(format: Option<&ResponseFormat>) -> Value {
    match format {
        None | Some(ResponseFormat::Text) => Value::Null,
        Some(ResponseFormat::JsonObject) => json!({"type": "json_object"}),
        Some(ResponseFormat::JsonSchema { schema, .. }) => {
            json!({"type": "json_object", "json_schema": schema})
        }
    }
}

fn thinking(request: &ChatRequest) -> Result<Value, Error> {
    let (enabled, budget) = match (&request.thinking, &request.reasoning_effort) {
        (Some(Value::Object(thinking)), _) => {
            let budget = thinking.get("token_budget");
            let budget = budget.or_else(|| thinking.get("budget_tokens"));
            let is_off = thinking.get("type").is_some_and(|kind| kind == "disabled");
            (!is_off, budget.cloned().unwrap_or_default())
        }
        (Some(_), _) => return Err(wrong("thinking", "an object")),
        (None, Some(effort)) => (effort != "none", effort::budget(effort).into()),
        (None, None) => return Ok(Value::Null),
    };
    Ok(match (enabled, budget) {
        (false, _) => json!({"type": "disabled"}),
        (true, Value::Null) => json!({"type": "enabled"}),
        (true, budget) => json!({"type": "enabled", "token_budget": budget}),
    })
}

/// The tools, and which of them are to be called. A named one is the only one.
fn tools(call: &Call<'_>, request: &ChatRequest) -> Result<(Value, Value), Error> {
    let only = match &request.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name),
        _ => None,
    };
    let mut tools = Vec::new();
    for tool in &request.tools {
        let Tool::Function {
            name,
            description,
            parameters,
            ..
        } = tool
        else {
            refuse(call.deployment, "tools", true)?;
            continue;
        };
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let mut function = Map::new();
        function.insert("name".to_owned(), name.as_str().into());
        if let Some(description) = description {
            function.insert("description".to_owned(), description.as_str().into());
        }
        let parameters = parameters.clone();
        let none = || json!({"type": "object", "properties": {}});
        function.insert("parameters".to_owned(), parameters.unwrap_or_else(none));
        tools.push(json!({"type": "function", "function": function}));
    }
    if tools.is_empty() {
        return match only {
            Some(_) => Err(wrong("tool_choice", "a function that is among `tools`")),
            None => Ok((Value::Null, Value::Null)),
        };
    }
    let choice = match &request.tool_choice {
        None | Some(ToolChoice::Auto) => Value::Null,
        Some(ToolChoice::None) => "NONE".into(),
        Some(ToolChoice::Required | ToolChoice::Named(_)) => "REQUIRED".into(),
    };
    Ok((tools.into(), choice))
}

fn write(message: &Message, at: &str) -> Result<Value, Error> {
    Ok(match message.role {
        Role::System => json!({"role": "system", "content": message.text()}),
        Role::User => json!({"role": "user", "content": content(message, at)?}),
        Role::Assistant => assistant(message),
        Role::Tool => json!({
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": content(message, at)?,
        }),
    })
}

fn assistant(message: &Message) -> Value {
    let mut written = json!({"role": "assistant"});
    let text = message.text();
    if !text.is_empty() || message.tool_calls.is_empty() {
        written["content"] = text.into();
    }
    if message.tool_calls.is_empty() {
        return written;
    }
    // What was thought before a call is its plan. Elsewhere not every model takes it back.
    if let Some(plan) = message.reasoning.as_deref().filter(|plan| !plan.is_empty()) {
        written["tool_plan"] = plan.into();
    }
    let calls = message.tool_calls.iter().map(|call| {
        let function = json!({"name": call.name, "arguments": call.input().to_string()});
        json!({"id": call.id, "type": "function", "function": function})
    });
    written["tool_calls"] = calls.collect();
    written
}

/// A text, or a list of parts if there is more than text.
fn content(message: &Message, at: &str) -> Result<Value, Error> {
    let is_text = |part: &Part| matches!(part, Part::Text { .. } | Part::Refusal(_));
    if message.content.iter().all(is_text) {
        return Ok(message.text().into());
    }
    let mut parts = Vec::with_capacity(message.content.len());
    for (index, part) in message.content.iter().enumerate() {
        parts.push(match part {
            Part::Text { text, .. } | Part::Refusal(text) => {
                json!({"type": "text", "text": text})
            }
            Part::Image { media, detail, .. } => {
                let mut image = Map::new();
                let url = match media {
                    Media::Data { mime, data } => format!("data:{mime};base64,{data}"),
                    Media::Url(url) | Media::Id(url) => url.clone(),
                };
                image.insert("url".to_owned(), url.into());
                if let Some(detail) = detail {
                    image.insert("detail".to_owned(), detail.as_str().into());
                }
                json!({"type": "image_url", "image_url": image})
            }
            // Documents, which ground what is said.
            Part::Other(part) => part.clone().into(),
            Part::Audio { .. } | Part::File { .. } => {
                let expected = "text, an image or a document: Cohere takes nothing else";
                let at = format!("{at}.content[{index}]");
                return Err(unsupported::value(&at, expected));
            }
        });
    }
    Ok(parts.into())
}

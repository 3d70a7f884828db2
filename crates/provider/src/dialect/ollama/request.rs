//! What is asked, in Ollama's words.

use serde_json::{Map, Value, json};
use ziggurat_core::Error;

use crate::{
    chat::{
        ChatRequest, Media, Message, Part, ResponseFormat, Role, Tool, ToolChoice,
        unsupported::{self, refuse},
        wrong,
    },
    dialect::Call,
    embed::EmbedRequest,
};

/// Fields of Ollama's own.
const OWN: &[&str] = &["keep_alive", "options", "shift", "think", "truncate"];

/// What stands in `options`, but may be asked for as a field of its own.
const OPTIONS: &[&str] = &[
    "main_gpu",
    "min_p",
    "mirostat",
    "mirostat_eta",
    "mirostat_tau",
    "num_batch",
    "num_ctx",
    "num_gpu",
    "num_keep",
    "num_thread",
    "repeat_last_n",
    "repeat_penalty",
    "tfs_z",
    "typical_p",
    "use_mmap",
];

/// The fields of Ollama's own, with its options apart.
fn own(
    call: &Call<'_>,
    other: Map<String, Value>,
) -> Result<(Map<String, Value>, Map<String, Value>), Error> {
    let known = unsupported::known(call.deployment, other, &[OWN, OPTIONS].concat())?;
    let is_option = |name: &str| OPTIONS.contains(&name);
    let (mut options, mut body): (Map<_, _>, Map<_, _>) =
        known.into_iter().partition(|(name, _)| is_option(name));
    match body.remove("options") {
        None | Some(Value::Null) => {}
        Some(Value::Object(inner)) => options.extend(inner),
        Some(_) => return Err(wrong("options", "an object")),
    }
    Ok((body, options))
}

pub(super) fn chat(call: &Call<'_>) -> Result<Value, Error> {
    let mut request = ChatRequest::read(call.body)?;
    let deployment = call.deployment;
    let (mut body, mut options) = own(call, std::mem::take(&mut request.other))?;
    refuse(deployment, "n", request.asks_choices())?;
    refuse(deployment, "logprobs", request.asks_logprobs())?;
    let one_at_a_time = request.parallel_tool_calls == Some(false) && !request.tools.is_empty();
    refuse(deployment, "parallel_tool_calls", one_at_a_time)?;

    let stop = (!request.stop.is_empty()).then(|| Value::from(request.stop.clone()));
    let number = |number: &Option<serde_json::Number>| number.clone().map(Value::Number);
    for (name, value) in [
        ("num_predict", request.max_tokens.map(Value::from)),
        ("temperature", number(&request.temperature)),
        ("top_p", number(&request.top_p)),
        ("top_k", number(&request.top_k)),
        ("seed", number(&request.seed)),
        ("presence_penalty", number(&request.presence_penalty)),
        ("frequency_penalty", number(&request.frequency_penalty)),
        ("stop", stop),
    ] {
        if let Some(value) = value {
            options.entry(name).or_insert(value);
        }
    }

    let mut messages = Vec::with_capacity(request.messages.len());
    for (index, message) in request.messages.iter().enumerate() {
        messages.push(write(&request, message, &format!("messages[{index}]"))?);
    }
    body.insert("model".to_owned(), call.model.into());
    body.insert("messages".to_owned(), messages.into());
    body.insert("stream".to_owned(), call.streams.into());
    if !options.is_empty() {
        body.insert("options".to_owned(), options.into());
    }
    let tools = tools(call, &request)?;
    if !tools.is_empty() {
        body.insert("tools".to_owned(), tools.into());
    }
    match &request.response_format {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::JsonObject) => {
            body.insert("format".to_owned(), "json".into());
        }
        Some(ResponseFormat::JsonSchema { schema, .. }) => {
            body.insert("format".to_owned(), schema.clone());
        }
    }
    if let Some(think) = think(call.model, &request) {
        body.entry("think").or_insert(think);
    }
    Ok(body.into())
}

/// Whether to think; how hard is for gpt-oss alone to hear.
fn think(model: &str, request: &ChatRequest) -> Option<Value> {
    if let Some(thinking) = &request.thinking {
        return Some((thinking["type"] != "disabled").into());
    }
    let effort = request.reasoning_effort.as_deref()?;
    let name = model.rsplit('/').next().unwrap_or_default();
    Some(match effort {
        _ if !name.starts_with("gpt-oss") => (effort != "none").into(),
        "none" => false.into(),
        "minimal" | "low" => "low".into(),
        "medium" => "medium".into(),
        _ => "high".into(),
    })
}

fn tools(call: &Call<'_>, request: &ChatRequest) -> Result<Vec<Value>, Error> {
    match request.tool_choice {
        Some(ToolChoice::None) => return Ok(Vec::new()),
        Some(ToolChoice::Required | ToolChoice::Named(_)) => {
            refuse(call.deployment, "tool_choice", true)?;
        }
        None | Some(ToolChoice::Auto) => {}
    }
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
        let none = || json!({"type": "object", "properties": {}});
        let function = json!({
            "name": name,
            "description": description.as_deref().unwrap_or_default(),
            "parameters": parameters.clone().unwrap_or_else(none),
        });
        tools.push(json!({"type": "function", "function": function}));
    }
    Ok(tools)
}

fn write(request: &ChatRequest, message: &Message, at: &str) -> Result<Value, Error> {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    let mut written = json!({"role": role, "content": message.text()});
    let mut images = Vec::new();
    for (index, part) in message.content.iter().enumerate() {
        let unable = |expected| unsupported::value(&format!("{at}.content[{index}]"), expected);
        match part {
            Part::Text { .. } | Part::Refusal(_) => {}
            Part::Image {
                media: Media::Data { data, .. },
                ..
            } => images.push(Value::from(data.as_str())),
            Part::Image { .. } => {
                return Err(unable("an image in base64: Ollama fetches none"));
            }
            Part::Audio { .. } | Part::File { .. } | Part::Other(_) => {
                return Err(unable("text or an image: Ollama takes nothing else"));
            }
        }
    }
    if !images.is_empty() {
        written["images"] = images.into();
    }
    if message.role == Role::Assistant {
        if let Some(reasoning) = &message.reasoning {
            written["thinking"] = reasoning.as_str().into();
        }
        if !message.tool_calls.is_empty() {
            let calls = message.tool_calls.iter().map(|call| {
                let function = json!({"name": call.name, "arguments": call.input()});
                json!({"id": call.id, "function": function})
            });
            written["tool_calls"] = calls.collect();
        }
    }
    if message.role == Role::Tool {
        let id = message.tool_call_id.as_deref();
        let name = id.and_then(|id| request.name_of_call(id));
        if let Some(name) = name.or(message.name.as_deref()) {
            written["tool_name"] = name.into();
        }
        if let Some(id) = id {
            written["tool_call_id"] = id.into();
        }
    }
    Ok(written)
}

pub(super) fn embed(call: &Call<'_>) -> Result<Value, Error> {
    let request = EmbedRequest::read(call.body)?;
    let (mut body, options) = own(call, request.other.clone())?;
    body.insert("model".to_owned(), call.model.into());
    body.insert("input".to_owned(), request.texts()?.into());
    if let Some(dimensions) = request.dimensions {
        body.insert("dimensions".to_owned(), dimensions.into());
    }
    if !options.is_empty() {
        body.insert("options".to_owned(), options.into());
    }
    Ok(body.into())
}

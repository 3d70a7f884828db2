//! What is asked, as chat.

use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind};

use super::{input, tools::Tools};
use crate::chat::{
    Fields,
    unsupported::{self, Fit},
    wrong,
};

/// What refers to a part of the conversation that is stored with a provider. It is never left out.
const STORED: &[&str] = &["previous_response_id", "conversation", "prompt"];

/// What changes the answer and has no likeness in chat.
const UNKNOWN: &[&str] = &["context_management", "moderation"];

/// What changes nothing of an answer over chat: it is not stored, has no calls of the provider's to
/// count, and what is too long for the model is an error that another group may serve.
const WITHOUT_EFFECT: &[&str] = &["store", "metadata", "max_tool_calls", "truncation"];

/// What is to be included to get the probabilities of tokens.
const LOGPROBS: &str = "message.output_text.logprobs";

/// The body as OpenAI's chat. Fields that Responses does not have stay as they are.
pub(super) fn to_chat(body: &[u8], fit: Fit) -> Result<Vec<u8>, Error> {
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body cannot be read: {error}");
        Error::new(ErrorKind::BadRequest, message)
    })?;
    let mut body = Fields::of(Some(body), "")?;
    for field in STORED {
        if body.take(field).is_some() {
            return Err(unsupported(field, "conversation state"));
        }
    }
    for field in UNKNOWN {
        if body.take(field).is_some() {
            fit.without(|| unsupported(field, "this"))?;
        }
    }
    if body.flag("background")? == Some(true) {
        fit.without(|| unsupported("background", "an answer in the background"))?;
    }
    for field in WITHOUT_EFFECT {
        body.take(field);
    }

    let mut messages = Vec::new();
    if let Some(instructions) = body.text("instructions")? {
        messages.push(json!({"role": "system", "content": instructions}));
    }
    let Some(input) = body.take("input") else {
        return Err(wrong("input", "a string or a list").with_code("missing_required_parameter"));
    };
    messages.extend(input::messages(input)?);
    let tools = Tools::read(body.list("tools")?, body.take("tool_choice"), fit)?;
    let parallel = body.flag("parallel_tool_calls")?;
    let longest = body.count("max_output_tokens")?;
    let effort = Fields::of(body.take("reasoning"), "reasoning")?.text("effort")?;
    let (format, verbosity) = text(body.take("text"))?;
    let includes = body.list("include")?;
    let top_logprobs = body.count("top_logprobs")?.filter(|top| *top > 0);
    let streams = body.flag("stream")?.unwrap_or(false);
    body.take("stream_options");

    let mut chat = body.rest();
    chat.retain(|_, value| !value.is_null());
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            chat.insert(name.to_owned(), value);
        }
    };
    set("messages", Some(messages.into()));
    if !tools.functions.is_empty() {
        set("tools", Some(tools.functions.into()));
        set("tool_choice", tools.choice);
        set("parallel_tool_calls", parallel.map(Value::from));
    }
    set("web_search_options", tools.web_search);
    set("max_tokens", longest.map(Value::from));
    set("reasoning_effort", effort.map(Value::from));
    set("response_format", format);
    set("verbosity", verbosity);
    let includes_logprobs = includes.iter().any(|it| it == LOGPROBS);
    if includes_logprobs || top_logprobs.is_some() {
        set("logprobs", Some(true.into()));
        set("top_logprobs", top_logprobs.map(Value::from));
    }
    if streams {
        set("stream", Some(true.into()));
        set("stream_options", Some(json!({"include_usage": true})));
    }
    Ok(Value::Object(chat).to_string().into_bytes())
}

/// The form of an answer, and how long-winded it is to be, if that is not as usual.
fn text(text: Option<Value>) -> Result<(Option<Value>, Option<Value>), Error> {
    let mut text = Fields::of(text, "text")?;
    let verbosity = text.take("verbosity").filter(|value| value != "medium");
    let mut format = Fields::of(text.take("format"), "text.format")?;
    let written = match format.text("type")?.as_deref() {
        None | Some("text") => None,
        Some("json_schema") => {
            let mut schema = match format.take("json_schema") {
                // As chat writes it; some clients do.
                Some(schema) => Fields::of(Some(schema), "text.format.json_schema")?.rest(),
                None => format.rest(),
            };
            schema.retain(|_, value| !value.is_null());
            Some(json!({"type": "json_schema", "json_schema": schema}))
        }
        Some(kind) => Some(json!({ "type": kind })),
    };
    Ok((written, verbosity))
}

/// Something that chat has nothing like.
pub(super) fn unsupported(at: &str, what: &str) -> Error {
    let message =
        format!("`{at}`: {what} needs a deployment whose provider speaks Responses itself");
    unsupported::refusal(at, message)
}

/// A map of these members, without those that are null.
pub(super) fn some(members: Value) -> Map<String, Value> {
    match members {
        Value::Object(mut members) => {
            members.retain(|_, value| !value.is_null());
            members
        }
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChatRequest, ResponseFormat};

    fn chat(body: &Value) -> Result<Value, Error> {
        let chat = to_chat(body.to_string().as_bytes(), Fit::default())?;
        Ok(serde_json::from_slice(&chat).expect("is JSON"))
    }

    #[test]
    fn every_field_has_its_place_in_chat() {
        let body = json!({
            "model": "m", "instructions": "be kind", "input": "hi", "max_output_tokens": 7,
            "temperature": 0.5, "top_p": 0.9, "user": "u", "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true,
                "description": null}, "verbosity": "low"},
            "tools": [{"type": "function", "name": "f", "parameters": {}}], "tool_choice": "required",
            "parallel_tool_calls": false, "store": true, "metadata": {"a": "b"}, "truncation": "auto",
            "previous_response_id": null, "background": false, "stream": true, "prompt_cache_key": "k",
            "stream_options": {"include_obfuscation": false}, "include": ["reasoning.encrypted_content"],
            "service_tier": null, "top_k": 5,
        });
        let expected = json!({
            "model": "m", "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "user": "u",
            "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}],
            "reasoning_effort": "low", "verbosity": "low", "prompt_cache_key": "k", "top_k": 5,
            "response_format": {"type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "tool_choice": "required", "parallel_tool_calls": false,
            "stream": true, "stream_options": {"include_usage": true},
        });
        assert_eq!(chat(&body).expect("is valid"), expected);
        let read = ChatRequest::read(expected.to_string().as_bytes()).expect("is chat");
        let format = read.response_format.expect("is there");
        assert!(matches!(format, ResponseFormat::JsonSchema { name, .. } if name == "n"));
    }

    #[test]
    fn a_plain_request_stays_plain() {
        let body = json!({"model": "m", "input": "hi", "tool_choice": "auto", "parallel_tool_calls": true,
            "text": {"format": {"type": "text"}, "verbosity": "medium"}, "reasoning": null, "stream": false});
        let expected = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        assert_eq!(chat(&body).expect("is valid"), expected);
    }

    #[test]
    fn probabilities_are_asked_for_in_either_way() {
        let with = |field: Value| {
            let mut body = json!({"model": "m", "input": "hi"});
            body.as_object_mut().expect("is one").extend(some(field));
            chat(&body).expect("is valid")
        };
        let listed = with(json!({"include": ["message.output_text.logprobs"]}));
        assert_eq!(
            (&listed["logprobs"], &listed["top_logprobs"]),
            (&json!(true), &Value::Null)
        );
        let counted = with(json!({"top_logprobs": 3}));
        assert_eq!(
            (&counted["logprobs"], &counted["top_logprobs"]),
            (&json!(true), &json!(3))
        );
        assert_eq!(with(json!({"top_logprobs": 0}))["logprobs"], Value::Null);
    }

    #[test]
    fn what_chat_cannot_do_is_refused_by_name() {
        for (field, value) in [
            ("previous_response_id", json!("resp_1")),
            ("conversation", json!({"id": "conv_1"})),
            ("prompt", json!({"id": "pmpt_1"})),
            ("context_management", json!([{"type": "compaction"}])),
            ("background", json!(true)),
        ] {
            let error = chat(&json!({"model": "m", "input": "hi", field: value}));
            let error = error.expect_err("is refused");
            assert_eq!(
                (error.status().as_u16(), error.param(), error.code()),
                (400, Some(field), "unsupported_parameter")
            );
            assert!(error.message().contains("speaks Responses"), "{error}");
        }
        for (body, at) in [
            (json!({"model": "m"}), "input"),
            (json!({"input": 7}), "input"),
            (json!({"input": "hi", "stream": 1}), "stream"),
            (json!({"input": "hi", "text": []}), "text"),
            (json!({"input": "hi", "instructions": []}), "instructions"),
        ] {
            assert_eq!(chat(&body).expect_err("is wrong").param(), Some(at));
        }
        assert!(to_chat(b"[]", Fit::default()).is_err() && to_chat(b"{", Fit::default()).is_err());
    }
}

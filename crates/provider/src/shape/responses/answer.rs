//! A whole answer of chat, as a response.

use bytes::Bytes;
use serde_json::Value;
use ziggurat_core::{Error, ErrorKind};

use super::{
    items::{self, Call, new_id},
    response::{self, End, Response},
    tools,
};

pub(super) fn write(request: &[u8], chat: &[u8]) -> Result<Bytes, Error> {
    let bad = || {
        Error::new(
            ErrorKind::BadAnswer,
            "the provider's answer holds no choices",
        )
    };
    let usage = response::usage(chat);
    let chat: Value = serde_json::from_slice(chat).map_err(|_| bad())?;
    // Responses has one answer only.
    let choice = chat["choices"].get(0).ok_or_else(bad)?;
    let mut response = Response::new(request);
    response.head(&chat);
    let end = End::of(choice["finish_reason"].as_str());
    let output = output(choice, end, &response);
    let written = response.write(Some(end), &output, usage);
    Ok(written.to_string().into())
}

fn output(choice: &Value, end: End, response: &Response) -> Vec<Value> {
    let message = &choice["message"];
    let status = end.status();
    let mut output = Vec::new();

    let (said, thought) = items::texts(message);
    let mut thinking = Vec::new();
    items::add_thinking(&mut thinking, &message["thinking_blocks"]);
    if !thought.is_empty() || !thinking.is_empty() {
        output.push(items::reasoning(&new_id("rs"), &thought, &thinking));
    }

    let mut content = Vec::new();
    if !said.is_empty() {
        let annotations = list(&message["annotations"]).map(items::annotation);
        let annotations: Vec<_> = annotations.collect();
        let logprobs: Vec<_> = list(&choice["logprobs"]["content"]).cloned().collect();
        content.push(items::output_text(&said, &annotations, &logprobs));
    }
    if let Some(words) = message["refusal"]
        .as_str()
        .filter(|words| !words.is_empty())
    {
        content.push(items::refusal(words));
    }
    if !content.is_empty() {
        output.push(items::message(&new_id("msg"), status, &content));
    }
    for data in list(&message["images"]).filter_map(items::data_of_image) {
        output.push(items::image(&new_id("ig"), status, Some(data)));
    }

    let calls = list(&message["tool_calls"]).map(|call| (call, &call["function"]));
    let old = message.get("function_call").filter(|call| call.is_object());
    let old = old.map(|function| (&Value::Null, function));
    for (call, function) in calls.chain(old) {
        output.push(self::call(call, function, response).item(status));
    }
    output
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn call(call: &Value, function: &Value, response: &Response) -> Call {
    let name = function["name"].as_str().unwrap_or_default();
    let arguments = function["arguments"].as_str().unwrap_or_default();
    let is_custom = response.is_custom(name);
    Call {
        id: new_id(if is_custom { "ctc" } else { "fc" }),
        call_id: match call["id"].as_str() {
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => new_id("call"),
        },
        name: name.to_owned(),
        given: match is_custom {
            true => tools::input(arguments),
            false => arguments.to_owned(),
        },
        is_custom,
        extra: call.get("provider_specific_fields").cloned(),
    }
}

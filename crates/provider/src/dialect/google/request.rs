//! What is asked for.

use serde_json::{Map, Number, Value, json};
use ziggurat_core::{Deployment, Error};

use super::{
    Host,
    contents::Contents,
    schema,
    thinking::{self, Model},
    tools::{self, camel},
};
use crate::{
    chat::{ChatRequest, ResponseFormat, unsupported, wrong},
    dialect::Call,
};

/// How many texts may stop an answer.
const MAX_STOPS: usize = 5;

/// Google's own fields of a request. They may be written `like_this` too.
const TOP: &[&str] = &["cachedContent", "labels", "safetySettings", "toolConfig"];
/// Those of its `generationConfig`, which may stand beside the others as well.
const CONFIG: &[&str] = &[
    "audioTimestamp",
    "imageConfig",
    "mediaResolution",
    "responseJsonSchema",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "speechConfig",
    "thinkingConfig",
];

/// The body of a chat request.
///
/// # Errors
///
/// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest), naming what cannot be asked.
pub(super) fn chat(call: &Call<'_>, host: Host) -> Result<Value, Error> {
    let deployment = call.deployment;
    let model = Model::of(call.model);
    let mut request = ChatRequest::read(call.body)?;
    let mut config = config(&mut request, model, deployment)?;
    let searches = request.other.remove("web_search_options").is_some();
    let own = own_fields(&mut request, deployment)?;

    let contents = Contents::of(std::mem::take(&mut request.messages), model, host)?;
    let offered = std::mem::take(&mut request.tools);
    let (tools, has_functions) = tools::tools(offered, searches, deployment)?;
    let mut body = Map::new();
    if !contents.system.is_empty() {
        body.insert(
            "systemInstruction".to_owned(),
            json!({"parts": contents.system}),
        );
    }
    body.insert("contents".to_owned(), contents.into_turns());
    if !tools.is_empty() {
        body.insert("tools".to_owned(), tools.into());
    }
    if let Some(choice) = request.tool_choice.filter(|_| has_functions) {
        let calling = json!({"functionCallingConfig": tools::choice(&choice)});
        body.insert("toolConfig".to_owned(), calling);
    }
    for (name, value) in own {
        match (name.as_str(), value) {
            ("generationConfig", Value::Object(fields)) => config.extend(fields),
            ("toolConfig", Value::Object(fields)) => {
                let known = body.entry("toolConfig").or_insert_with(|| json!({}));
                for (name, value) in fields {
                    known[name] = value;
                }
            }
            (known, value) if TOP.contains(&known) => {
                body.insert(name, value);
            }
            (_, value) => {
                config.insert(name, value);
            }
        }
    }
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), config.into());
    }
    Ok(body.into())
}

/// The fields that are Google's own, by its names for them.
fn own_fields(
    request: &mut ChatRequest,
    deployment: &Deployment,
) -> Result<Map<String, Value>, Error> {
    let other = std::mem::take(&mut request.other).into_iter();
    let is_own =
        |name: &str| name == "generationConfig" || TOP.contains(&name) || CONFIG.contains(&name);
    let named = other.map(|(name, value)| match camel(&name) {
        own if is_own(&own) => (own, value),
        _ => (name, value),
    });
    let known: Vec<_> = TOP
        .iter()
        .chain(CONFIG)
        .chain(&["generationConfig"])
        .copied()
        .collect();
    unsupported::known(deployment, named.collect(), &known)
}

/// How the answer is to be made: `generationConfig`.
fn config(
    request: &mut ChatRequest,
    model: Model<'_>,
    deployment: &Deployment,
) -> Result<Map<String, Value>, Error> {
    let refuse = |field, asks| unsupported::refuse(deployment, field, asks);
    let one_by_one = request.parallel_tool_calls == Some(false) && !request.tools.is_empty();
    refuse("parallel_tool_calls", one_by_one)?;
    if request.n == Some(0) {
        return Err(wrong("n", "at least 1"));
    }
    let mut config = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(name.to_owned(), value);
        }
    };
    put("temperature", request.temperature.take().map(Value::Number));
    put("topP", request.top_p.take().map(Value::Number));
    put("topK", request.top_k.take().map(Value::Number));
    put(
        "presencePenalty",
        request.presence_penalty.take().map(Value::Number),
    );
    put(
        "frequencyPenalty",
        request.frequency_penalty.take().map(Value::Number),
    );
    put("maxOutputTokens", request.max_tokens.map(Value::from));
    put("seed", request.seed.as_ref().map(|seed| short(seed).into()));
    put(
        "candidateCount",
        request.n.filter(|n| *n > 1).map(Value::from),
    );
    if request.asks_logprobs() {
        put("responseLogprobs", Some(true.into()));
        put("logprobs", request.top_logprobs.map(Value::from));
    }
    refuse("stop", request.stop.len() > MAX_STOPS)?;
    request.stop.truncate(MAX_STOPS);
    if !request.stop.is_empty() {
        put("stopSequences", Some(request.stop.as_slice().into()));
    }
    match request.response_format.take() {
        None | Some(ResponseFormat::Text) => {}
        Some(format) => {
            put("responseMimeType", Some("application/json".into()));
            if let ResponseFormat::JsonSchema { schema, .. } = format {
                match model.takes_json_schema() {
                    true => put("responseJsonSchema", Some(schema)),
                    false => put("responseSchema", Some(schema::cleaned(&schema)?)),
                }
            }
        }
    }
    put(
        "thinkingConfig",
        thinking::config(request, model, deployment)?,
    );
    let modalities = request.other.remove("modalities");
    let modalities = modalities.as_ref().and_then(Value::as_array);
    if let Some(modalities) = modalities.filter(|list| list.iter().any(|kind| kind != "text")) {
        let names = modalities
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_ascii_uppercase);
        put("responseModalities", Some(names.collect()));
    }
    if let Some(audio) = request
        .other
        .remove("audio")
        .filter(|audio| !audio.is_null())
    {
        let format = audio["format"].as_str();
        if !matches!(format, None | Some("pcm16")) {
            refuse("audio.format", true)?;
        }
        let voice = audio["voice"]
            .as_str()
            .map(|name| json!({"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": name}}}));
        put("speechConfig", voice);
    }
    Ok(config)
}

/// A seed in 32 bits, which are all that there are for it. The same one stays the same.
fn short(seed: &Number) -> i32 {
    let whole = seed
        .as_i64()
        .unwrap_or_else(|| seed.as_f64().unwrap_or_default() as i64);
    i32::try_from(whole).unwrap_or((whole & 0x7fff_ffff) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_of_any_size_is_one() {
        let of = |seed: &Value| short(seed.as_number().expect("is a number"));
        assert_eq!(of(&json!(-5)), -5);
        assert_eq!(of(&json!((1_u64 << 40) + 7)), 7);
        assert_eq!(of(&json!(u64::MAX)), i32::MAX);
        assert_eq!(of(&json!(1.5)), 1);
    }
}
